# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""Programs with one planted bug each, and their correct twins: caches, single flight, idempotency.

Every program takes ``t`` (``t.io(low, high)`` waits as for I/O, ``t.draw(low, high)`` draws) and ``broken``.
"""

import asyncio
from collections import defaultdict


async def stampede(t, *, broken):
    """Concurrent callers of one cold key cause one load."""
    cache, loads, lock = {}, [], asyncio.Lock()

    async def load():
        loads.append(1)
        await t.io(0.01, 0.05)
        cache["k"] = 1

    async def client():
        await t.io(0.0, 1.0)
        if "k" in cache:
            return
        if broken:
            await load()
            return
        async with lock:
            if "k" not in cache:
                await load()

    first = asyncio.create_task(client())
    await asyncio.sleep(0.06)
    await asyncio.gather(first, *(client() for _ in range(2)))
    assert len(loads) == 1


async def lock_table(t, *, broken):
    """A lock leaves the table only when nobody waits for it: never two loads of a key at once."""
    locks, users, loading = {}, defaultdict(int), []

    async def client():
        await t.io(0.0, 0.5)
        lock = locks.setdefault("k", asyncio.Lock())
        users["k"] += 1
        async with lock:
            loading.append(1)
            assert len(loading) == 1
            await t.io(0.01, 0.1)
            loading.pop()
        users["k"] -= 1
        if broken or not users["k"]:
            locks.pop("k", None)

    await asyncio.gather(*(client() for _ in range(3)))


async def stale_fill(t, *, broken):
    """A slow load never overwrites a newer write."""
    store, cache, version = {"k": 1}, {}, {"k": 0}

    async def reader():
        await t.io(0.0, 0.2)
        seen = version["k"]
        value = store["k"]
        await t.io(0.001, 0.2)
        if broken or version["k"] == seen:
            cache["k"] = value

    async def writer():
        await t.io(0.0, 0.2)
        store["k"] = 2
        version["k"] += 1
        cache["k"] = 2

    await asyncio.gather(reader(), writer())
    assert cache["k"] == 2 or cache["k"] == store["k"]


async def early_expiry(t, *, broken):
    """Each write sets the full time to live anew."""
    loop, cache, timers = asyncio.get_running_loop(), {}, {}

    def write(value):
        if not broken and "k" in timers:
            timers["k"].cancel()
        cache["k"] = (value, loop.time())
        timers["k"] = loop.call_later(10, cache.pop, "k", None)

    write(1)
    await t.io(1.0, 9.0)
    write(2)
    written = loop.time()
    await t.io(1.0, 9.0)
    if loop.time() - written < 10:
        assert cache["k"][0] == 2
    for timer in timers.values():
        timer.cancel()


async def cancelled_leader(t, *, broken):
    """A cancelled leader of a shared load harms no follower."""
    flight = {}

    async def load():
        await t.io(0.01, 0.1)
        return 7

    async def get():
        await t.io(0.0, 0.05)
        if broken:
            if "k" in flight:
                return await flight["k"]
            future = flight["k"] = asyncio.get_running_loop().create_future()
            value = await load()
            future.set_result(value)
            del flight["k"]
            return value
        task = flight.get("k")
        if task is None:
            task = flight["k"] = asyncio.create_task(load(), name="load")
            task.add_done_callback(lambda _: flight.pop("k", None))
        return await asyncio.shield(task)

    clients = [asyncio.create_task(get(), name=f"client-{i}") for i in range(3)]
    _, pending = await asyncio.wait(clients, timeout=5)
    assert not pending


async def repeated_key(t, *, broken):
    """One idempotency key has one effect, however often it is sent."""
    answers, effects, locks = {}, [], defaultdict(asyncio.Lock)

    async def handle(key):
        if key in answers:
            return answers[key]
        effects.append(key)
        await t.io(0.005, 0.02)
        answers[key] = len(effects)
        return answers[key]

    async def send():
        await t.io(0.0, 1.0)
        if broken:
            await handle("a")
        else:
            async with locks["a"]:
                await handle("a")

    first = asyncio.create_task(send())
    await asyncio.sleep(0.05)
    await asyncio.gather(first, send())
    assert effects == ["a"]


async def invalidated_while_loading(t, *, broken):
    """What was invalidated while it was loading is not cached."""
    cache, epoch, truth = {}, [0], [1]

    async def load():
        await t.io(0.0, 0.1)
        at = epoch[0]
        value = truth[0]
        await t.io(0.01, 0.1)
        if broken or epoch[0] == at:
            cache["k"] = value

    async def change():
        await t.io(0.0, 0.2)
        truth[0] = 2
        cache.pop("k", None)
        epoch[0] += 1

    await asyncio.gather(load(), change())
    assert cache.get("k", truth[0]) == truth[0]


async def write_behind(t, *, broken):
    """A flush loses nothing that came while it ran."""
    buffer, sent = [], []

    async def flush():
        nonlocal buffer
        if broken:
            batch = list(buffer)
            await t.io(0.01, 0.1)
            sent.extend(batch)
            buffer.clear()
        else:
            batch, buffer = buffer, []
            await t.io(0.01, 0.1)
            sent.extend(batch)

    async def producer():
        for i in range(3):
            await t.io(0.0, 0.2)
            buffer.append(i)

    async def flusher():
        await t.io(0.0, 0.3)
        await flush()

    await asyncio.gather(producer(), flusher())
    await flush()
    assert sent == [0, 1, 2]


PLANTED = {
    "stampede": (stampede, None),
    "lock_table": (lock_table, None),
    "stale_fill": (stale_fill, None),
    "early_expiry": (early_expiry, None),
    "cancelled_leader": (cancelled_leader, "client-*"),
    "repeated_key": (repeated_key, None),
    "invalidated_while_loading": (invalidated_while_loading, None),
    "write_behind": (write_behind, None),
}
