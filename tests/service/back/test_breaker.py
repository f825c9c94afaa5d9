from __future__ import annotations

import pytest
from back_world import Clock, Events
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from signal_service.clients.breaker import TRANSITIONS, Breaker, Ticket
from signal_service.clients.errors import BreakerOpenError
from signal_service.config.settings import BreakerSettings

FIGURES = BreakerSettings(failures=3, open_s=60, probe_lease_s=5)


def make(clock: Clock | None = None) -> tuple[Breaker, Clock, Events]:
    clock, events = clock or Clock(), Events()
    return Breaker("ticker", FIGURES, clock, events), clock, events


def open_it(breaker: Breaker) -> None:
    for _ in range(FIGURES.failures):
        breaker.acquire().failure()
    assert breaker.state == "open"


def test_failures_in_a_row_open_it_and_a_success_between_begins_anew():
    breaker, _, _ = make()
    breaker.acquire().failure()
    breaker.acquire().failure()
    breaker.acquire().success()
    breaker.acquire().failure()
    breaker.acquire().failure()
    assert breaker.state == "closed"
    breaker.acquire().failure()
    assert breaker.state == "open"


def test_open_refuses_until_its_time_is_over_and_says_how_long():
    breaker, clock, _ = make()
    open_it(breaker)
    clock.now_s += 59.5
    with pytest.raises(BreakerOpenError) as refused:
        breaker.acquire()
    assert refused.value.retry_after_s == pytest.approx(0.5)
    clock.now_s += 0.5
    assert breaker.acquire().probe


def test_half_open_lets_exactly_one_of_many_callers_through():
    breaker, clock, events = make()
    open_it(breaker)
    clock.now_s += 60
    granted = 0
    for _ in range(50):
        try:
            breaker.acquire()
            granted += 1
        except BreakerOpenError:
            pass
    assert granted == 1
    assert len(events.of("breaker_probe", event="granted")) == 1


def test_a_cancelled_probe_gives_its_lease_back():
    breaker, clock, events = make()
    open_it(breaker)
    clock.now_s += 60
    breaker.acquire().release()
    assert breaker.state == "half_open"
    assert breaker.acquire().probe
    assert events.of("breaker_probe", event="released")


def test_a_hung_probe_loses_its_lease_and_its_late_answer_changes_nothing():
    breaker, clock, _ = make()
    open_it(breaker)
    clock.now_s += 60
    hung = breaker.acquire()
    clock.now_s += 4.9
    with pytest.raises(BreakerOpenError):
        breaker.acquire()
    clock.now_s += 0.1
    second = breaker.acquire()
    hung.success()
    assert breaker.state == "half_open"
    second.failure()
    assert breaker.state == "open"


def test_a_late_answer_from_before_the_opening_changes_nothing():
    breaker, clock, _ = make()
    late_good, late_bad = breaker.acquire(), breaker.acquire()
    open_it(breaker)
    late_good.success()
    assert breaker.state == "open"
    clock.now_s += 60
    breaker.acquire().success()
    assert breaker.state == "closed"
    late_bad.failure()
    assert breaker.failures == 0


def test_released_calls_count_neither_as_success_nor_as_failure():
    breaker, _, _ = make()
    breaker.acquire().failure()
    breaker.acquire().failure()
    for _ in range(10):
        breaker.acquire().release()
    assert breaker.state == "closed"
    breaker.acquire().failure()
    assert breaker.state == "open"


def test_a_ticket_counts_once():
    breaker, _, _ = make()
    ticket = breaker.acquire()
    for _ in range(5):
        ticket.failure()
    assert breaker.failures == 1


def test_new_settings_hold_from_the_next_opening_on():
    breaker, clock, _ = make()
    open_it(breaker)
    breaker.apply(BreakerSettings(failures=1, open_s=1))
    clock.now_s += 59
    with pytest.raises(BreakerOpenError):
        breaker.acquire()
    clock.now_s += 1
    breaker.acquire().success()
    breaker.acquire().failure()
    assert breaker.wait_s == 1


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls, answers, releases and time: legal steps only, one living probe, nothing sent while open."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.clock, self.events = make()
        self.tickets: list[tuple[Ticket, float]] = []
        self.opened_s: float | None = None

    @rule(count=st.integers(1, 4))
    def call(self, count: int) -> None:
        for _ in range(count):
            before, wait_s = self.breaker.state, None
            ticket: Ticket | None
            try:
                ticket = self.breaker.acquire()
            except BreakerOpenError as refused:
                wait_s = refused.retry_after_s
                ticket = None
            if ticket is None:
                assert before != "closed"
                assert wait_s is not None
                assert wait_s > 0
                continue
            assert ticket.probe == (before != "closed")
            if before == "open":
                assert self.opened_s is not None
                assert self.clock.now_s >= self.opened_s + FIGURES.open_s
            self.tickets.append((ticket, self.clock.now_s))

    @precondition(lambda self: self.tickets)
    @rule(index=st.integers(0, 100), how=st.sampled_from(["success", "failure", "release"]))
    def settle(self, index: int, how: str) -> None:
        ticket, _ = self.tickets.pop(index % len(self.tickets))
        valid, before = ticket.valid, (self.breaker.state, self.breaker.failures)
        getattr(ticket, how)()
        if not valid or (how == "release" and not ticket.probe):
            assert (self.breaker.state, self.breaker.failures) == before
        if before[0] != "open" and self.breaker.state == "open":
            self.opened_s = self.clock.now_s

    @rule(seconds=st.sampled_from([0.5, 4.9, 5.0, 30.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @invariant()
    def at_most_one_probe_lives(self) -> None:
        assert sum(1 for ticket, _ in self.tickets if ticket.probe and ticket.valid) <= 1

    @invariant()
    def only_legal_steps_were_taken(self) -> None:
        state = "closed"
        for step in self.events.of("breaker"):
            assert step["old"] == state
            assert TRANSITIONS[step["old"], step["reason"]] == step["new"]
            state = step["new"]
        assert state == self.breaker.state


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
