# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""redis-py: a client that shares a connection pool gets the answers to its own questions."""

import asyncio

import redis.asyncio

from hardening.simulator import io, network


async def serve(reader, writer):
    """A Redis that knows GET: the value of a key is its name."""
    try:
        while header := await reader.readline():
            words = []
            for _ in range(int(header[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            await io(0.0, 0.05)
            name = words[0].upper()
            writer.write(b"$%d\r\n%s\r\n" % (len(words[1]), words[1]) if name == b"GET" else b"+OK\r\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def program():
    with network().host("redis"):
        server = await asyncio.start_server(serve, None, 6379)
    pool = redis.asyncio.BlockingConnectionPool(host="redis", max_connections=1, **OPTIONS)
    shared = redis.asyncio.Redis(connection_pool=pool)

    async def client(number):
        for turn in range(2):
            await io(0.0, 0.2)
            key = f"{number}:{turn}".encode()
            assert await shared.get(key) == key, "the reply to another request"

    tasks = [asyncio.create_task(client(n), name=f"client-{n}") for n in range(3)]
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, AssertionError):
            raise outcome
    await pool.disconnect()
    server.close()


OPTIONS = {"protocol": 2} if int(redis.__version__.split(".")[0]) >= 5 else {}
