"""Runs a start under difficulties: what was missing, whether the service served, how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field

from scenarios.runner import Run, observed
from scenarios.scenario import StartupCase
from scenarios.worlds.downstream_process import settle
from scenarios.worlds.downstreams import NAMES
from scenarios.worlds.live import LiveSpec, LiveWorld
from scenarios.worlds.probes import probe_ready
from scenarios.worlds.processes import until

OVERTIME_S = 6.0
"""Beyond the start-up time, before we stop waiting: an interpreter has to start and end as well."""

START_UP = {"attempt_s": 0.5, "total_s": 3.0, "base_s": 0.1, "cap_s": 0.5}
"""The start-up figures, shortened ten-fold so that a missing dependency costs seconds; the evidence states them."""


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


async def run_startup(case: StartupCase, *, seed: int, commit: str, sabotage: str = "") -> Run:
    """Start the service as the case says, watch, and record a ``startup`` probe."""
    spec = LiveSpec(
        settings={"startup": START_UP, **case.settings},
        seed=seed,
        sabotage=sabotage,
        scenario=f"startup-{case.name}",
        commit=commit,
    )
    world = LiveWorld(spec)

    async def body() -> None:
        try:
            await world.prepare()
            await _attempt(world, case)
        finally:
            await world.close()

    return await observed(world, body)


async def _attempt(world: LiveWorld, case: StartupCase) -> None:
    hanging = await _take_away(world, case)
    service = world.service
    began = world.now()
    try:
        await service.launch()
        if case.signal_after_s is not None:
            await asyncio.sleep(case.signal_after_s)
            with contextlib.suppress(ProcessLookupError):
                await service.signal(signal.SIGTERM)
        if case.appear_after_s is not None:
            await asyncio.sleep(case.appear_after_s)
            await _give_back(world, case, hanging)
        limit_s = float(START_UP["total_s"]) + OVERTIME_S
        await until(lambda: service.address is not None or not service.child.running(), limit_s)
        ready_s = world.now() - began
        await _observe(world, case, ready_s, hanging)
    finally:
        for one in hanging:
            await one.stop()


async def _take_away(world: LiveWorld, case: StartupCase) -> list[_Hanging]:
    if "redis" in case.absent:
        await world.redis.kill()
    gone = [name for name in case.absent if name in NAMES]
    if gone:
        await world.downstreams.stop()
        world.downstreams.only = tuple(name for name in NAMES if name not in gone)
        kept = dict(world.downstreams.ports)
        await world.downstreams.start()
        world.downstreams.ports.update({name: kept[name] for name in gone})
    hanging = []
    for name in case.absent if case.hang else ():
        hanging.append(_Hanging())
        await hanging[-1].start(world.redis.port if name == "redis" else world.downstreams.ports[name])
    return hanging


async def _give_back(world: LiveWorld, case: StartupCase, hanging: list[_Hanging]) -> None:
    for one in hanging:
        await one.stop()
    if "redis" in case.absent:
        await world.redis.restart()
    if set(case.absent) & set(NAMES):
        await world.downstreams.stop()
        world.downstreams.only = NAMES
        await world.downstreams.start()


async def _observe(world: LiveWorld, case: StartupCase, ready_s: float, hanging: list[_Hanging]) -> None:
    """Record how it came out; a service that serves is asked how ready it is, brought back to health, and ended."""
    service = world.service
    served = service.address is not None
    value: dict[str, object] = {"probe": "startup", "case": case.name, "served": served, "absent": list(case.absent)}
    value["elapsed_s"] = round(ready_s, 3)
    if served:
        ready = await probe_ready(world)
        value["degraded"] = ready.get("degraded", [])
        optional = set(case.absent) <= {"alert", "comms"}
        if case.appear_after_s is None and optional and case.absent:
            await _give_back(world, case, hanging)
            value["recovered"] = await _becomes_whole(world)
        exit_code = await service.stop()
    else:
        await until(lambda: not service.child.running(), 5)
        if service.child.running():
            await service.child.stop(1, signal.SIGKILL)
        exit_code = service.child.exit_code
        service.exited()
    await settle(world.recorder)
    lines = [line for line in service.child.tail if not line.startswith("{")]
    value |= {"exit_code": exit_code, "line": lines[-1] if lines else "", "signalled": case.signal_after_s is not None}
    world.recorder.add(world.now(), "harness", "state", "probe", value)


async def _becomes_whole(world: LiveWorld, deadline_s: float = 12.0) -> bool:
    end = world.now() + deadline_s
    while world.now() < end:
        ready = await probe_ready(world)
        if ready.get("ready") and not ready.get("degraded"):
            return True
        await asyncio.sleep(0.25)
    return False
