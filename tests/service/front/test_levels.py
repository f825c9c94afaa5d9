from __future__ import annotations

import asyncio
from typing import Any

import pytest
from front_world import Clock, Events
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from signal_service.admission.backpressure import Level, LevelMachine, Sampler
from signal_service.config.settings import Budgets, Levels
from signal_service.seams import Reading

THRESHOLDS = {Level.LIGHT: 0.70, Level.MODERATE: 0.85, Level.HEAVY: 0.95}


class LevelsFollowUtilisation(RuleBasedStateMachine):
    """Against a model that keeps every sample and judges from the whole past."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.events = Clock(0.0), Events()
        self.machine = LevelMachine(Levels(), self.clock, self.events)
        self.past: list[tuple[float, float]] = []

    @rule(wait_ms=st.sampled_from([0, 250, 1000, 4999, 5000, 7000]), percent=st.integers(0, 130))
    def sample(self, wait_ms: int, percent: int) -> None:
        self.clock.now = round(self.clock.now + wait_ms / 1000, 3)
        self.past.append((self.clock.now, percent / 100))
        self.machine.update(percent / 100, "cpu")

    def expected(self, threshold: float) -> bool:
        entered, calm_since = False, None
        for now, utilisation in self.past:
            if utilisation >= threshold:
                entered, calm_since = True, None
            elif utilisation > threshold - 0.10 + 1e-9:
                calm_since = None
            else:
                calm_since = now if calm_since is None else calm_since
                if now - calm_since >= 5.0 - 1e-9:
                    entered = False
        return entered

    @invariant()
    def the_level_is_the_highest_that_was_entered_and_not_left(self) -> None:
        entered = [level for level, threshold in THRESHOLDS.items() if self.expected(threshold)]
        assert self.machine.level == max(entered, default=Level.NONE)

    @invariant()
    def events_chain(self) -> None:
        old = "none"
        for fields in self.events.named("level"):
            assert fields["old"] == old != fields["new"]
            old = fields["new"]
        assert old == self.machine.level.label


TestLevels = LevelsFollowUtilisation.TestCase
TestLevels.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_each_level_serves_fewer():
    machine = LevelMachine(Levels(), Clock(), Events())
    refused = {}
    for utilisation in (0.5, 0.7, 0.85, 0.95):
        machine.update(utilisation, "memory")
        refused[machine.level.label] = {p for p in ("critical", "high", "normal", "low") if machine.refuses(p)}  # type: ignore[arg-type]
    assert refused == {"none": set(), "light": {"low"}, "moderate": {"low"}, "heavy": {"high", "normal", "low"}}
    assert 0 < machine.retry_after_s() <= 60


class Resources:
    def __init__(self) -> None:
        self.rss_mb, self.cpu, self.limit_mb = 100, 0.0, None

    def __call__(self) -> Reading:
        limit = None if self.limit_mb is None else self.limit_mb << 20
        return Reading(self.rss_mb << 20, limit, self.cpu, 10)


@pytest.fixture
def sampled():
    clock, events, resources, share = Clock(), Events(), Resources(), [0.0]
    machine = LevelMachine(Levels(), clock, events)

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        await asyncio.sleep(0)

    return clock, resources, share, machine, Sampler(machine, resources, lambda: share[0], clock, sleep, events)


def test_the_largest_share_decides_and_is_named(sampled: Any):
    clock, resources, share, machine, sampler = sampled
    resources.rss_mb = 400
    assert sampler.take(Budgets(), 0.0, clock.now, 0.25) is Level.LIGHT  # 400 of 512 MB
    share[0] = 0.9
    assert sampler.take(Budgets(), 0.0, clock.now, 0.25) is Level.MODERATE
    assert sampler.take(Budgets(), 240.0, clock.now, 0.25) is Level.HEAVY  # 240 of 250 ms
    assert [fields["cause"] for fields in machine._emit.named("level")] == ["memory", "in_flight", "loop_lag"]


def test_the_container_s_limit_counts_when_it_is_lower(sampled: Any):
    clock, resources, _, _, sampler = sampled
    resources.rss_mb, resources.limit_mb = 190, 200
    assert sampler.take(Budgets(), 0.0, clock.now, 0.25) is Level.HEAVY


def test_a_short_burst_of_cpu_is_no_pressure_but_five_seconds_are(sampled: Any):
    clock, resources, _, machine, sampler = sampled
    resources.cpu = 1.0
    for count in range(20):
        clock.now += 0.25
        level = sampler.take(Budgets(), 0.0, clock.now, 0.25)
        if count < 10:
            assert level is Level.NONE
    assert machine.level is Level.HEAVY


@pytest.mark.asyncio
async def test_a_sample_that_fails_does_not_end_the_sampling(sampled: Any, caplog: pytest.LogCaptureFixture):
    clock, resources, _, machine, _ = sampled
    calls: list[float] = []
    enough = asyncio.Event()

    def broken() -> Reading:
        calls.append(clock.now)
        if len(calls) == 6:
            enough.set()
        if len(calls) == 3:
            raise OSError("no /proc")
        return resources()

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        await asyncio.sleep(0)

    sampler = Sampler(machine, broken, lambda: 0.0, clock, sleep, Events())
    task = asyncio.ensure_future(sampler.run(lambda: (Budgets(), Levels())))
    await enough.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "a resource sample failed" in caplog.text
