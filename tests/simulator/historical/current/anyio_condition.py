"""A notification that was sent wakes somebody, whoever is cancelled."""

import asyncio

import anyio

from hardening.simulator import end_cancellations, io


async def program():
    condition, jobs, taken = anyio.Condition(), [], []

    async def worker() -> None:
        async with condition:
            while not jobs:
                await condition.wait()
            taken.append(jobs.pop())

    workers = [asyncio.create_task(worker(), name=f"worker-{n}") for n in range(2)]
    await io(0.01, 0.02)
    async with condition:
        jobs.append(1)
        condition.notify(1)
    await asyncio.sleep(0.1)
    end_cancellations()
    assert taken or all(each.done() for each in workers), "a job waits, and so does a worker"
    for each in workers:
        each.cancel()
    await asyncio.wait(workers)
