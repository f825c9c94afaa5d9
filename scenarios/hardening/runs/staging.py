"""Runs a scenario on somebody's staging stack: steady state, inject, heal, recover; it is as before afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hardening.catalogue.scenario import Scenario
from hardening.runs.phases import Guard, Phases, Run, endured
from hardening.worlds.staging.world import StagingSpec, StagingWorld

RECOVERY_POLL_S = 0.5
GOOD_IN_A_ROW = 3


async def run_staging(
    scenario: Scenario,
    spec: StagingSpec,
    on_phase: Callable[[str], None] = lambda _phase: None,
    guard: Guard | None = None,
) -> Run:
    """Run it to its end, or until ``guard`` cuts it short; every fault is healed when this returns.

    Raises:
        StagingError: when the stack cannot be used as it is described.
    """
    world = StagingWorld(spec)
    run = Phases(world, scenario, on_phase, guard)

    async def body() -> None:
        async with world, run.watched():
            await run.steady("steady")
            if run.may_begin():
                await run.break_it()
                run.phase("healed")
            if not run.hurry:
                await _recover(run, world)
                await run.steady("quiet")

    problem = await endured(body)
    world.recorder.add(world.now(), "harness", "state", "leftovers", {"found": world.leftovers()})
    return Run(world.recorder.history(), problem)


async def _recover(run: Phases, world: StagingWorld) -> None:
    """Ask what is asked in peace until some answers in a row are good, or the bound is over."""
    run.phase("recovery")
    end_s = world.now() + run.scenario.recovery_s
    good = 0
    while good < GOOD_IN_A_ROW and world.now() < end_s and not run.hurry:
        for operation in run.scenario.steady.operations[:GOOD_IN_A_ROW]:
            answer = await world.client.send(operation)
            good = good + 1 if answer is not None and answer[0] < 500 else 0
        await asyncio.sleep(RECOVERY_POLL_S)
