"""httpcore: after any mix of cancellations the pool still serves."""

import asyncio

import httpcore
from httpcore_pool import serve

from scenarios.simulator import io, network


async def program():
    with network().host("web"):
        server = await asyncio.start_server(serve, None, 80)
    async with httpcore.AsyncConnectionPool(max_connections=1) as pool:

        async def client():
            await io(0.0, 0.3)
            await pool.request("GET", "http://web/")

        tasks = [asyncio.create_task(client(), name=f"client-{n}") for n in range(4)]
        await asyncio.gather(*tasks, return_exceptions=True)
        patient = {"pool": 30, "connect": 30, "read": 30, "write": 30}
        answer = await pool.request("GET", "http://web/", extensions={"timeout": patient})
        assert answer.status == 200
    server.close()
