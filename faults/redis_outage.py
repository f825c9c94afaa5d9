"""Outages of a Redis (or Valkey) server of ours."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from faults.base import Bite, Fault, HealError, RedisServer


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisKilled(Fault):
    """SIGKILL; healing starts it again on the same port, with its data unless ``keep_data`` is false."""

    kind: ClassVar[str] = "redis_killed"
    protocol: ClassVar[str] = "redis"
    targets: ClassVar[tuple[str, ...]] = ("redis",)
    summary: ClassVar[str] = "kill the Redis server by SIGKILL, restart it on heal"

    target: str = "redis"
    keep_data: bool = True

    async def inject(self, target: RedisServer) -> object:
        """Kill it."""
        was_alive = await target.alive()
        await target.kill()
        return was_alive

    async def heal(self, target: RedisServer, token: object) -> Bite:
        """Start it again and wait for its PONG."""
        was_killed = not await target.alive()
        if was_killed:
            await target.restart(keep_data=self.keep_data)
        if not await target.alive():
            raise HealError("redis does not answer PING after its restart")
        return Bite({"kills": float(bool(token) and was_killed)})


async def wait_until(condition: object, deadline_s: float, step_s: float = 0.01) -> bool:
    """Poll an async predicate until it holds or ``deadline_s`` seconds have passed."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not await condition():  # type: ignore[operator]
        if loop.time() >= end:
            return False
        await asyncio.sleep(step_s)
    return True
