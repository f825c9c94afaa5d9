# ruff: noqa: ANN202 - programs under test are written as anybody would write them
"""CPython: a worker that is cancelled ends."""

import asyncio

from hardening.simulator import io


async def program():
    queue = asyncio.Queue()

    async def worker():
        while True:
            await asyncio.wait_for(queue.get(), 60)

    async def producer():
        for number in range(3):
            await io(0.0, 0.2)
            queue.put_nowait(number)

    task = asyncio.create_task(worker(), name="worker")
    feeding = asyncio.create_task(producer(), name="producer")
    await io(0.0, 0.5)
    task.cancel()
    _, pending = await asyncio.wait([task], timeout=30)
    assert not pending, "cancelled, and still at work"
    await feeding


async def twin():
    """The same with ``asyncio.timeout``."""
    queue = asyncio.Queue()

    async def worker():
        while True:
            async with asyncio.timeout(60):
                await queue.get()

    async def producer():
        for number in range(3):
            await io(0.0, 0.2)
            queue.put_nowait(number)

    task = asyncio.create_task(worker(), name="worker")
    feeding = asyncio.create_task(producer(), name="producer")
    await io(0.0, 0.5)
    task.cancel()
    _, pending = await asyncio.wait([task], timeout=30)
    assert not pending, "cancelled, and still at work"
    await feeding
