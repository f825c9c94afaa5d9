"""The Redis server of a world as a target of faults: its outages, its commands, and connections that stay open."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from hardening.worlds.live.valkey import ValkeyServer

ANSWER_S_MAX = 70.0
"""Longer than the longest pause a fault may order: a session waits it out."""


class RedisTarget:
    """``RedisServer`` and ``RedisSessions`` over the world's own server."""

    def __init__(self, server: ValkeyServer) -> None:
        self._server = server
        self.kill = server.kill
        self.shutdown = server.shutdown
        self.restart = server.restart
        self.pause = server.pause
        self.resume = server.resume
        self.alive = server.alive
        self.command = server.command

    async def running(self) -> bool:
        """See ``hardening.faults.targets.RedisSessions``."""
        return any(owned.name == "redis" and owned.is_running() for owned in self._server.run.owned())

    async def session(self) -> RedisConnection:
        """A connection that stays open."""
        connection = RedisConnection(self._server.url)
        await connection.command("PING")
        return connection


class RedisConnection:
    """``RedisSession``: one connection, never silently replaced by another."""

    def __init__(self, url: str) -> None:
        retry = Retry(NoBackoff(), 0)
        self._client = Redis.from_url(
            url,
            socket_timeout=ANSWER_S_MAX,
            socket_connect_timeout=2,
            retry=retry,
            protocol=2,
            single_connection_client=True,
        )

    async def command(self, *words: str | bytes | int) -> Any:
        """See ``hardening.faults.targets.RedisSession``."""
        return await self._client.execute_command(*words)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """See ``hardening.faults.targets.RedisSession``."""
        await self._client.aclose()
