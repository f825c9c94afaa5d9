"""Runs starts under difficulties: what was missing, whether the service served, how it ended; one history of all."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from hardening.catalogue.scenario import Program, Scenario, StartupCase
from hardening.runs.phases import OnPhase, Run, no_phase
from hardening.runs.probes import probe_ready
from hardening.runs.runner import observed, run_live
from hardening.worlds.live.processes import until
from hardening.worlds.live.world import LiveWorld
from hardening.worlds.shared.downstreams import NAMES
from hardening.worlds.spec import RunContext, WorldSpec
from hardening.worlds.stage import Stage

START_UP = {"attempt_s": 0.5, "total_s": 2.0, "base_s": 0.1, "cap_s": 0.5}
"""The start-up figures, shortened so that a missing dependency costs seconds; the evidence states them."""

OVERTIME_S = 6.0
"""Beyond the start-up time, before we stop waiting: an interpreter has to start and end as well."""

RECOVERY_S_MAX = 12.0
FLAPS = 2
FLAP_S = 0.05
"""How long a flapping dependency is there before it goes again: too short to start on, long enough to be seen."""


@dataclass(slots=True)
class _Hanging:
    """A port that accepts connections and never answers."""

    server: asyncio.Server | None = None
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def start(self, port: int) -> None:
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", port)

    async def _accept(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def run_startups(cases: Sequence[StartupCase], context: RunContext, on_phase: OnPhase = no_phase) -> Run:
    """Start the service once per case in the live world; see ``run_startups_on``."""
    world = LiveWorld(WorldSpec(context, "startup", {"startup": START_UP}))
    return await run_startups_on(world, cases, START_UP["total_s"], on_phase)


def run_program(program: Program, context: RunContext, on_phase: OnPhase = no_phase) -> Coroutine[Any, Any, Run]:
    """Run a scenario, or starts under difficulties, in the live world."""
    if isinstance(program, Scenario):
        return run_live(program, context, on_phase)
    return run_startups(program, context, on_phase)


async def run_startups_on(
    world: Stage, cases: Sequence[StartupCase], total_s: float, on_phase: OnPhase = no_phase
) -> Run:
    """Start the service once per case, watch each start, and record a ``startup`` probe for it.

    ``total_s`` is the start-up time in force, in seconds.
    """

    async def body() -> None:
        try:
            await world.prepare()
            for case in cases:
                on_phase(f"{case.dependency} {case.case}")
                await _Start(world, case, total_s).watch()
        finally:
            await world.close()

    return await observed(world, body)


class _Start:
    """One start and what became of it."""

    def __init__(self, world: Stage, case: StartupCase, total_s: float) -> None:
        self.world = world
        self.total_s = total_s
        self.case = case
        self.hanging = _Hanging()
        self.value: dict[str, Any] = {"probe": "startup", "case": case.case, "dependency": case.dependency}

    async def watch(self) -> None:
        async with self._without_dependency():
            began = self.world.now()
            await self.world.service.launch()
            began = await self._signal_or_appear(began)
            await self._until_served_or_ended()
            began = max(began, self._first_attempt_s(began))
            self.value["elapsed_s"] = round(self.world.now() - began, 3)
            served = self.world.service.address is not None
            self.value |= {"served": served, "served_early": self._served_early()}
            if served:
                await self._look_at_ready()
            await self._end()
        self.world.recorder.add(self.world.now(), "harness", "state", "probe", self.value)

    async def _signal_or_appear(self, began: float) -> float:
        """Send the signal or bring the dependency; returns the moment from which the time counts."""
        case = self.case
        if case.signal_after_s is not None:
            # From the first attempt on: a signal during an interpreter's imports would exercise nothing.
            await until(lambda: self._first_attempt_s(began) > began, OVERTIME_S)
            await asyncio.sleep(case.signal_after_s)
            began = self.world.now()
            with contextlib.suppress(ProcessLookupError):
                await self.world.service.signal(signal.SIGTERM)
        if case.appear_after_s is not None:
            for _ in range(FLAPS if case.case == "flapping" else 0):
                await asyncio.sleep(case.appear_after_s)
                await self._give_back()
                await asyncio.sleep(FLAP_S)
                await self._take_away()
            await asyncio.sleep(case.appear_after_s)
            await self._give_back()
        return began

    def _first_attempt_s(self, since_s: float) -> float:
        """When the service first tried a dependency: an interpreter's own start is no part of the start-up time."""
        events = self.world.recorder.history().states("startup")
        return next((event.t for event in events if event.t >= since_s), since_s)

    async def _until_served_or_ended(self) -> None:
        service = self.world.service
        limit_s = self.total_s + OVERTIME_S
        await until(lambda: service.address is not None or not service.running(), limit_s)

    def _served_early(self) -> bool:
        """It listened although a critical dependency had not been seen."""
        critical = self.case.dependency not in {"alert", "comms"}
        return critical and self.case.case not in {"late", "flapping"} and self.world.service.address is not None

    async def _look_at_ready(self) -> None:
        ready = await probe_ready(self.world)
        self.value["degraded"] = _missing_in(ready)
        if self.case.dependency in {"alert", "comms"}:
            await self._give_back()
            self.value["recovered"] = await self._recovers()

    async def _recovers(self) -> bool:
        end = self.world.now() + RECOVERY_S_MAX
        while self.world.now() < end:
            ready = await probe_ready(self.world)
            if ready.get("ready") and self.case.dependency not in _missing_in(ready):
                return True
            await asyncio.sleep(0.2)
        return False

    async def _end(self) -> None:
        """Let it end, or end it; its last words are those that are no structured event."""
        service = self.world.service
        if service.address is not None:
            self.value["exit_code"] = await service.stop()
        else:
            await until(lambda: not service.running(), 5)
            await service.destroy()
            self.value["exit_code"] = service.exit_code
        await self.world.settle()
        lines = [line for line in service.last_words if not line.startswith("{")]
        self.value["line"] = lines[-1] if lines else ""

    @contextlib.asynccontextmanager
    async def _without_dependency(self) -> AsyncIterator[None]:
        """Take the dependency away; it is back, if need be, when this ends."""
        name = self.case.dependency
        await self._take_away()
        if self.case.case == "hanging":
            with self.world.machine_of(name):
                await self.hanging.start(self.world.downstreams.ports[name])
        try:
            yield
        finally:
            await self._give_back()

    async def _take_away(self) -> None:
        name = self.case.dependency
        if name == "redis":
            await self.world.redis.kill()
        else:
            await self._restart_stand_ins([other for other in NAMES if other != name])

    async def _give_back(self) -> None:
        await self.hanging.stop()
        if self.case.dependency == "redis":
            if not await self.world.redis.alive():
                await self.world.redis.restart()
        elif self.case.dependency not in self.world.downstreams.only:
            await self._restart_stand_ins(NAMES)

    async def _restart_stand_ins(self, names: Sequence[str]) -> None:
        fakes = self.world.downstreams
        kept = dict(fakes.ports)
        await fakes.stop()
        fakes.only = tuple(names)
        await fakes.start()
        fakes.ports.update({name: kept[name] for name in NAMES if name not in names})


def _missing_in(ready: dict[str, Any]) -> list[str]:
    """Dependencies that ``/ready`` says are missing or down."""
    dependencies = ready.get("dependencies", {})
    return sorted(name for name, state in dependencies.items() if state not in {"up", "ok", "closed"})
