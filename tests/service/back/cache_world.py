"""A cache over a Redis and a source that loads slowly, fails or counts."""

from __future__ import annotations

import asyncio
from typing import Any

from back_world import Clock, Events, make_cache


class Source:
    """Loads numbers that grow, each when its gate is opened."""

    def __init__(self) -> None:
        self.number = 0
        self.running = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def load(self) -> int:
        self.number += 1
        number = self.number
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            return number
        finally:
            self.running -= 1


def world(**settings: Any) -> tuple[Any, Any, Any, Clock, Events, Source]:
    clock, events = Clock(), Events()
    cache, link, client = make_cache(clock, events, **settings)
    return cache, link, client, clock, events, Source()
