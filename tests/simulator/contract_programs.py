# ruff: noqa: ANN001, ANN202, ASYNC110, PERF401 - programs under test are written as anybody would write them
"""Programs that lean on the order asyncio documents. None of them may ever fail."""

import asyncio
import contextlib
import contextvars

import anyio

from hardening.simulator import io


async def callbacks_run_in_the_order_they_were_scheduled():
    seen = []
    loop = asyncio.get_running_loop()
    for i in range(5):
        loop.call_soon(seen.append, i)
    await asyncio.sleep(0)
    assert seen == [0, 1, 2, 3, 4]


async def tasks_start_in_the_order_they_were_made():
    seen = []

    async def note(i):
        seen.append(i)

    await asyncio.gather(*(note(i) for i in range(5)))
    assert seen == [0, 1, 2, 3, 4]


async def a_lock_is_fair():
    lock, seen = asyncio.Lock(), []

    async def work(i):
        async with lock:
            seen.append(i)
            await io(0.01, 0.1)

    await asyncio.gather(*(work(i) for i in range(4)))
    assert seen == [0, 1, 2, 3]


async def timers_run_by_their_deadlines():
    seen = []

    async def wait(seconds):
        await asyncio.sleep(seconds)
        seen.append(seconds)

    await asyncio.gather(wait(0.3), wait(0.1), wait(0.2))
    assert seen == [0.1, 0.2, 0.3]


async def a_queue_keeps_its_order():
    queue, seen = asyncio.Queue(), []

    async def producer():
        for i in range(5):
            await io(0.0, 0.1)
            queue.put_nowait(i)

    task = asyncio.create_task(producer())
    for _ in range(5):
        seen.append(await queue.get())
    await task
    assert seen == [0, 1, 2, 3, 4]


async def gather_keeps_the_order_of_its_arguments():
    async def work(i):
        await io(0.0, 1.0)
        return i

    assert await asyncio.gather(*(work(i) for i in range(4))) == [0, 1, 2, 3]


async def an_event_wakes_everybody_in_order():
    event, seen = asyncio.Event(), []

    async def wait(i):
        await event.wait()
        seen.append(i)

    tasks = [asyncio.create_task(wait(i)) for i in range(4)]
    await asyncio.sleep(0)
    event.set()
    await asyncio.gather(*tasks)
    assert seen == [0, 1, 2, 3]


async def sleep_zero_takes_turns():
    seen = []

    async def turn(name):
        for _ in range(3):
            seen.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(turn("a"), turn("b"))
    assert "".join(seen) == "ababab"


async def a_timeout_longer_than_the_work_does_not_fire():
    async def work():
        await io(0.1, 0.9)
        return 1

    async with asyncio.timeout(1.0):
        await work()
    assert await asyncio.wait_for(work(), 1.0) == 1


async def a_semaphore_is_fair_and_bounded():
    semaphore, seen, inside = asyncio.Semaphore(2), [], []

    async def work(i):
        async with semaphore:
            seen.append(i)
            inside.append(i)
            assert len(inside) <= 2
            await io(0.01, 0.1)
            inside.remove(i)

    await asyncio.gather(*(work(i) for i in range(5)))
    assert seen == [0, 1, 2, 3, 4]


async def notify_wakes_the_longest_waiter():
    condition, seen = asyncio.Condition(), []

    async def wait(i):
        async with condition:
            await condition.wait()
            seen.append(i)

    tasks = [asyncio.create_task(wait(i)) for i in range(3)]
    await asyncio.sleep(0)
    for _ in range(3):
        await io(0.0, 0.1)
        async with condition:
            condition.notify(1)
    await asyncio.gather(*tasks)
    assert seen == [0, 1, 2]


async def a_task_group_cancels_its_siblings():
    ended = []

    async def long():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            ended.append("long")
            raise

    async def failing():
        await io(0.0, 0.5)
        raise OSError("away")

    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(long())
            group.create_task(failing())
    assert ended == ["long"]


async def context_variables_stay_with_their_task():
    variable = contextvars.ContextVar("variable", default=0)

    async def work(i):
        variable.set(i)
        await io(0.0, 0.2)
        assert variable.get() == i

    await asyncio.gather(*(work(i) for i in range(4)))
    assert variable.get() == 0


async def a_shielded_task_outlives_its_waiter():
    async def work():
        await io(0.1, 0.9)
        return 7

    task = asyncio.create_task(work())
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), 0.05)
    assert await task == 7


async def an_anyio_scope_is_cancelled_while_somebody_cleans_up():
    cleaned = []

    async def slow_to_leave():
        try:
            await anyio.sleep(100)
        finally:
            with anyio.CancelScope(shield=True):
                await io(0.5, 2.0)
                cleaned.append(1)

    async with anyio.create_task_group() as group:
        group.start_soon(slow_to_leave)
        await io(0.0, 0.1)
        group.cancel_scope.cancel()
    assert cleaned == [1]


async def a_stream_keeps_the_order_of_its_bytes():
    async def echo(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "localhost", 7)
    reader, writer = await asyncio.open_connection("localhost", 7)
    for i in range(5):
        writer.write(f"line {i}\n".encode())
        await io(0.0, 0.01)
    lines = [await reader.readline() for _ in range(5)]
    assert lines == [f"line {i}\n".encode() for i in range(5)]
    writer.close()
    server.close()


async def busy_waiting_meets_its_timer():
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, done.set)
    while not done.is_set():
        await asyncio.sleep(0)


CONTRACTS = [value for name, value in list(globals().items()) if asyncio.iscoroutinefunction(value) and name != "io"]
