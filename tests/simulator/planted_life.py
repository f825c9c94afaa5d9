# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""Programs with one planted bug each, and their correct twins: reload, shutdown, locks, wake-ups, order."""

import asyncio
import contextlib
from collections import deque


async def half_applied_reload(t, *, broken):
    """A request sees one configuration."""
    config = {"host": "a", "port": 1}
    current = [config]

    async def reload():
        await t.io(0.0, 0.1)
        if broken:
            config["host"] = "b"
            await t.io(0.001, 0.02)
            config["port"] = 2
        else:
            await t.io(0.001, 0.02)
            current[0] = {"host": "b", "port": 2}

    async def request():
        await t.io(0.0, 0.1)
        seen = current[0]
        assert (seen["host"], seen["port"]) in {("a", 1), ("b", 2)}

    await asyncio.gather(reload(), *(request() for _ in range(2)))


async def dropped_work(t, *, broken):
    """What was accepted before shutdown is done."""
    queue, done, accepted, stopping = asyncio.Queue(), [], [], [False]

    async def worker():
        while not (stopping[0] and (broken or queue.empty())):
            try:
                item = await asyncio.wait_for(queue.get(), 0.5)
            except TimeoutError:
                continue
            await t.io(0.01, 0.6)
            done.append(item)

    async def producer():
        for i in range(3):
            await t.io(0.0, 0.1)
            accepted.append(i)
            queue.put_nowait(i)

    task = asyncio.create_task(worker())
    await producer()
    await t.io(0.1, 1.0)
    stopping[0] = True
    await task
    assert done == accepted


async def lock_order(t, *, broken):
    """Two locks are always taken in the same order."""
    one, two = asyncio.Lock(), asyncio.Lock()

    async def work(first, second):
        await t.io(0.0, 0.2)
        async with first:
            await t.io(0.001, 0.02)
            async with second:
                await t.io(0.001, 0.02)

    other = (two, one) if broken else (one, two)
    late = asyncio.create_task(work(*other), name="late")
    await asyncio.sleep(0.05)
    await asyncio.gather(late, asyncio.create_task(work(one, two), name="early"))


async def swallowed_cancellation(t, *, broken):
    """A worker ends when it is cancelled, wherever it is."""
    swallowed = (OSError, asyncio.CancelledError) if broken else (OSError,)

    async def worker():
        while True:
            with contextlib.suppress(*swallowed):
                await t.io(0.01, 0.02)
            await t.io(0.05, 0.1)

    task = asyncio.create_task(worker())
    await t.io(0.0, 1.0)
    task.cancel()
    _, pending = await asyncio.wait([task], timeout=10)
    for each in pending:
        each.cancel()
    assert not pending


async def lost_wake_up(t, *, broken):
    """Whoever waits for items is woken when there are some."""
    items, ready = deque(), asyncio.Event()

    async def consumer():
        for _ in range(2):
            while not items:
                if broken:
                    await t.io(0.0, 0.02)
                ready.clear()
                await ready.wait()
            items.popleft()

    async def producer():
        for i in range(2):
            await t.io(0.0, 0.2)
            items.append(i)
            ready.set()

    await asyncio.wait_for(asyncio.gather(consumer(), producer()), 60)


async def depth_three(t, *, broken):
    """Opening, closing and opening again, in whatever order they end, leaves it open."""
    state, epoch = ["new"], [0]

    async def opening():
        epoch[0] += 1
        mine = epoch[0]
        await t.io(0.01, 0.3)
        if broken or mine == epoch[0]:
            state[0] = "open"

    async def closing():
        epoch[0] += 1
        mine = epoch[0]
        await t.io(0.01, 0.3)
        if broken or mine == epoch[0]:
            state[0] = "closed"

    tasks = []
    for step in (opening, closing, opening):
        tasks.append(asyncio.create_task(step()))
        await asyncio.sleep(0.05)
    await asyncio.gather(*tasks)
    assert state[0] == "open"


async def lost_task_done(t, *, broken):
    """``join`` returns though a worker was cancelled over an item."""
    queue = asyncio.Queue()
    for i in range(3):
        queue.put_nowait(i)

    async def worker():
        while True:
            await queue.get()
            if broken:
                await t.io(0.001, 0.05)
                queue.task_done()
                continue
            try:
                await t.io(0.001, 0.05)
            finally:
                queue.task_done()

    workers = [asyncio.create_task(worker(), name=f"client-{i}") for i in range(2)]
    spare = asyncio.create_task(worker(), name="spare")
    try:
        await asyncio.wait_for(queue.join(), 30)
    finally:
        for task in (*workers, spare):
            task.cancel()


async def wrong_notify(t, *, broken):
    """A notification reaches somebody who can use it."""
    condition, slots = asyncio.Condition(), {"read": 0, "write": 0}

    async def take(kind):
        await t.io(0.0, 0.1)
        async with condition:
            while not slots[kind]:
                await condition.wait()
            slots[kind] -= 1

    async def give():
        for kind in ("write", "read"):
            await t.io(0.0, 0.3)
            async with condition:
                slots[kind] += 1
                condition.notify(1) if broken else condition.notify_all()

    await asyncio.wait_for(asyncio.gather(take("read"), take("write"), give()), 60)


async def delivered_twice(t, *, broken):
    """An item of the outbox is sent by one worker."""
    outbox, sent = deque(["a", "b"]), []

    async def worker():
        await t.io(0.0, 1.0)
        while outbox:
            item = outbox[0] if broken else outbox.popleft()
            await t.io(0.005, 0.02)
            sent.append(item)
            if broken and outbox and outbox[0] == item:
                outbox.popleft()

    first = asyncio.create_task(worker())
    await asyncio.sleep(0.05)
    await asyncio.gather(first, worker())
    assert sorted(sent) == ["a", "b"]


async def closed_twice(t, *, broken):
    """A second signal during shutdown closes nothing twice."""
    closed, closing = [], []

    async def shutdown():
        if not broken and closing:
            return
        if "client" in closed:
            return
        closing.append(1)
        await t.io(0.01, 0.1)
        closed.append("client")

    async def signals():
        first = asyncio.create_task(shutdown())
        await t.io(0.05, 1.0)
        await asyncio.gather(first, shutdown())

    await signals()
    assert closed == ["client"]


async def dead_heartbeat(t, *, broken):
    """One failed beat does not end the heartbeat."""
    beats = []

    async def beat():
        await t.io(0.01, 0.05)
        if t.draw(0, 9) == 9:
            raise OSError("no route")
        beats.append(1)

    async def heart():
        for _ in range(6):
            try:
                await beat()
            except OSError:
                if broken:
                    return
            await asyncio.sleep(1)
        beats.append("end")

    await heart()
    assert beats[-1:] == ["end"]


async def mixed_up_answers(t, *, broken):
    """A late answer is not taken for the next request's."""
    waiting = {}

    async def answer(number):
        await t.io(0.01, 0.7)
        key = "any" if broken else number
        if key in waiting and not waiting[key].done():
            waiting[key].set_result(number)

    async def ask(number):
        future = asyncio.get_running_loop().create_future()
        waiting["any" if broken else number] = future
        task = asyncio.create_task(answer(number))
        try:
            got = await asyncio.wait_for(future, 0.5)
            assert got == number
        except TimeoutError:
            pass
        return task

    tasks = [await ask(number) for number in range(2)]
    await asyncio.gather(*tasks)


PLANTED = {
    "half_applied_reload": (half_applied_reload, None),
    "dropped_work": (dropped_work, None),
    "lock_order": (lock_order, None),
    "swallowed_cancellation": (swallowed_cancellation, None),
    "lost_wake_up": (lost_wake_up, None),
    "depth_three": (depth_three, None),
    "lost_task_done": (lost_task_done, "client-*"),
    "wrong_notify": (wrong_notify, None),
    "delivered_twice": (delivered_twice, None),
    "closed_twice": (closed_twice, None),
    "dead_heartbeat": (dead_heartbeat, None),
    "mixed_up_answers": (mixed_up_answers, None),
}
