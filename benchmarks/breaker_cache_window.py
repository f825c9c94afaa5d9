"""Breaker, cache and rate window beside the libraries that do the same job, in one process.

    python -m venv bench-venv && bench-venv/bin/pip install -e . circuitbreaker async-lru limits
    bench-venv/bin/python -m benchmarks.breaker_cache_window

Each pair is measured in turns, so that a noisy machine hits both alike; the median of the rounds counts. A ratio
is ours over theirs: 1.00x or less is wanted. Exit code 1 when one is above.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from async_lru import alru_cache
from circuitbreaker import CircuitBreaker
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from signal_service.admission.limits import RateWindow
from signal_service.clients.breaker import Breaker
from signal_service.config.settings import BreakerSettings, CacheSettings
from signal_service.store.cache import Cache
from signal_service.store.redis_link import RedisLink, open_redis

ROUNDS = 41
CALLS = 2000

Loop = Callable[[int], Awaitable[None]]


def silent(event: str, /, *, id: str = "", **fields: Any) -> None:  # noqa: A002
    """Takes events and does nothing: what an event costs is the logger's matter."""


async def answer() -> int:
    return 1


def breakers() -> tuple[Loop, Loop]:
    """A closed breaker around a call that succeeds."""
    breaker = Breaker("ticker", BreakerSettings(), time.monotonic, silent)

    async def guarded() -> int:
        ticket = breaker.acquire()
        try:
            result = await answer()
        except OSError:
            ticket.failure()
            raise
        ticket.success()
        return result

    theirs = CircuitBreaker(failure_threshold=3, recovery_timeout=60, expected_exception=OSError)(answer)

    async def ours_loop(calls: int) -> None:
        for _ in range(calls):
            await guarded()

    async def theirs_loop(calls: int) -> None:
        for _ in range(calls):
            await theirs()

    return ours_loop, theirs_loop


async def caches() -> tuple[Loop, Loop]:
    """A hit of a cache of 10,000 entries with a TTL of 60 s."""

    def same(value: Any) -> Any:
        return value

    link = RedisLink(open_redis("redis://127.0.0.1:1/0"), silent, time.monotonic)
    moment = time.monotonic()  # the hit is what is measured: the entry stays as young as it is now
    cache: Cache[Any] = Cache(link, CacheSettings(), same, same, emit=silent, monotonic=lambda: moment, wall=time.time)

    async def load() -> int:
        return 1

    await cache.put("k", 1)

    @alru_cache(maxsize=10_000, ttl=60)
    async def theirs(key: str) -> int:
        return await load()

    await theirs("k")

    async def ours_loop(calls: int) -> None:
        for _ in range(calls):
            await cache.get("k", load)

    async def theirs_loop(calls: int) -> None:
        for _ in range(calls):
            await theirs("k")

    return ours_loop, theirs_loop


def windows() -> tuple[Loop, Loop]:
    """Asking a sliding window of 300 a minute: admitted 300 times, then refused."""
    window = RateWindow(300, 60.0)
    limiter, item = MovingWindowRateLimiter(MemoryStorage()), RateLimitItemPerMinute(300)

    async def ours_loop(calls: int) -> None:
        for _ in range(calls):
            now_s = time.monotonic()
            if window.wait_s(now_s) == 0.0:
                window.record(now_s)

    async def theirs_loop(calls: int) -> None:
        for _ in range(calls):
            limiter.hit(item, "all")

    return ours_loop, theirs_loop


async def round_us(loop: Loop, calls: int) -> float:
    began_s = time.perf_counter()
    await loop(calls)
    return (time.perf_counter() - began_s) / calls * 1e6


async def compare(name: str, other: str, pair: tuple[Loop, Loop]) -> bool:
    """Measure in turns, print medians and their ratio; True when ours is no slower."""
    ours, theirs = pair
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS):
        first = turn % 2
        for which in (first, 1 - first):
            times[which].append(await round_us(ours if which == 0 else theirs, CALLS))
    mine_us, their_us = (statistics.median(of) for of in times)
    ratio = statistics.median(mine / their for mine, their in zip(*times, strict=True))
    print(f"{name:16} {mine_us:7.3f} us   {other:16} {their_us:7.3f} us   ratio {ratio:.2f}x")
    return ratio <= 1.0


async def main() -> int:
    gc.disable()
    good = [
        await compare("breaker closed", "circuitbreaker", breakers()),
        await compare("cache hit", "async-lru", await caches()),
        await compare("rate window", "limits", windows()),
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
