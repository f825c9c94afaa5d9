"""Runs a scenario in the live world: steady state, inject, heal, recover, end; what happened is the history.

The runner decides nothing about right or wrong: that is the judge's, who sees only the history.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from faults.base import Bite, Fault, FaultError, HealError
from faults.schedule import run_schedule
from scenarios.judge.history import History
from scenarios.judge.workload import Operation
from scenarios.scenario import Reload, Scenario
from scenarios.worlds.downstream_process import settle
from scenarios.worlds.live import LiveSpec, LiveWorld, merge
from scenarios.worlds.probes import (
    RUDE_KINDS,
    probe_after_end,
    probe_hostile_lines,
    probe_metrics,
    probe_outbox,
    probe_ready,
    probe_rude_clients,
    watch_lag,
)
from scenarios.worlds.processes import ProcessError

RECOVERY_POLL_S = 0.25
EXIT_S_MAX = 20.0


def spec_of(scenario: Scenario, *, seed: int, commit: str, sabotage: str = "", candles: str = "") -> LiveSpec:
    """How the live world is made for a scenario."""
    return LiveSpec(
        settings=scenario.settings,
        seed=seed,
        sabotage=sabotage,
        candles=candles,
        durable=scenario.durable,
        absent=scenario.absent,
        latency_s=scenario.latency_s,
        scenario=scenario.name,
        commit=commit,
        canaries=scenario.canaries,
        keep=scenario.keep,
        environment=scenario.environment,
        named=scenario.named,
    )


@dataclass(frozen=True, slots=True)
class Run:
    """What a scenario left: its history, and (empty when there was none) the problem that cut it short."""

    history: History
    problem: str = ""


async def observed(world: LiveWorld, body: Callable[[], Awaitable[None]]) -> Run:
    """Await ``body``, which enters and leaves ``world``; trouble of the harness ends it and is said, not raised."""
    problem = ""
    try:
        await body()
    except* (ProcessError, HealError, FaultError, OSError, TimeoutError) as group:
        problem = "; ".join(f"{type(error).__name__}: {error}" for error in _leaves(group))
    malformed = world.service.malformed()
    if malformed:
        problem = "; ".join(filter(None, [problem, f"malformed events: {', '.join(malformed)}"]))
    world.recorder.add(world.now(), "harness", "state", "leftovers", {"found": world.leftovers()})
    return Run(world.recorder.history(), problem)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def run_live(scenario: Scenario, spec: LiveSpec, on_phase: Callable[[str], None] = lambda _phase: None) -> Run:
    """Run it to its end; the world is gone when this returns, and what it left behind is in the history."""
    world = LiveWorld(spec)
    run = _Run(world, scenario, on_phase)

    async def body() -> None:
        async with world:
            for text in spec.keep:
                planted = {"probe": "planted", "surface": "stdout", "keep": text}
                world.recorder.add(world.now(), "harness", "state", "probe", planted)
            await run.steady("steady")
            await run.break_it_watched()
            if world.service.child.running() and scenario.term_at_s is None:
                await run.recover()
                await run.steady("quiet")
                await probe_outbox(world)
                await probe_metrics(world)
            await run.end()
            await settle(world.recorder)
            probe_after_end(world)

    return await observed(world, body)


class _Run:
    """The phases of one run."""

    def __init__(self, world: LiveWorld, scenario: Scenario, on_phase: Callable[[str], None]) -> None:
        self.world = world
        self.scenario = scenario
        self.on_phase = on_phase
        self._since_s: dict[str, float] = {}
        self._at_the_end: list[Callable[[], None]] = []

    def phase(self, name: str) -> None:
        self.on_phase(name)
        self.world.recorder.add(self.world.now(), "harness", "state", "phase", {"phase": name})

    async def steady(self, name: str) -> None:
        if self.scenario.steady.operations:
            self.phase(name)
            await self.world.client.run(self.scenario.steady)
            await probe_ready(self.world)

    async def break_it_watched(self) -> None:
        """``break_it``, with the loop's lag watched from inside the process where hostile lines are logged."""
        if not self.scenario.hostile_bytes:
            await self.break_it()
            return
        worst = [0.0]
        watching = asyncio.create_task(watch_lag(self.world, worst), name="lag-watch")
        try:
            await self.break_it()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await settle(self.world.recorder)
        probe_hostile_lines(self.world, self.scenario.hostile_bytes, worst[0])

    async def break_it(self) -> None:
        self.phase("faults")
        async with asyncio.TaskGroup() as group:
            group.create_task(run_schedule(self.scenario.schedule, self.world, observe=self._fault))
            group.create_task(self.world.client.run(self.scenario.workload))
            for reload in self.scenario.reloads:
                group.create_task(self._after(reload.at_s, functools.partial(self._reload, reload)))
            if self.scenario.term_at_s is not None:
                group.create_task(self._after(self.scenario.term_at_s, self._terminate))
        for probe in self._at_the_end:
            probe()
        self.phase("healed")

    async def _after(self, at_s: float, act: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(at_s)
        await act()

    async def _terminate(self) -> None:
        await self.world.service.signal(signal.SIGTERM)
        await self.world.service.wait_exit(EXIT_S_MAX)

    async def _reload(self, reload: Reload) -> None:
        service = self.world.service
        fresh: Any = reload.settings
        if not isinstance(fresh, str) and reload.by != "rollback":
            fresh = merge(service.settings, fresh)
        if reload.by != "rollback":
            service.write_config(fresh)
        if reload.by == "sighup":
            with contextlib.suppress(ProcessLookupError):
                await service.signal(signal.SIGHUP)
        elif reload.by in {"admin", "rollback"}:
            path = "/admin/reload" if reload.by == "admin" else "/admin/rollback"
            await self.world.client.send(Operation(0, "admin", "POST", path, "operator", "critical"))

    def _fault(self, what: str, fault_id: str, fault: Fault, bite: Bite | None) -> None:
        now = self.world.now()
        if bite is None:
            self._since_s[fault_id] = now
        elif fault.kind == "descriptors_exhausted":
            # Nobody new can be served while there are none: what counts is that it goes on afterwards.
            self._at_the_end.append(functools.partial(self._rude, fault, bite, fault_id))
        elif fault.kind in RUDE_KINDS:
            self._rude(fault, bite, fault_id)
        if bite is None and fault.kind == "dns_failure":
            probe = {"probe": "unresolved_name", "downstream": fault.target}
            self.world.recorder.add(now, "harness", "state", "probe", probe)
        value: dict[str, Any] = {"kind": fault.kind, "target": fault.target}
        if bite is None:
            value["parameters"] = fault.to_json()
        else:
            value |= {"bit": bite.bit, "bite": dict(bite.counts), "verified": True}
        self.world.recorder.add(now, "harness", "fault", what, value, fault_id)

    def _rude(self, fault: Fault, bite: Bite, fault_id: str) -> None:
        probe_rude_clients(self.world, fault.kind, bite.counts, self._since_s[fault_id])

    async def recover(self) -> None:
        """Await the way back within its bound; the judge decides whether it was reached."""
        self.phase("recovery")
        end = self.world.now() + self.scenario.recovery_s
        while not is_steady(await probe_ready(self.world)) and self.world.now() < end:
            # A breaker closes by a probe, and a probe needs somebody who asks.
            for operation in self.scenario.steady.operations[:2]:
                await self.world.client.send(operation)
            await asyncio.sleep(RECOVERY_POLL_S)

    async def end(self) -> None:
        self.phase("shutdown")
        if self.world.service.child.running():
            await self._terminate()


def is_steady(ready: dict[str, Any]) -> bool:
    """What /ready shows to an operator is as it was before: breakers closed, level none, nothing waiting."""
    if not ready.get("ready"):
        return False
    breakers = ready.get("breakers", {})
    outbox = ready.get("outbox", {})
    closed = all(state == "closed" for state in breakers.values())
    waiting = outbox.get("depth", 0) if isinstance(outbox, dict) else 0
    return closed and ready.get("level", "none") == "none" and not waiting and not ready.get("degraded")
