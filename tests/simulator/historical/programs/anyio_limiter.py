# ruff: noqa: ANN202 - programs under test are written as anybody would write them
"""AnyIO: tokens of a CapacityLimiter come back whatever happens to their borrowers."""

import asyncio

import anyio

from hardening.simulator import io


async def program():
    limiter = anyio.CapacityLimiter(1)

    async def client():
        await io(0.0, 0.1)
        async with limiter:
            await io(0.01, 0.1)

    tasks = [asyncio.create_task(client(), name=f"client-{n}") for n in range(4)]
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(60):
        async with limiter:
            pass
    assert limiter.borrowed_tokens == 0
