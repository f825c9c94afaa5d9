"""The simulated world: the whole service, its Redis and its downstreams on machines of one process, in virtual time.

It is made inside a program that the simulator runs. It takes the same scenarios and faults as the live world, writes
the same history and answers to the same judge. Memory, processor and lag are readings; processes are machines of the
simulated network, which crash, stop and start anew with what was durable.
"""

from __future__ import annotations

import asyncio
import functools
import platform
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from hardening.faults.base import UnsupportedTargetError
from hardening.history.events import Header, Recorder, digest_of
from hardening.simulator.core.machines import EPOCH_S
from hardening.simulator.net.program import current_loop
from hardening.simulator.net.program import network as simulated_network
from hardening.worlds.live.world import LiveSpec, merge
from hardening.worlds.shared.client import Client
from hardening.worlds.shared.downstreams import NAMES, Market, StandIn
from hardening.worlds.shared.keys import Secrets
from hardening.worlds.shared.library_caches import forget_applications
from hardening.worlds.shared.market import CsvMarket, SeededMarket
from hardening.worlds.shared.pool_slots import slots_in_use
from hardening.worlds.simulated.seams import SimFiles
from hardening.worlds.simulated.service import HOST, SimService
from hardening.worlds.simulated.targets import RecordedRedis, SimDownstream, sim_targets

PORT = 8080
REDIS_PORT = 6379
PORTS: Mapping[str, int] = {"ticker": 8081, "user": 8082, "alert": 8083, "comms": 8084}
SAMPLE_EVERY_S = 0.5
AUDIT = Path("audit.jsonl")

LATENCIES_S: Mapping[str, tuple[float, float]] = {
    "redis": (0.0002, 0.008),
    "ticker": (0.0005, 0.02),
    "user": (0.0005, 0.02),
    "alert": (0.0005, 0.02),
    "comms": (0.0005, 0.02),
    "local": (0.0005, 0.02),
}
"""Bounds of a packet's way between the service and each other machine: those of one data centre, tail included."""


@functools.cache
def versions() -> Mapping[str, str]:
    """What ran: Python, the libraries the service stands on, and what stood in for the rest."""
    names = ("fastapi", "uvicorn", "httpx", "httpcore", "redis", "structlog", "pydantic", "tenacity", "h11")
    found = {name: metadata.version(name) for name in names}
    engine = f"simulated on fakeredis {metadata.version('fakeredis')}"
    proxy = "simulated links with the embedded proxy's toxics"
    return {"python": platform.python_version(), **found, "redis_server": engine, "toxiproxy": proxy}


class SimStandIns:
    """``contract.StandIns``: each on a machine of its own."""

    def __init__(self, world: SimWorld, market: Market) -> None:
        self.only: Sequence[str] = tuple(name for name in NAMES if name not in world.spec.absent)
        self.ports: dict[str, int] = dict(PORTS)
        self._world = world
        record = lambda process, kind, f, value, id_: world.recorder.add(  # noqa: E731
            world.now(), process, kind, f, value, id_
        )
        self.by_name = {
            name: StandIn(
                name,
                record,
                market,
                wall=world.true_wall,
                monotonic=world.loop.time,
                latency_s=world.spec.latency_s.get(name, 0.0),
            )
            for name in NAMES
        }
        self._servers: list[Any] = []

    async def start(self) -> None:
        """See ``contract.StandIns``."""
        for name in self.only:
            server = self.by_name[name].server()
            with self._world.network.host(name):
                await server.start(port=PORTS[name])
            self._servers.append(server)

    async def stop(self) -> None:
        """See ``contract.StandIns``."""
        servers, self._servers = self._servers, []
        for server in servers:
            await server.stop()


class SimWorld:
    """``async with SimWorld(spec) as world`` inside a simulated program; implements ``contract.Stage``.

    Args:
        spec: as for the live world; ``sabotage`` has been applied to the process already.
        market: candles; drawn from the seed when there are none.
    """

    def __init__(self, spec: LiveSpec, market: Market | None = None) -> None:
        self.spec = spec
        self.loop = current_loop()
        self.network = simulated_network()
        self.secrets = Secrets.draw(spec.seed)
        self.recorder = Recorder(self._header({}))
        self.files = SimFiles()
        self._lay_out()
        durable = {} if spec.durable else {"appendonly": "no"}
        settings = {"requirepass": self.secrets.redis_password, **durable}
        self.redis = RecordedRedis(self.network, "redis", REDIS_PORT, settings)
        self.redis.world = self
        found = market or (CsvMarket.load(Path(spec.candles)) if spec.candles else SeededMarket(spec.seed))
        self.downstreams = SimStandIns(self, found)
        self.service = SimService(self)
        self.client = Client(self._address, self.recorder, self.now, self.secrets.keys)
        self._targets = sim_targets(self)
        self._sampler: asyncio.Task[None] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def _lay_out(self) -> None:
        """The machines and the ways between them."""
        for name in (HOST, *LATENCIES_S):
            self.network.address(name)
        for name, (low, high) in LATENCIES_S.items():
            self.network.set_latency(HOST, name, low, high)

    def now(self) -> float:
        """Virtual seconds since the run began, as exact as a history keeps them."""
        return round(self.loop.time() - self.loop.started_s, 6)

    async def settle(self) -> None:
        """See ``contract.Stage``: nothing is buffered on its way here."""
        await asyncio.sleep(0)

    def true_wall(self) -> float:
        """The wall clock of everybody but the service, whose clock may be set off."""
        return EPOCH_S + self.now()

    def wall(self) -> float:
        """The service's wall clock."""
        return self.true_wall() + self.loop.wall_off_s()

    def _address(self) -> tuple[str, int]:
        if self.service.address is None:
            raise ConnectionRefusedError("the service does not listen")
        return self.service.address

    def _header(self, settings: Mapping[str, Any]) -> Header:
        spec = self.spec
        return Header(
            world="simulated",
            settings=settings,
            settings_digest=digest_of(settings),
            seed=spec.seed,
            commit=spec.commit,
            canaries=(*self.secrets.canaries(), *spec.canaries),
            versions=versions(),
            started_at=datetime.fromtimestamp(EPOCH_S, UTC).isoformat(timespec="seconds"),
            scenario=spec.scenario,
            keep=spec.keep,
        )

    def _settings(self) -> dict[str, Any]:
        own = self.secrets.settings(
            port=PORT,
            redis_url=f"redis://:{self.secrets.redis_password}@redis:{REDIS_PORT}/0",
            audit_path=str(AUDIT),
            urls={name: f"http://{name}:{PORTS[name]}" for name in NAMES},
        )
        return merge(own, self.spec.settings)

    @property
    def settings(self) -> dict[str, Any]:
        """The service's configuration, secrets included."""
        return self.service.settings

    @property
    def audit_path(self) -> Path:
        """The audit log written out, for whoever verifies it: a file with what lies beside it."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="hardening-audit-")
        folder = Path(self._folder.name)
        for name, data in self.files.contents.items():
            (folder / name).write_bytes(data)
        return folder / AUDIT

    def machine_of(self, name: str) -> AbstractContextManager[object]:
        """See ``contract.Stage``."""
        return self.network.host(name)

    async def prepare(self) -> None:
        """See ``contract.Stage``."""
        await self.redis.start()
        await self.downstreams.start()
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
        """See ``contract.Stage``."""
        if self._sampler is not None:
            self._sampler.cancel()
            await asyncio.gather(self._sampler, return_exceptions=True)
        await self.service.stop()
        await self.downstreams.stop()
        if self.redis.is_up:
            await self.redis.shutdown()
        # Packets under way arrive, and what was closed is forgotten, before anybody looks for left-overs.
        await asyncio.sleep(1.0)

    def dispose(self) -> None:
        """Take the written-out audit log away, and the service out of what libraries remember."""
        forget_applications()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def target(self, protocol: str, name: str) -> object:
        """The targets of this world; see ``hardening.faults.targets.World``."""
        if protocol == "link" and name in ("redis", *NAMES):
            return self.network.link(name)
        if protocol == "downstream" and name in self.downstreams.only:
            return self._targets.setdefault((protocol, name), SimDownstream(self.downstreams.by_name[name]))
        if (protocol, name) not in self._targets:
            known = [*self._targets, *((p, n) for p in ("link", "downstream") for n in NAMES)]
            allowed = ", ".join(sorted(f"{p} {n}" for p, n in known))
            raise UnsupportedTargetError(
                "fault.target", f"{protocol} {name}", f"what the simulated world has: {allowed}"
            )
        return self._targets[(protocol, name)]

    async def slots_in_use(self) -> int | None:
        """See ``contract.Stage``: the service is in this process."""
        return slots_in_use() if self.service.running() else None

    def leftovers(self) -> list[str]:
        """Tasks, connections and listeners that nobody ended."""
        mine = asyncio.current_task()
        tasks = [task for task in self.loop.running_tasks() if task is not mine]
        return [*(f"task {task.get_name()}" for task in tasks), *self.network.leftovers()]
