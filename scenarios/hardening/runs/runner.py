"""Runs a scenario in a world, live or simulated: steady state, inject, heal, recover, end; all of it recorded.

The runner decides nothing about right or wrong: that is the judge's, who sees only the history.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from hardening.catalogue.scenario import Program, Reload, Scenario
from hardening.faults.base import Effect, Fault
from hardening.history.workload import Operation
from hardening.runs.phases import Guard, OnPhase, Phases, Run, endured, no_phase
from hardening.runs.probes import (
    ABUSIVE_KINDS,
    Lateness,
    hostile_lines,
    probe_abusive_clients,
    probe_after_end,
    probe_hostile_lines,
    probe_idle,
    probe_metrics,
    probe_outbox,
    probe_ready,
    watch_lag,
)
from hardening.worlds.live.processes import until
from hardening.worlds.live.world import LiveWorld
from hardening.worlds.shared.leaky_library import HOSTILE_UNITS
from hardening.worlds.spec import RunContext, WorldSpec, merge
from hardening.worlds.stage import Stage

RECOVERY_POLL_S = 0.25
EXIT_S_MAX = 20.0
HOSTILE_S_MAX = 30.0
WARM_UP_S_MAX = 25.0
CALM_S = 2.0
"""How long the service must be at rest before its steady state is measured."""


def spec_of(program: Program, context: RunContext, name: str = "startup") -> WorldSpec:
    """How a world is made for a scenario, or for starts under difficulties, which have no name of their own."""
    if not isinstance(program, Scenario):
        return WorldSpec(context, name)
    return WorldSpec(
        context,
        program.name,
        program.settings,
        durable=program.durable,
        absent=program.absent,
        latency_s=program.latency_s,
        canaries=program.canaries,
        keep=program.keep,
        environment=program.environment,
        named=program.named,
    )


async def observed(world: Stage, body: Callable[[], Awaitable[None]]) -> Run:
    """Await ``body``, which enters and leaves ``world``; trouble of the harness ends it and is said, not raised."""
    problem = await endured(body)
    malformed = world.service.malformed()
    if malformed:
        problem = "; ".join(filter(None, [problem, f"malformed events: {', '.join(malformed)}"]))
    world.recorder.add(world.now(), "harness", "state", "leftovers", {"found": world.leftovers()})
    return Run(world.recorder.history(), problem)


async def run_live(
    scenario: Scenario, context: RunContext, on_phase: OnPhase = no_phase, guard: Guard | None = None
) -> Run:
    """Run it to its end in the live world; see ``run_on``."""
    return await run_on(LiveWorld(spec_of(scenario, context)), scenario, on_phase, guard)


async def run_on(
    world: Stage,
    scenario: Scenario,
    on_phase: OnPhase = no_phase,
    guard: Guard | None = None,
) -> Run:
    """Run it to its end, or until ``guard`` cuts it short.

    The world is gone when this returns, and what it left behind is in the history.
    """
    run = _Run(world, scenario, on_phase, guard)

    async def body() -> None:
        async with world, run.watched():
            for text in scenario.keep:
                planted = {"probe": "planted", "surface": "stdout", "keep": text}
                world.recorder.add(world.now(), "harness", "state", "probe", planted)
            if guard is not None:
                await run.warm_up()
            await run.steady("steady")
            if run.may_begin():
                await run.break_it_watched()
            if world.service.running() and scenario.term_at_s is None and not run.hurry:
                await run.recover()
                await run.steady("quiet")
                await probe_outbox(world)
                await probe_metrics(world)
                await probe_idle(world, "after")
            await run.end()
            await world.settle()
            probe_after_end(world)

    return await observed(world, body)


class _Run(Phases):
    """The phases of one run, on a world that has a service of its own."""

    def __init__(self, world: Stage, scenario: Scenario, on_phase: OnPhase, guard: Guard | None = None) -> None:
        super().__init__(world, scenario, on_phase, guard)
        self.stage = world
        self._since_s: dict[str, float] = {}
        self._at_the_end: list[Callable[[], None]] = []

    async def steady(self, name: str) -> None:
        if self.scenario.steady.operations:
            await super().steady(name)
            await probe_ready(self.stage)

    async def break_it_watched(self) -> None:
        """``break_it``, with the loop's lag watched from inside the process where hostile lines are logged."""
        if not self.scenario.hostile_bytes:
            await self.break_it()
            return
        worst = Lateness()
        watching = asyncio.create_task(watch_lag(self.stage, worst), name="lag-watch")
        try:
            await self.break_it()
            # A busy machine is behind with its log; what an end of the service would cut off was never seen.
            await until(lambda: len(hostile_lines(self.stage)) >= len(HOSTILE_UNITS), HOSTILE_S_MAX, RECOVERY_POLL_S)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self.stage.settle()
        probe_hostile_lines(self.stage, self.scenario.hostile_bytes, worst)

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        work = [self._after(r.at_s, functools.partial(self._reload, r)) for r in self.scenario.reloads]
        if self.scenario.term_at_s is not None:
            work.append(self._after(self.scenario.term_at_s, self._terminate))
        return work

    async def break_it(self) -> None:
        await super().break_it()
        for probe in self._at_the_end:
            probe()
        self.phase("healed")

    async def _after(self, at_s: float, act: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(at_s)
        await act()

    async def _terminate(self) -> None:
        await self.stage.service.signal(signal.SIGTERM)
        await self.stage.service.wait_exit(EXIT_S_MAX)

    async def _reload(self, reload: Reload) -> None:
        service = self.stage.service
        if service.address is None:
            return  # a service that starts on a broken file would rightly refuse to start
        fresh: Any = reload.settings
        if not isinstance(fresh, str) and reload.by != "rollback":
            fresh = merge(service.settings, fresh)
        offered = {"probe": "offered", "by": reload.by, "refused": reload.refused}
        self.world.recorder.add(self.world.now(), "harness", "state", "probe", offered)
        if reload.by != "rollback":
            service.write_config(fresh)
        if reload.by == "sighup":
            with contextlib.suppress(ProcessLookupError):
                await service.signal(signal.SIGHUP)
        elif reload.by in {"admin", "rollback"}:
            path = "/admin/reload" if reload.by == "admin" else "/admin/rollback"
            await self.world.client.send(Operation(0, "admin", "POST", path, "operator", "critical"))

    def fault(self, what: str, fault_id: str, fault: Fault, effect: Effect | None, details: Mapping[str, Any]) -> None:
        now = self.world.now()
        if effect is None:
            self._since_s[fault_id] = now
        elif fault.kind == "descriptors_exhausted":
            # Nobody new can be served while there are none: what counts is that it goes on afterwards.
            self._at_the_end.append(functools.partial(self._abusive, fault, effect, fault_id))
        elif fault.kind in ABUSIVE_KINDS:
            self._abusive(fault, effect, fault_id)
        if effect is None and fault.kind == "dns_failure":
            probe = {"probe": "unresolved_name", "downstream": fault.target}
            self.world.recorder.add(now, "harness", "state", "probe", probe)
        super().fault(what, fault_id, fault, effect, details)

    def _abusive(self, fault: Fault, effect: Effect, fault_id: str) -> None:
        probe_abusive_clients(self.stage, fault.kind, effect.counts, self._since_s[fault_id])

    async def warm_up(self) -> None:
        """Await that the service is at rest: its own start-up counts as load, on a busy machine more than a little."""
        self.phase("warm-up")
        end_s = self.world.now() + WARM_UP_S_MAX
        calm_since_s = self.world.now()
        while self.world.now() < min(end_s, calm_since_s + CALM_S) and not self.hurry:
            if not is_steady(await probe_ready(self.stage)):
                calm_since_s = self.world.now()
            await asyncio.sleep(RECOVERY_POLL_S)

    async def recover(self) -> None:
        """Await the way back within its bound; the judge decides whether it was reached."""
        self.phase("recovery")
        end = self.world.now() + self.scenario.recovery_s
        while not await self._at_rest() and self.world.now() < end and not self.hurry:
            # A breaker closes by a probe, and a probe needs somebody who asks.
            for operation in self.scenario.steady.operations[:2]:
                await self.world.client.send(operation)
            await asyncio.sleep(RECOVERY_POLL_S)

    async def _at_rest(self) -> bool:
        """Steady by its own word and, where alerts were posted, with none of them waiting."""
        if not is_steady(await probe_ready(self.stage)):
            return False
        posted = any(one.operation == "alert" for one in self.scenario.workload.operations)
        return not posted or not await probe_outbox(self.stage)

    async def end(self) -> None:
        self.phase("shutdown")
        if self.stage.service.running():
            await self._terminate()


def is_steady(ready: dict[str, Any]) -> bool:
    """What /ready shows to an operator is as it was before: breakers closed, level none, nothing degraded."""
    if not ready.get("ready"):
        return False
    closed = all(state == "closed" for state in ready.get("breakers", {}).values())
    return closed and ready.get("level", "none") == "none" and not ready.get("degraded")
