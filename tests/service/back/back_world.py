"""A world of one's own for the tests of the back room: a clock that only moves when told, and recorded events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import fakeredis
import httpcore

from signal_service.clients.downstream import World
from signal_service.config.settings import CacheSettings, Settings
from signal_service.store.cache import Cache
from signal_service.store.redis_link import RedisLink


class Clock:
    """Monotonic seconds; ``sleep`` passes them at once."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


class Events:
    """Records what was emitted."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, /, *, id: str = "", **fields: Any) -> None:  # noqa: A002
        self.all.append((event, {"id": id, **fields}))

    def of(self, event: str, /, **wanted: Any) -> list[dict[str, Any]]:
        """Fields of each event of that name whose fields are as wanted."""
        return [f for name, f in self.all if name == event and all(f.get(k) == v for k, v in wanted.items())]


def candles_json(symbol: str = "ACME", timeframe: str = "1m", bars: int = 3) -> dict[str, Any]:
    rows = [{"t": 60 * i, "o": 10.0, "h": 12.0, "l": 9.0, "c": 11.0 + i / 10, "v": 5.0} for i in range(bars)]
    return {"symbol": symbol, "timeframe": timeframe, "candles": rows}


def make_world(clock: Clock, events: Events, seed: int = 7) -> World:
    return World(events, clock, clock.sleep, random.Random(seed), httpcore.AnyIOBackend)


def make_settings(**more: Any) -> Settings:
    return Settings.model_validate({"service_token": "a-token-of-some-length", **more})


def make_cache(
    clock: Clock, events: Events, client: fakeredis.FakeAsyncRedis | None = None, **settings: Any
) -> tuple[Cache[Any], RedisLink, fakeredis.FakeAsyncRedis]:
    """A cache of plain JSON values over fakeredis."""
    client = client or fakeredis.FakeAsyncRedis()
    link = RedisLink(client, events, clock)
    cache: Cache[Any] = Cache(
        link,
        CacheSettings(**settings),
        lambda value: value,
        lambda data: data,
        emit=events,
        monotonic=clock,
        wall=lambda: 1.0,
    )
    return cache, link, client


async def pass_time(clock: Clock, client: fakeredis.FakeAsyncRedis, seconds: float) -> None:
    """Let time pass for the process and for Redis, whose own clock cannot be set."""
    clock.now_s += seconds
    for key in await client.keys("*"):
        left_ms = await client.pttl(key)
        if left_ms >= 0:
            await client.pexpire(key, max(0, left_ms - int(seconds * 1000)))


async def until(true: Callable[[], bool], turns: int = 2000) -> None:
    """Let the loop turn until ``true``; fails when it never becomes so."""
    for _ in range(turns):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never happened")


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; a task or an exception left behind fails the test."""
    lost: list[dict[str, Any]] = []

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
        try:
            return await main
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"left behind: {left}"
            assert not lost, f"lost: {lost}"

    return asyncio.run(watched())
