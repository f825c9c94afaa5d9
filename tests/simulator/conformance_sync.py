# ruff: noqa: ANN001, ANN202 - written as anybody would write them
"""Conformance: locks, events, conditions, semaphores, barriers, queues."""

import asyncio

from conformance_table import attempt, each, program, settle

loop_ = asyncio.get_running_loop


# --- locks and their kin


@program
async def a_lock_is_fair():
    lock, seen = asyncio.Lock(), []

    async def run(name):
        async with lock:
            seen.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*(run(n) for n in range(4)))
    return seen, lock.locked()


@each(asyncio.Lock, asyncio.Condition)
async def releasing_what_is_free(kind):
    return await attempt(kind().release)


@program
async def a_cancelled_waiter_leaves_the_lock_to_the_next():
    lock, seen = asyncio.Lock(), []
    await lock.acquire()

    async def run(name):
        async with lock:
            seen.append(name)

    tasks = [asyncio.create_task(run(n)) for n in range(2)]
    await settle(1)
    tasks[0].cancel()
    lock.release()
    await asyncio.wait(tasks)
    return seen


@each(0, 1, 2)
async def a_lock_granted_to_a_task_that_is_cancelled_after(rounds):
    lock, seen = asyncio.Lock(), []
    await lock.acquire()

    async def run(name):
        async with lock:
            seen.append(name)

    tasks = [asyncio.create_task(run(n)) for n in range(2)]
    await settle(1)
    lock.release()
    await settle(rounds)
    tasks[0].cancel()
    await asyncio.wait(tasks)
    return seen, lock.locked()


@program
async def an_event_wakes_all_and_can_be_cleared():
    event, seen = asyncio.Event(), []

    async def run(name):
        seen.append((name, await event.wait()))

    tasks = [asyncio.create_task(run(n)) for n in range(3)]
    await settle(1)
    event.set()
    event.clear()
    await asyncio.wait(tasks)
    return seen, event.is_set()


@each(0, 1, 2, 5)
async def a_condition_notifies(count):
    condition, seen = asyncio.Condition(), []

    async def run(name):
        async with condition:
            await condition.wait()
            seen.append(name)

    tasks = [asyncio.create_task(run(n)) for n in range(3)]
    await settle(2)
    async with condition:
        condition.notify(count)
    await settle(8)
    woken = list(seen)
    async with condition:
        condition.notify_all()
    await asyncio.wait(tasks)
    return woken, seen


@each("wait", "notify", "notify_all")
async def a_condition_without_its_lock(name):
    return await attempt(getattr(asyncio.Condition(), name))


@program
async def a_condition_waits_for_a_predicate():
    condition, state = asyncio.Condition(), [0]

    async def run():
        async with condition:
            return await condition.wait_for(lambda: state[0] == 2)

    task = asyncio.create_task(run())
    for _ in range(2):
        await settle(3)
        async with condition:
            state[0] += 1
            condition.notify_all()
    return await task


@program
async def a_condition_with_a_lock_of_ones_own():
    lock = asyncio.Lock()
    condition = asyncio.Condition(lock)
    async with condition:
        inside = lock.locked()
    return inside, lock.locked()


@each(0, 1, 2, 3)
async def a_semaphore_of(value):
    semaphore, most, inside = asyncio.Semaphore(value), [0], [0]

    async def run():
        async with semaphore:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            await settle(2)
            inside[0] -= 1

    tasks = [asyncio.create_task(run()) for _ in range(4)]
    await settle(2)
    locked = semaphore.locked()
    if not value:
        semaphore.release()
    await asyncio.wait(tasks)
    return most, locked


@each(-1, "x", None, 1.5)
async def a_semaphore_with(value):
    return await attempt(lambda: asyncio.Semaphore(value) and None)


@program
async def a_bounded_semaphore_released_too_often():
    return await attempt(asyncio.BoundedSemaphore(1).release)


@each(0, 1, 2, 3)
async def a_semaphore_whose_first_waiter_is_cancelled_after(rounds):
    semaphore, seen = asyncio.Semaphore(0), []

    async def run(name):
        await semaphore.acquire()
        seen.append(name)

    tasks = [asyncio.create_task(run(n)) for n in range(3)]
    await settle(1)
    semaphore.release()
    await settle(rounds)
    tasks[0].cancel()
    await settle(4)
    semaphore.release()
    semaphore.release()
    await settle(4)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return seen


@each(1, 2, 3)
async def a_barrier_of(parties):
    barrier, seen = asyncio.Barrier(parties), []

    async def run():
        seen.append(await barrier.wait())

    await asyncio.gather(*(run() for _ in range(parties)))
    return sorted(seen), barrier.n_waiting, barrier.broken


@program
async def a_broken_barrier():
    barrier = asyncio.Barrier(2)
    task = asyncio.create_task(barrier.wait())
    await settle(1)
    await barrier.abort()
    return await attempt(lambda: task), barrier.broken, await attempt(barrier.wait)


@each(0, -1, "x")
async def a_barrier_with(parties):
    return await attempt(lambda: asyncio.Barrier(parties) and None)


# --- queues


@each(asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue)
async def a_queue_gives_in_its_order(kind):
    source = kind()
    for item in (2, 3, 1):
        source.put_nowait(item)
    return [source.get_nowait() for _ in range(3)], source.empty(), await attempt(source.get_nowait)


@each(0, 1, 2, -1, 1.5, None, "x")
async def a_queue_of_size(maxsize):
    async def run():
        source = asyncio.Queue(maxsize)
        said = [await attempt(source.put_nowait, n) for n in range(3)]
        return said, source.qsize(), source.full()

    return await attempt(run)


@program
async def getters_of_a_queue_are_served_in_order():
    source, seen = asyncio.Queue(), []

    async def run(name):
        seen.append((name, await source.get()))

    tasks = [asyncio.create_task(run(n)) for n in range(3)]
    await settle(1)
    for item in "abc":
        source.put_nowait(item)
    await asyncio.wait(tasks)
    return seen


@each(0, 1, 2)
async def a_getter_cancelled_after_its_item_came_loses_nothing(rounds):
    source = asyncio.Queue()
    task = asyncio.create_task(source.get())
    await settle(1)
    source.put_nowait("item")
    await settle(rounds)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled(), source.qsize()


@program
async def putters_wait_until_there_is_room():
    source, seen = asyncio.Queue(1), []

    async def put(item):
        await source.put(item)
        seen.append(item)

    tasks = [asyncio.create_task(put(n)) for n in range(3)]
    await settle(1)
    before = list(seen)
    got = [await source.get() for _ in range(3)]
    await asyncio.wait(tasks)
    return before, got, seen


@program
async def join_waits_for_task_done():
    source = asyncio.Queue()
    source.put_nowait(1)
    joining = asyncio.create_task(source.join())
    await settle(2)
    before = joining.done()
    source.task_done()
    await joining
    return before, await attempt(source.task_done)


@program
async def a_queue_that_is_shut_down():
    source = asyncio.Queue()
    if not hasattr(source, "shutdown"):
        return "not there"
    source.put_nowait(1)
    source.shutdown()
    return await attempt(source.put_nowait, 2), await attempt(source.get), await attempt(source.get)
