"""What a world offers to whoever runs a scenario in it: the same for real processes and for virtual time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, Self

from hardening.history.events import Recorder
from hardening.worlds.shared.client import Client
from hardening.worlds.shared.keys import Secrets


class ServiceHandle(Protocol):
    """The service's process, as far as a runner touches it.

    Attributes:
        settings: the whole configuration, secrets included.
        address: where it listens; None while it does not.
    """

    settings: dict[str, Any]
    address: tuple[str, int] | None

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs or when it was never started."""

    @property
    def last_words(self) -> list[str]:
        """The last lines it wrote."""

    def running(self) -> bool:
        """True while it runs or is stopped."""

    def computed_s(self) -> float:
        """Seconds that it has computed since it was started; in virtual time it always does."""

    async def launch(self) -> None:
        """Start it without waiting for it to serve."""

    async def start(self) -> None:
        """Start it and wait until it listens; raises ProcessError."""

    async def signal(self, number: int) -> None:
        """Send a signal; raises ProcessLookupError when it is not running."""

    async def wait_exit(self, timeout_s: float) -> int:
        """Wait for its end and write it down; raises TimeoutError."""

    async def stop(self) -> int | None:
        """Ask it to end and wait; returns its exit code."""

    async def destroy(self) -> None:
        """End it by force, whatever it does."""

    def write_config(self, settings: Mapping[str, Any] | str) -> None:
        """Replace the configuration file in one step; text is written as it is."""

    def malformed(self) -> list[str]:
        """Events of the service that lacked fields; there should be none."""


class RedisProcess(Protocol):
    """The world's Redis."""

    async def kill(self) -> None:
        """End it by SIGKILL."""

    async def alive(self) -> bool:
        """True when it answers."""

    async def restart(self, *, keep_data: bool = True) -> None:
        """Start it again."""


class StandIns(Protocol):
    """The downstreams' stand-ins.

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


class Stage(Protocol):
    """A world in which a scenario runs; ``async with`` brings it up and takes it down."""

    recorder: Recorder
    client: Client
    secrets: Secrets

    @property
    def service(self) -> ServiceHandle:
        """The service."""

    @property
    def redis(self) -> RedisProcess:
        """The Redis."""

    @property
    def downstreams(self) -> StandIns:
        """The stand-ins."""

    @property
    def audit_path(self) -> Path:
        """A file that holds the service's audit log, once it has ended."""

    def now(self) -> float:
        """Seconds since the run began."""

    def target(self, protocol: str, name: str) -> object:
        """See ``hardening.faults.targets.World``."""

    def machine_of(self, name: str) -> AbstractContextManager[object]:
        """Inside, servers open where the dependency ``name`` would be."""

    async def settle(self) -> None:
        """Wait until the processes' last lines have been read."""

    async def slots_in_use(self) -> int | None:
        """Slots of the service's HTTP pools that calls hold now; None when there is nobody to ask."""

    def leftovers(self) -> list[str]:
        """What is left after the end."""

    async def prepare(self) -> None:
        """Start everything but the service."""

    async def close(self) -> None:
        """End everything."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...
