from __future__ import annotations

import random
from typing import Any

import pytest
from back_world import Clock, run
from hypothesis import given
from hypothesis import strategies as st

from signal_service.clients.errors import DownstreamError
from signal_service.clients.retry import RetryBudget, full_jitter, with_retries
from signal_service.config.settings import Retry

FIGURES = Retry()


def call(
    clock: Clock,
    attempts: list[float],
    *,
    retries: int = 3,
    left_s: float = 100.0,
    budget: Any = None,
    kind: Any = "connect",
):
    async def attempt(number: int, wait_s: float) -> None:
        assert number == len(attempts) + 1
        attempts.append(wait_s)
        raise DownstreamError("ticker", kind, status=404 if kind == "client_error" else None)

    end_s = clock() + left_s
    return with_retries(
        attempt,
        retries=retries,
        settings=FIGURES,
        budget=budget or RetryBudget(FIGURES, clock),
        rng=random.Random(3),
        left_s=lambda: end_s - clock(),
        sleep=clock.sleep,
        may_go_on=lambda: True,
    )


def test_it_tries_again_as_often_as_allowed_and_raises_the_last_error():
    clock, attempts = Clock(), []
    with pytest.raises(DownstreamError):
        run(call(clock, attempts, retries=3))
    assert len(attempts) == 4
    assert attempts[0] == 0
    assert clock.slept == attempts[1:]


def test_a_4xx_is_not_tried_again():
    attempts: list[float] = []
    with pytest.raises(DownstreamError):
        run(call(Clock(), attempts, kind="client_error"))
    assert len(attempts) == 1


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_waits_are_drawn_between_nothing_and_a_doubling_bound(seed: int, attempt: int):
    wait_s = full_jitter(FIGURES, random.Random(seed), attempt)
    assert 0 <= wait_s <= min(2.0, 0.2 * 2 ** (attempt - 1))


@given(st.floats(0, 5))
def test_no_wait_is_begun_that_would_end_past_the_deadline(left_s: float):
    clock, attempts = Clock(), []
    end_s = clock() + left_s
    with pytest.raises(DownstreamError):
        run(call(clock, attempts, retries=10, left_s=left_s))
    assert clock.now_s <= max(end_s, 1000.0)


def test_the_budget_is_three_retries_or_a_fifth_of_the_calls_of_the_last_ten_seconds():
    clock = Clock()
    budget = RetryBudget(FIGURES, clock)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    for _ in range(40):
        budget.called()
    assert [budget.take() for _ in range(6)] == [True] * 5 + [False]
    clock.now_s += 10
    assert [budget.take() for _ in range(4)] == [True, True, True, False]


def test_an_exhausted_budget_ends_the_retries_without_a_wait():
    clock, attempts = Clock(), []
    budget = RetryBudget(FIGURES, clock)
    while budget.take():
        pass
    with pytest.raises(DownstreamError):
        run(call(clock, attempts, budget=budget))
    assert len(attempts) == 1
    assert clock.slept == []


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=80))
def test_no_window_of_ten_seconds_sees_more_retries_than_the_budget(steps: list[tuple[bool, float]]):
    clock = Clock()
    budget = RetryBudget(FIGURES, clock)
    calls: list[float] = []
    retries: list[float] = []
    for is_call, wait_s in steps:
        clock.now_s += wait_s
        if is_call:
            budget.called()
            calls.append(clock())
        elif budget.take():
            retries.append(clock())
            since_s = clock() - 10
            recent = sum(at > since_s for at in calls)
            assert sum(at > since_s for at in retries) <= max(3, 0.2 * recent)
