"""What a world offers to the code that runs a scenario in it: the same for real processes and for virtual time.

In: a ``WorldSpec``. Out: a running service with its Redis and fake downstreams, a recorder with everything that
happened (times in seconds since the run began), targets for faults. ``ProcessError`` when a part does not come up;
``UnsupportedTargetError`` for a target that a world has not.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from hardening.faults.base import UnsupportedTargetError
from hardening.history.events import Header, Recorder, digest_of
from hardening.worlds.service_handle import ServiceHandle
from hardening.worlds.shared.client import Client
from hardening.worlds.shared.keys import Secrets
from hardening.worlds.spec import WorldSpec, merge

SAMPLE_EVERY_S = 0.5
_HIDDEN = ("api_keys", "service_token", "redis_url", "audit_key", "audit_path")
"""Settings that hold a secret or a path of this machine: never in a header."""


class RedisProcess(Protocol):
    """The world's Redis."""

    async def kill(self) -> None:
        """End it by SIGKILL."""

    async def alive(self) -> bool:
        """True when it answers."""

    async def restart(self, *, keep_data: bool = True) -> None:
        """Start it again."""


class FakeDownstreams(Protocol):
    """The fake downstreams.

    Attributes:
        only: those that are there.
        ports: where each listens, or would.
    """

    only: Sequence[str]
    ports: dict[str, int]

    async def start(self) -> None:
        """Start those of ``only``."""

    async def stop(self) -> None:
        """End all of them."""


def pick(targets: Mapping[tuple[str, str], object], protocol: str, name: str, world: str) -> object:
    """The target of a protocol and name.

    Raises:
        UnsupportedTargetError: naming what the world has.
    """
    if (protocol, name) not in targets:
        allowed = ", ".join(sorted(f"{p} {n}" for p, n in targets))
        raise UnsupportedTargetError("fault.target", f"{protocol} {name}", f"what {world} has: {allowed}")
    return targets[protocol, name]


class Stage(ABC):
    """A world in which a scenario runs; ``async with`` brings it up and takes it down.

    Attributes:
        world: its name in the header of a history.
        service, redis, downstreams: its parts.
    """

    world: ClassVar[str]
    service: ServiceHandle
    redis: RedisProcess
    downstreams: FakeDownstreams

    def __init__(self, spec: WorldSpec) -> None:
        self.spec = spec
        self.secrets = Secrets.draw(spec.context.seed)
        self.recorder = Recorder(self._header({}))
        self.client = Client(self._address, self.recorder, self.now, self.secrets.keys)
        self._sampler: asyncio.Task[None] | None = None

    @abstractmethod
    def now(self) -> float:
        """Seconds since the run began, as exact as a history keeps them."""

    @abstractmethod
    def _started_at(self) -> str:
        """When the run began, ISO 8601."""

    @abstractmethod
    def _versions(self) -> dict[str, str]:
        """What runs: Python, libraries, Redis server, Toxiproxy."""

    @abstractmethod
    def _places(self) -> dict[str, Any]:
        """Where the service finds things: the arguments of ``Secrets.settings``."""

    @abstractmethod
    async def _start_dependencies(self) -> None:
        """Start everything but the service."""

    @abstractmethod
    async def _stop_everything(self) -> None:
        """End service and dependencies, in order."""

    @abstractmethod
    def _targets(self) -> Mapping[tuple[str, str], object]:
        """Targets of faults by protocol and name."""

    @property
    @abstractmethod
    def audit_path(self) -> Path:
        """A file that holds the service's audit log, once it has ended."""

    @abstractmethod
    def machine_of(self, name: str) -> AbstractContextManager[object]:
        """Inside, servers open where the dependency ``name`` would be."""

    @abstractmethod
    async def settle(self) -> None:
        """Wait until the processes' last lines have been read."""

    @abstractmethod
    async def slots_in_use(self) -> int | None:
        """Slots of the service's HTTP pools that calls hold now; None when it cannot be asked."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """Leaked resources after the end."""

    def _address(self) -> tuple[str, int]:
        if self.service.address is None:
            raise ConnectionRefusedError("the service does not listen")
        return self.service.address

    def _header(self, settings: Mapping[str, Any]) -> Header:
        spec = self.spec
        return Header(
            world=self.world,
            settings=settings,
            settings_digest=digest_of(settings),
            seed=spec.context.seed,
            commit=spec.context.commit,
            canaries=(*self.secrets.canaries(), *spec.canaries),
            versions=self._versions(),
            started_at=self._started_at(),
            scenario=spec.scenario,
            keep=spec.keep,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The service's configuration, secrets included."""
        return self.service.settings

    def target(self, protocol: str, name: str) -> object:
        """See ``hardening.faults.targets.World``."""
        return pick(self._targets(), protocol, name, f"the {self.world} world")

    async def prepare(self) -> None:
        """Start everything but the service, and configure it."""
        await self._start_dependencies()
        self.service.settings.update(merge(self.secrets.settings(**self._places()), self.spec.settings))
        shown = {name: value for name, value in self.service.settings.items() if name not in _HIDDEN}
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
        """End everything."""
        if self._sampler is not None:
            self._sampler.cancel()
            await asyncio.gather(self._sampler, return_exceptions=True)
        await self._stop_everything()
