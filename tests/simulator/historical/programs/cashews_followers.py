# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""cashews: whoever is not cancelled gets the value."""

import asyncio

from sound import SharedLoad

from hardening.simulator import io


async def load():
    await io(0.05, 0.2)
    return 7


async def clients(get):
    async def client():
        await io(0.0, 0.1)
        return await get()

    tasks = [asyncio.create_task(client(), name=f"client-{n}") for n in range(3)]
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelling():
            assert not task.cancelled(), f"{task.get_name()} was cancelled by nobody"
            assert task.result() == 7


async def program():
    from cashews import Cache

    cache = Cache()
    cache.setup("mem://", check_interval=3600)
    await clients(cache(ttl="10m", key="k", protected=True)(load))
    await cache.close()


async def twin():
    await clients(SharedLoad(load).get)
