"""When the store waited for its disk: an append-only store that syncs each write answers nobody meanwhile.

Valkey's latency monitor keeps, for each kind of wait, the longest of each second in which there was one.
"""

from __future__ import annotations

import contextlib
from typing import Any

from redis.exceptions import RedisError

from hardening.worlds.live.valkey import ValkeyServer

WAIT_MS_MIN = 50
KINDS = ("aof-fsync-always", "aof-write-alone", "aof-write-pending-fsync")
SECOND_S = 1.0


async def watch_disk(server: ValkeyServer) -> None:
    """Watch from now on, until the server is started anew; one that is away is not watched."""
    with contextlib.suppress(RedisError, OSError):
        await server.command("CONFIG", "SET", "latency-monitor-threshold", WAIT_MS_MIN)


async def disk_waits(server: ValkeyServer) -> list[tuple[float, float, int]]:
    """(begin, end, milliseconds) of waits so far, by wall time in seconds; empty when the server cannot be asked.

    The server tells the second in which a wait ended: it lies somewhere between the two moments.
    """
    found: list[tuple[float, float, int]] = []
    for kind in KINDS:
        with contextlib.suppress(RedisError, OSError):
            rows: list[Any] = await server.command("LATENCY", "HISTORY", kind)
            found += [(int(ended) - int(ms) / 1000, int(ended) + SECOND_S, int(ms)) for ended, ms in rows]
    return sorted(found)
