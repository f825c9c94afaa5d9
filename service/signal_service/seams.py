"""The seams of the service: everything that reaches outside, passed in at ``app.py`` and nowhere taken.

A world (live, simulated, a unit test) swaps a seam and the service does not know. Time and randomness are
seams like the network: no file of the service calls ``time``, ``datetime.now`` or ``random`` itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpcore
from redis.asyncio import Redis


class EmitEvent(Protocol):
    """Takes one structured event of the table in ``docs/HISTORY.md``."""

    def __call__(self, event: str, /, *, id: str = "", **fields: Any) -> None:  # noqa: A002 - the format's own word
        """Emit ``event``; ``id`` is the request's id where there is one (empty: the current request's)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of the process's resources: RSS and limit in bytes, CPU as a share of one core (0..n)."""

    rss_bytes: int
    memory_limit_bytes: int | None
    cpu_share: float
    fds: int


ResourceSampler = Callable[[], Reading]
"""Reads the resources now; called in the background, never inside a request."""


class FileStore(Protocol):
    """Appends to and reads files (audit, configuration, logs)."""

    def append(self, path: Path, data: bytes) -> None:
        """Append ``data`` whole and flush it to the disk; raises OSError and leaves no half record."""

    def read(self, path: Path) -> bytes:
        """The whole file; raises OSError."""


Watcher = Callable[[Path, Callable[[], None]], Awaitable[None]]
"""Calls back whenever the file changed, until cancelled."""

SignalSource = Callable[[int, Callable[[], None]], Callable[[], None]]
"""Registers a handler for a signal number; returns a function that takes it away again."""

RedisFactory = Callable[[str], "Redis"]
"""Makes a client from a URL; raises ValueError for a URL that cannot be."""

NetworkBackendFactory = Callable[[], httpcore.AsyncNetworkBackend]
"""Makes the network backend below the HTTP clients; the deadline is kept in its streams."""


@dataclass(frozen=True, slots=True)
class Seams:
    """What ``signal_service.app.build`` needs from its world; the live ones: ``signal_service.edge.live_seams``.

    ``monotonic`` and ``wall`` are in seconds; ``sleep`` takes seconds.
    """

    emit: EmitEvent
    sample: ResourceSampler
    files: FileStore
    watch: Watcher
    on_signal: SignalSource
    redis: RedisFactory
    network: NetworkBackendFactory
    sleep: Callable[[float], Awaitable[None]]
    monotonic: Callable[[], float] = field(default=time.monotonic)
    wall: Callable[[], float] = field(default=time.time)
    rng: random.Random = field(default_factory=random.Random)
