"""Redis, kept at arm's length: every command ends in time, and a Redis that is gone costs one caller, not all.

A command runs in a task of its own: a caller that goes away does not cut it off between command and reply. One that
takes too long is cancelled, upon which redis-py drops the connection, so that no late reply meets another command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.seams import EmitEvent

T = TypeVar("T")

COMMAND_S = 0.25
PAUSE_SLOW_S = 0.5
"""After a timeout Redis is left alone so long: each try costs somebody ``COMMAND_S``."""
PAUSE_FAST_S = 0.05
"""After a refused connection: a try costs nearly nothing, and Redis is to be used again at the next need."""


class RedisGoneError(Exception):
    """Redis did not answer, or is being left alone after it did not."""


def open_redis(url: str) -> Redis:
    """A client that never repeats a command by itself: a reset before the reply may come after its effect.

    Raises:
        ValueError: for a URL that cannot be.
    """
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=5.0, socket_connect_timeout=1.0, protocol=2)


class RedisLink:
    """All commands of the process go through one of these.

    Args:
        client: from ``seams.redis``; its own retries are switched off here as well.
        emit: takes the event ``redis`` (``lost``, ``back``).
        monotonic: seconds.
    """

    def __init__(self, client: Redis, emit: EmitEvent, monotonic: Callable[[], float]) -> None:
        client.set_retry(Retry(NoBackoff(), 0))
        self.up = True
        self._client = client
        self._emit = emit
        self._monotonic = monotonic
        self._retry_at_s = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Callable[[Redis], Awaitable[T]], timeout_s: float = COMMAND_S) -> T:
        """Run commands.

        Raises:
            RedisGoneError: no answer in time, or none was asked for because there was none just now.
            RedisError: Redis answered with an error.
        """
        now_s = self._monotonic()
        if not self.up:
            if now_s < self._retry_at_s:
                raise RedisGoneError
            self._retry_at_s = now_s + timeout_s  # this caller tries, the others need not
        task = asyncio.get_running_loop().create_task(self._bounded(work, timeout_s))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait([task])
        return task.result()

    async def _bounded(self, work: Callable[[Redis], Awaitable[T]], timeout_s: float) -> T:
        try:
            async with asyncio.timeout(timeout_s):
                result = await work(self._client)
        except (TimeoutError, RedisTimeoutError) as error:
            self._lost(error, PAUSE_SLOW_S)
            raise RedisGoneError from error
        except (RedisConnectionError, OSError) as error:  # BusyLoading and authentication failures are of this kind
            self._lost(error, PAUSE_FAST_S)
            raise RedisGoneError from error
        except ResponseError:
            self._back()
            raise
        self._back()
        return result

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a caller that went away never asks for it

    def _lost(self, error: Exception, pause_s: float) -> None:
        self._retry_at_s = self._monotonic() + pause_s
        if self.up:
            self.up = False
            self._emit("redis", event="lost", error=type(error).__name__)

    def _back(self) -> None:
        if not self.up:
            self.up = True
            self._emit("redis", event="back")

    async def ping(self, timeout_s: float = COMMAND_S) -> None:
        """Raises RedisGoneError (or RedisError) when Redis is not well."""

        async def work(client: Redis) -> None:
            await client.ping()

        await self.run(work, timeout_s)

    async def aclose(self) -> None:
        """Wait for the commands under way and close the connections."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        await self._client.aclose()


__all__ = ["COMMAND_S", "RedisError", "RedisGoneError", "RedisLink", "open_redis"]
