from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from front_world import Clock, Events

from signal_service.config.settings import Startup
from signal_service.edge.startup import (
    Dependency,
    StartupError,
    Waiting,
    look_for_absent,
    validate_startup_dependencies,
)


class World:
    """Virtual time: a sleep moves the clock, so that a minute passes at once."""

    def __init__(self, **figures: Any) -> None:
        self.clock, self.events, self.waits = Clock(0.0), Events(), list[float]()
        self.waiting = Waiting(Startup(**figures), self.clock, self.sleep, random.Random(7), self.events)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.now += seconds
        await asyncio.sleep(0)

    def appears_at(self, moment_s: float) -> Callable[[], Awaitable[None]]:
        async def check() -> None:
            if self.clock.now < moment_s:
                raise ConnectionError("redis://:hunter2@host refused")

        return check

    async def validate(self, *dependencies: Dependency) -> tuple[str, ...]:
        return await validate_startup_dependencies(dependencies, self.waiting)


@pytest.mark.asyncio
async def test_a_critical_dependency_may_appear_late():
    world = World()
    assert await world.validate(Dependency("redis", True, world.appears_at(30.0))) == ()
    assert [fields["phase"] for fields in world.events.named("startup")][-1] == "up"


@pytest.mark.asyncio
async def test_what_is_missing_is_named_in_one_line_without_its_secrets():
    world = World()
    there, gone = world.appears_at(0.0), world.appears_at(1e9)
    with pytest.raises(StartupError) as caught:
        await world.validate(
            Dependency("redis", True, gone), Dependency("ticker", True, there), Dependency("user", True, gone)
        )
    line = str(caught.value)
    assert caught.value.missing == ("redis", "user")
    assert "ticker" not in line
    assert "hunter2" not in line
    assert "\n" not in line
    assert world.clock.now == pytest.approx(60.0, abs=0.1)


@pytest.mark.asyncio
async def test_attempts_are_bounded_and_their_waits_jittered_and_capped():
    world = World()
    with pytest.raises(StartupError):
        await world.validate(Dependency("redis", True, world.appears_at(1e9)))
    attempts = [fields for fields in world.events.named("startup") if fields["phase"] == "attempt"]
    assert 12 < len(attempts) < 120
    assert max(world.waits) <= 5.0
    assert len({round(wait, 6) for wait in world.waits}) > len(world.waits) // 2


@pytest.mark.asyncio
async def test_an_optional_dependency_costs_one_attempt_and_is_reported_absent():
    world = World()
    absent = await world.validate(
        Dependency("redis", True, world.appears_at(0.0)), Dependency("alert", False, world.appears_at(1e9))
    )
    assert absent == ("alert",)
    assert [f["phase"] for f in world.events.named("startup") if f["dependency"] == "alert"] == ["attempt", "absent"]


@pytest.mark.asyncio
async def test_a_hanging_dependency_costs_no_more_than_its_timeout():
    world = World(attempt_s=0.02)

    async def hang() -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(2):
        assert await world.validate(Dependency("alert", False, hang)) == ("alert",)
    assert world.events.named("startup")[0]["error"] == "timeout"


@pytest.mark.asyncio
async def test_start_up_that_is_cancelled_leaves_no_task_behind():
    world = World()
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(world.validate(*(Dependency(name, True, world.appears_at(1e9)) for name in "abc")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert asyncio.all_tasks() == before


@pytest.mark.asyncio
async def test_what_was_absent_is_found_later():
    world = World()
    absent = {"alert"}
    dependencies = [
        Dependency("alert", False, world.appears_at(20.0)),
        Dependency("redis", True, world.appears_at(1e9)),
    ]

    def left() -> tuple[str, ...]:
        if any(fields["phase"] == "late" for fields in world.events.named("startup")):
            absent.clear()
        return tuple(absent)

    await look_for_absent(dependencies, left, world.waiting)
    assert [fields["dependency"] for fields in world.events.named("startup")] == ["alert"]
