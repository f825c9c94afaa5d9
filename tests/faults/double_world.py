"""A world of one small process and one real Valkey, with the same targets as the live world's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from hardening.faults.base import UnsupportedTargetError
from hardening.faults.run_directory import RunDirectory
from hardening.worlds.agent.client import AgentHolds, agent_socket
from hardening.worlds.live.processes import Child, until
from hardening.worlds.live.targets import ServiceClock, ServiceFiles, ServiceLoop, ServiceName, ServiceResources
from hardening.worlds.live.valkey import ValkeyServer

DOUBLE = Path(__file__).with_name("double_process.py")
NAME = "ticker.localhost"


class DoubleProcess:
    """The process, its port, and one connection to ask it."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.lines: list[str] = []
        argv = [sys.executable, str(DOUBLE), str(agent_socket(run))]
        self.child = Child("double", argv, run, {"PYTHONPATH": str(Path.cwd())}, self.lines.append)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def start(self) -> None:
        await self._hang_up()
        self.lines.clear()
        await self.child.start()
        assert await until(lambda: bool(self.lines) or not self.child.running(), 10), "the double said nothing"
        port = json.loads(self.lines[0])["port"]
        self._streams = await asyncio.open_connection("127.0.0.1", port)

    async def _hang_up(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()

    async def stop(self) -> None:
        await self._hang_up()
        await self.child.stop(5)

    async def ask(self, ask: str, **more: Any) -> Any:
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(json.dumps({"ask": ask, **more}).encode() + b"\n")
        async with asyncio.timeout(10):
            return json.loads(await reader.readline())

    async def signal(self, number: int) -> None:
        self.child.send(number)
        await asyncio.sleep(0.02)

    async def alive(self) -> bool:
        return self.child.running()

    async def stopped(self) -> bool:
        return self.child.stopped()


async def no_metrics() -> Mapping[str, float]:
    return {}


class DoubleWorld:
    """Hands out targets over the double, and over a Valkey when there is one."""

    def __init__(self, run: RunDirectory, process: DoubleProcess | None, redis: ValkeyServer | None) -> None:
        self.run = run
        self.process = process
        self.redis = redis
        self.audit = run.path / "audit.jsonl"
        self.known: dict[tuple[str, str], object] = {}
        if redis is not None:
            self.known[("redis", "redis")] = redis
        if process is not None:
            holds = AgentHolds(agent_socket(run))
            self.known |= {
                ("process", "service"): process,
                ("resources", "service"): ServiceResources(holds, run, lambda: process.child.pid, no_metrics),
                ("clock", "service"): ServiceClock(holds),
                ("event_loop", "service"): ServiceLoop(holds),
                ("files", "service"): ServiceFiles(holds, self.audit),
                ("names", "ticker"): ServiceName(holds, lambda: NAME),
            }

    def target(self, protocol: str, name: str) -> object:
        try:
            return self.known[(protocol, name)]
        except KeyError:
            known = ", ".join(f"{p} {n}" for p, n in self.known)
            raise UnsupportedTargetError("fault.target", f"{protocol} {name}", known) from None


@contextlib.asynccontextmanager
async def double_world(root: Path, *, process: bool = True, redis: bool = False) -> AsyncIterator[DoubleWorld]:
    """Everything runs inside and nothing does after."""
    with RunDirectory(root) as run:
        double = DoubleProcess(run) if process else None
        server = ValkeyServer(run) if redis else None
        try:
            if server is not None:
                await server.start()
            if double is not None:
                await double.start()
            yield DoubleWorld(run, double, server)
        finally:
            if double is not None:
                await double.stop()
            if server is not None:
                await server.stop()
