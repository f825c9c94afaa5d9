"""The simulated world: the whole service, its Redis and its downstreams on machines of one process, in virtual time.

In: a ``WorldSpec``, inside a program that the simulator runs. It takes the same scenarios and faults as the live world,
writes the same history and is judged by the same claims. Memory, processor and lag are readings; processes are
machines of the simulated network, which crash, stop and restart with what was durable.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from hardening.simulator.core.machines import EPOCH_S
from hardening.worlds.shared.downstreams import NAMES, FakeDownstream, Market
from hardening.worlds.shared.market import CsvMarket, SeededMarket
from hardening.worlds.shared.pool_slots import slots_in_use
from hardening.worlds.simulated.layout import SimMachines
from hardening.worlds.simulated.seams import SimFiles
from hardening.worlds.simulated.service import SimService
from hardening.worlds.simulated.targets import RecordedRedis, sim_targets
from hardening.worlds.spec import WorldSpec, library_versions
from hardening.worlds.stage import Stage

PORT = 8080
REDIS_PORT = 6379
PORTS: Mapping[str, int] = {"ticker": 8081, "user": 8082, "alert": 8083, "comms": 8084}
AUDIT = Path("audit.jsonl")
_CACHING_PACKAGES = ("fastapi", "starlette")
_CACHE = type(functools.lru_cache(len))


@functools.cache
def versions() -> Mapping[str, str]:
    """What runs: Python, the libraries that the service uses, and what is simulated of the rest."""
    engine = f"simulated on fakeredis {metadata.version('fakeredis')}"
    proxy = "simulated links with the embedded proxy's toxics"
    return {**library_versions(), "redis_server": engine, "toxiproxy": proxy}


def _forget_applications() -> None:
    """Empty what FastAPI and Starlette cache of every application that a process makes.

    They keep each endpoint, in caches of thousands: of thousands of simulated services in one process all would stay,
    with their histories. Filling a cache again costs microseconds for each endpoint.
    """
    for cache in _caches():
        cache.cache_clear()


def _caches() -> Iterator[Any]:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _CACHING_PACKAGES:
            # ``vars``: asking by name would run what a library computes for names that it deprecates.
            yield from (item for item in vars(module).values() if isinstance(item, _CACHE))


class SimDownstreams:
    """The fake downstreams, each on a machine of its own."""

    def __init__(self, machines: SimMachines, spec: WorldSpec, market: Market) -> None:
        self.only: Sequence[str] = tuple(name for name in NAMES if name not in spec.absent)
        self.ports: dict[str, int] = dict(PORTS)
        self._network = machines.network
        self.by_name = {
            name: FakeDownstream(
                name,
                machines.record,
                market,
                wall=machines.true_wall,
                monotonic=machines.loop.time,
                latency_s=spec.latency_s.get(name, 0.0),
            )
            for name in NAMES
        }
        self._servers: list[Any] = []

    async def start(self) -> None:
        """See ``FakeDownstreams``."""
        for name in self.only:
            server = self.by_name[name].server()
            with self._network.host(name):
                await server.start(port=PORTS[name])
            self._servers.append(server)

    async def stop(self) -> None:
        """See ``FakeDownstreams``."""
        servers, self._servers = self._servers, []
        for server in servers:
            await server.stop()


class SimWorld(Stage):
    """``async with SimWorld(spec) as world`` inside a simulated program.

    Args:
        spec: as for the live world; the caller has applied its sabotage to the process.
        market: candles; drawn from the seed when there are none.
    """

    world = "simulated"

    def __init__(self, spec: WorldSpec, market: Market | None = None) -> None:
        self.machines = SimMachines()
        self.loop, self.network = self.machines.loop, self.machines.network
        super().__init__(spec)
        self.machines.recorder = self.recorder
        self.files = SimFiles()
        self.machines.lay_out()
        durable = {} if spec.durable else {"appendonly": "no"}
        redis = {"requirepass": self.secrets.redis_password, **durable}
        self.redis: RecordedRedis = RecordedRedis(self.network, "redis", REDIS_PORT, redis)
        self.redis.machines = self.machines
        csv, seed = spec.context.candles, spec.context.seed
        found = market or (CsvMarket.load(Path(csv)) if csv else SeededMarket(seed))
        self.downstreams: SimDownstreams = SimDownstreams(self.machines, spec, found)
        self.service: SimService = SimService(self.machines, self.recorder, spec, self.files)
        demo = self.secrets.keys["demo"].key
        fakes = self.downstreams.by_name
        self._all_targets = sim_targets(self.machines, self.service, self.files, self.redis, fakes, demo)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def now(self) -> float:
        """See ``Stage``."""
        return self.machines.now()

    def _started_at(self) -> str:
        return datetime.fromtimestamp(EPOCH_S, UTC).isoformat(timespec="seconds")

    def _versions(self) -> dict[str, str]:
        return dict(versions())

    def _places(self) -> dict[str, Any]:
        return {
            "port": PORT,
            "redis_url": f"redis://:{self.secrets.redis_password}@redis:{REDIS_PORT}/0",
            "audit_path": str(AUDIT),
            "urls": {name: f"http://{name}:{PORTS[name]}" for name in NAMES},
        }

    def target(self, protocol: str, name: str) -> object:
        """See ``Stage``; a link is made when a fault first acts on it, since each connection then passes its toxics."""
        found = super().target(protocol, name)
        return self.network.link(name) if protocol == "link" else found

    def _targets(self) -> Mapping[tuple[str, str], object]:
        absent = {("downstream", name) for name in NAMES if name not in self.downstreams.only}
        links = dict.fromkeys(("link", name) for name in ("redis", *NAMES))
        return links | {key: target for key, target in self._all_targets.items() if key not in absent}

    async def settle(self) -> None:
        """See ``Stage``: nothing is buffered on its way here."""
        await asyncio.sleep(0)

    @property
    def audit_path(self) -> Path:
        """See ``Stage``: written out now, with everything that lies beside it on the simulated disk."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="hardening-audit-")
        folder = Path(self._folder.name)
        for name, data in self.files.contents.items():
            (folder / name).write_bytes(data)
        return folder / AUDIT

    def machine_of(self, name: str) -> AbstractContextManager[object]:
        """See ``Stage``."""
        return self.network.host(name)

    async def _start_dependencies(self) -> None:
        await self.redis.start()
        await self.downstreams.start()

    async def _stop_everything(self) -> None:
        await self.service.stop()
        await self.downstreams.stop()
        if self.redis.is_up:
            await self.redis.shutdown()
        # Packets under way arrive, and what was closed is forgotten, before anybody looks for leaked resources.
        await asyncio.sleep(1.0)

    def dispose(self) -> None:
        """Remove the written-out audit log, and the service from what libraries cache."""
        _forget_applications()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def slots_in_use(self) -> int | None:
        """See ``Stage``: the service is in this process."""
        return slots_in_use() if self.service.running() else None

    def leftovers(self) -> list[str]:
        """See ``Stage``: tasks, connections and listeners that nobody ended."""
        mine = asyncio.current_task()
        tasks = [task for task in self.loop.running_tasks() if task is not mine]
        return [*(f"task {task.get_name()}" for task in tasks), *self.network.leftovers()]
