# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""purgatory: while a downstream never fails, its circuit does not open."""

import asyncio

from sound import SoundBreaker

from hardening.simulator import io


async def healthy():
    await io(0.01, 0.2)


async def clients(call):
    async def client():
        for _ in range(3):
            await io(0.0, 0.3)
            await call()

    tasks = [asyncio.create_task(client(), name=f"client-{n}") for n in range(3)]
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


async def program():
    from purgatory import AsyncCircuitBreakerFactory

    factory = AsyncCircuitBreakerFactory(default_threshold=2, default_ttl=30)

    async def call():
        async with await factory.get_breaker("downstream"):
            await healthy()

    await clients(call)


async def twin():
    breaker = SoundBreaker(2, 30.0)
    await clients(lambda: breaker.call(healthy))
