"""The simulated world's side of the service's seams: files, logs, readings, signals, a watched configuration."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from signal_service.seams import Reading
from signal_service.security.writer import GATHER_S, IDLE_ROUNDS

RSS_BYTES = 70 << 20
"""What the idle service takes, measured in the live world."""

FDS_IDLE = 16
WATCH_S = 0.2
"""How long a watcher gathers changes before it calls."""


def _full(path: Path) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@dataclass(slots=True)
class SimFiles:
    """A disk in memory, ``FileStore`` and ``AuditFiles``: what was appended outlives a killed process.

    Attributes:
        is_full: every write fails as on a full disk.
        refused: how many did since it became full.
    """

    is_full: bool = False
    refused: int = 0
    contents: dict[str, bytes] = field(default_factory=dict)

    def append(self, path: Path, data: bytes) -> None:
        """Append whole; raises OSError and then appends nothing."""
        self._refuse(path)
        self.contents[str(path)] = self.contents.get(str(path), b"") + data

    def read(self, path: Path) -> bytes:
        """The whole file; raises OSError."""
        if str(path) not in self.contents:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return self.contents[str(path)]

    def tail(self, path: Path, length: int) -> bytes:
        """The last ``length`` bytes; empty when there is no file."""
        return self.contents.get(str(path), b"")[-length:]

    def replace(self, path: Path, data: bytes) -> None:
        """Put a new content in place of the old one; raises OSError and then keeps it."""
        self._refuse(path)
        self.contents[str(path)] = data

    @contextlib.contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """There is one process, so there is nobody to keep out."""
        yield

    def _refuse(self, path: Path) -> None:
        if self.is_full:
            self.refused += 1
            raise _full(path)


@dataclass(slots=True)
class LogPipe:
    """Where the service's log goes: lines to ``take``, unless the disk is full or nobody reads.

    Attributes:
        is_full: writes fail as on a full disk; ``refused`` counts them.
        is_blocked: nobody reads, so what was written waits in the writer; ``held`` counts what came meanwhile.
        is_dead: the process was killed: what it had not written yet is lost.
        looked_at_s: when the writer last took what waited, on the loop's clock.
    """

    take: Callable[[str], None]
    is_full: bool = False
    is_blocked: bool = False
    is_dead: bool = False
    refused: int = 0
    held: int = 0
    looked_at_s: float = -math.inf
    _waiting: list[Callable[[], None]] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None

    def write(self, data: bytes) -> int:
        """Take whole lines; raises OSError while full."""
        if self.is_full:
            self.refused += 1
            raise _full(Path("stdout"))
        if not self.is_dead:
            for line in data.decode("utf-8", "replace").splitlines():
                self.take(line)
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def schedule(self, pump: Callable[[], None]) -> None:
        """Let the writer write when its thread would look, or when somebody reads again.

        The thread looks every ``GATHER_S`` while lines come, and is woken by the first one after a while of none.
        """
        if self.is_blocked:
            self._waiting.append(pump)
            return
        loop = self._of_the_run()
        since_s = loop.time() - self.looked_at_s
        wait_s = GATHER_S - since_s % GATHER_S if since_s < GATHER_S * IDLE_ROUNDS else 0.0
        loop.call_later(wait_s, self._run, pump)

    def _of_the_run(self) -> asyncio.AbstractEventLoop:
        """The loop, also for what logs from a thread, which has none of its own: the first line never does."""
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        assert self._loop is not None
        return self._loop

    def _run(self, pump: Callable[[], None]) -> None:
        if self.is_blocked:
            self._waiting.append(pump)
        elif not self.is_dead:
            self.looked_at_s = asyncio.get_running_loop().time()
            pump()

    def unblock(self) -> None:
        """Somebody reads again."""
        self.is_blocked = False
        waiting, self._waiting = self._waiting, []
        for pump in waiting:
            pump()


@dataclass(slots=True)
class Machine:
    """What the service reads of its resources, and what faults take of them.

    Attributes:
        ballast_bytes: held inside the process.
        burnt_share: share of a core that is burnt beside the service's own work.
        limit_bytes: the container's memory limit.
        connections: counts the process's open connections.
        last: the newest reading that the service took.
    """

    connections: Callable[[], int]
    ballast_bytes: int = 0
    burnt_share: float = 0.0
    limit_bytes: int | None = None
    last: Reading | None = None

    def now(self) -> Reading:
        """A reading, as from outside."""
        rss_bytes = RSS_BYTES + self.ballast_bytes
        return Reading(rss_bytes, self.limit_bytes, 0.05 + self.burnt_share, FDS_IDLE + self.connections())

    def sample(self) -> Reading:
        """A reading by the service itself."""
        self.last = self.now()
        return self.last


@dataclass(slots=True)
class SignalTable:
    """Handlers of one life of the process, by signal number."""

    handlers: dict[int, Callable[[], None]] = field(default_factory=dict)

    def register(self, number: int, handle: Callable[[], None]) -> Callable[[], None]:
        """See ``signal_service.seams.SignalSource``; taken away, the signal is ignored."""
        self.handlers[number] = handle

        def remove() -> None:
            self.handlers[number] = lambda: None

        return remove


@dataclass(slots=True)
class WatchedFile:
    """The configuration file, in memory; a watcher is called at each change."""

    text: str = ""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, text: str) -> None:
        """Replace it in one step."""
        self.text = text
        self._changed.set()

    async def watch(self, path: Path, changed: Callable[[], None]) -> None:
        """See ``signal_service.seams.Watcher``."""
        self._changed.clear()
        while True:
            await self._changed.wait()
            await asyncio.sleep(WATCH_S)
            self._changed.clear()
            changed()


def drop_connections(client: Redis) -> None:
    """Let go of a killed process's connections as its kernel does: nobody closes them, nobody is to be warned of it."""
    pool: Any = client.connection_pool
    for connection in (*pool._get_in_use_connections(), *pool._available_connections):  # noqa: SLF001 - no public way
        connection._reader = connection._writer = None  # noqa: SLF001


Sleep = Callable[[float], Awaitable[None]]
