# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""Hypothesis owns the inputs, the simulator the schedules; both shrink."""

import asyncio

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hardening.simulator import io
from hardening.simulator.core.plan import Bounds
from hardening.simulator.search.hypothesis_inputs import simulated
from hardening.simulator.search.sandbox import sandbox


@pytest.fixture(scope="module", autouse=True)
def _frozen_once():
    with sandbox(Bounds()):
        yield


QUICK = settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def test_input_and_plan_both_shrink():
    seen = []

    @QUICK
    @given(amounts=st.lists(st.integers(1, 100), min_size=1, max_size=8))
    @simulated()
    async def transfers(amounts):
        balance = [0]

        async def add(amount):
            await io(0.0, 1.0)
            before = balance[0]
            await io(0.01, 0.05)
            balance[0] = before + amount

        seen.append(amounts)
        for index, amount in enumerate(amounts):
            if index % 3:
                await add(amount)
        await asyncio.gather(*(add(amount) for index, amount in enumerate(amounts) if not index % 3))
        assert balance[0] == sum(amounts)

    with pytest.raises(AssertionError) as error:
        transfers()
    notes = "\n".join(error.value.__notes__)
    assert seen[-1] == [1, 1, 1, 1], "the smallest input with two concurrent adds"
    assert "It fails under the default schedule" in notes or "It takes 1 decision" in notes


def test_a_correct_program_passes_under_all_inputs():
    @QUICK
    @given(count=st.integers(1, 6))
    @simulated()
    async def counting(count):
        lock, total = asyncio.Lock(), [0]

        async def add():
            await io(0.0, 1.0)
            async with lock:
                before = total[0]
                await io(0.01, 0.05)
                total[0] = before + 1

        await asyncio.gather(*(add() for _ in range(count)))
        assert total[0] == count

    counting()


def test_drawing_and_assuming_inside_a_task_reach_hypothesis():
    drawn = []

    @QUICK
    @given(data=st.data())
    @simulated(runs=2)
    async def drawing(data):
        async def task():
            try:
                number = data.draw(st.integers(0, 100))
                assume(number % 2 == 0)
            except Exception:
                raise
            drawn.append(number)

        await asyncio.wait([asyncio.create_task(task())])

    drawing()
    assert drawn
    assert all(number % 2 == 0 for number in drawn)
