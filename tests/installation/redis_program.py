"""A program of a user on whatever redis-py is installed: ``.ci/run`` explores it on redis-py 5 and 4.6."""

import asyncio

from redis.asyncio import Redis

from hardening.simulator import network
from hardening.simulator.adapters.redis_server import SimRedis


async def counter() -> None:
    """Ten increments from two clients are ten, whatever the network delays."""
    server = await SimRedis(network()).start()
    first, second = Redis(host="redis", port=6379), Redis(host="redis", port=6379)
    try:
        await asyncio.gather(*(client.incr("hits") for client in (first, second) for _ in range(5)))
        assert int(await first.get("hits")) == 10
    finally:
        for client in (first, second):
            await client.connection_pool.disconnect()
        await server.shutdown()
