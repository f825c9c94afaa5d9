# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""httpcore: after any mix of timeouts the pool still serves."""

import asyncio

import httpcore

from hardening.simulator import io, network

PATIENT = {"timeout": {"pool": 30, "connect": 30, "read": 30, "write": 30}}


async def serve(reader, writer):
    """A web server that takes its time."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            await io(0.0, 0.5)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def still_serves(pool, get):
    async def client():
        await io(0.0, 0.3)
        try:
            async with asyncio.timeout(0.3):
                await get()
        except TimeoutError:
            return

    await asyncio.gather(*(asyncio.create_task(client(), name=f"client-{n}") for n in range(4)), return_exceptions=True)
    await asyncio.sleep(60)
    answer = await pool.request("GET", "http://web/", extensions=PATIENT)
    assert answer.status == 200


async def program():
    with network().host("web"):
        server = await asyncio.start_server(serve, None, 80)
    async with httpcore.AsyncConnectionPool(max_connections=1) as pool:
        await still_serves(pool, lambda: pool.request("GET", "http://web/"))
    server.close()


async def twin():
    """The same pool behind a semaphore, each request in a shielded task of its own."""
    with network().host("web"):
        server = await asyncio.start_server(serve, None, 80)
    slots = asyncio.Semaphore(1)

    async with httpcore.AsyncConnectionPool(max_connections=1) as pool:

        async def request():
            async with slots:
                await pool.request("GET", "http://web/")

        await still_serves(pool, lambda: asyncio.shield(asyncio.create_task(request(), name="request")))
    server.close()
