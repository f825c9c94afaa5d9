# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""Random programs: trees of tasks over locks, queues, ``asyncio.wait``, AnyIO groups, timeouts and streams."""

import asyncio
import random

import anyio

from hardening.simulator import draw, io, say


def generate(number):
    """Program ``number``; the same number gives the same program."""

    async def program():
        rng = random.Random(f"program {number}")
        world = {
            "lock": asyncio.Lock(),
            "queue": asyncio.Queue(),
            "semaphore": asyncio.Semaphore(2),
            "event": asyncio.Event(),
        }
        await _node(rng, world, 0)

    program.__qualname__ = f"generated-{number}"
    return program


async def _node(rng, world, depth):
    steps = [_sleep, _io, _lock, _queue, _semaphore, _random_text]
    if depth < 3:
        steps += [_wait, _wait, _gather, _anyio_group, _anyio_group, _timeout, _cancel, _stream]
    for _ in range(rng.randint(1, 3)):
        await rng.choice(steps)(rng, world, depth)


async def _sleep(rng, world, depth):
    await asyncio.sleep(rng.choice([0, 0, 0.001, 0.01]))


async def _io(rng, world, depth):
    await io(0.0, rng.choice([0.01, 0.1]))


async def _lock(rng, world, depth):
    async with world["lock"]:
        await io(0.0, 0.01)


async def _semaphore(rng, world, depth):
    async with world["semaphore"]:
        await asyncio.sleep(0)


async def _queue(rng, world, depth):
    world["queue"].put_nowait(draw(0, 9))
    say(str(await world["queue"].get()))


async def _random_text(rng, world, depth):
    say(f"{random.random():.6f}")


def _children(rng, world, depth, most=4):
    return [_node(random.Random(rng.random()), world, depth + 1) for _ in range(rng.randint(2, most))]


async def _wait(rng, world, depth):
    tasks = {asyncio.create_task(child) for child in _children(rng, world, depth)}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    say(f"{len(done)} done")
    for task in pending:
        if rng.random() < 0.5:
            task.cancel()
    if pending:
        await asyncio.wait(pending)
    for task in done | pending:
        if not task.cancelled() and task.exception():
            raise task.exception()


async def _gather(rng, world, depth):
    await asyncio.gather(*_children(rng, world, depth))


async def _anyio_group(rng, world, depth):
    async with anyio.create_task_group() as group:
        for child in _children(rng, world, depth):
            group.start_soon(_run, child)
        if rng.random() < 0.3:
            await io(0.0, 0.05)
            group.cancel_scope.cancel()


async def _run(child):
    await child


async def _timeout(rng, world, depth):
    try:
        async with asyncio.timeout(0.02):
            await _node(rng, world, depth + 1)
    except TimeoutError:
        say("too late")


async def _cancel(rng, world, depth):
    task = asyncio.create_task(_node(random.Random(rng.random()), world, depth + 1))
    await io(0.0, 0.02)
    task.cancel()
    await asyncio.wait([task])


async def _stream(rng, world, depth):
    async def echo(reader, writer):
        try:
            writer.write(await reader.read(100))
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "localhost", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("localhost", port)
        try:
            writer.write(b"hello")
            say(repr(await reader.read()))
        finally:
            writer.close()
    finally:
        server.close()
