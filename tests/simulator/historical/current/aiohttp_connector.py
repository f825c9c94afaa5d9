"""A free connection goes to whoever waits for one, whoever is cancelled."""

import asyncio

import aiohttp

from hardening.simulator import Reply, SimHttp, end_cancellations, io, network


async def program():
    await SimHttp(network(), Reply(200, b"ok"), takes_s=(0.0, 0.1)).start()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:

        async def client(number: int) -> None:
            await io(0.0, 0.05)
            async with session.get("http://web/") as answer:
                if number:
                    await answer.read()

        clients = [asyncio.create_task(client(n), name=f"client-{n}") for n in range(4)]
        await asyncio.wait(clients, timeout=20)
        end_cancellations()
        stuck = [each.get_name() for each in clients if not each.done()]
        assert not stuck, f"they wait for a connection that is free: {stuck}"
