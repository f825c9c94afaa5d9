"""httpcore: after any mix of timeouts the pool still serves."""

import asyncio

import httpcore

from scenarios.simulator import io, network


async def serve(reader, writer):
    try:
        while (await reader.readuntil(b"\r\n\r\n")):
            await io(0.0, 0.5)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def program():
    with network().host("web"):
        server = await asyncio.start_server(serve, None, 80)
    async with httpcore.AsyncConnectionPool(max_connections=1) as pool:

        async def client():
            await io(0.0, 0.3)
            limits = {"pool": 0.3, "connect": 0.3, "read": 0.3, "write": 0.3}
            try:
                await pool.request("GET", "http://web/", extensions={"timeout": limits})
            except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.RemoteProtocolError):
                return

        await asyncio.gather(*(client() for _ in range(4)))
        patient = {"pool": 30, "connect": 30, "read": 30, "write": 30}
        answer = await pool.request("GET", "http://web/", extensions={"timeout": patient})
        assert answer.status == 200
    server.close()
