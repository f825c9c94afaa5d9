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

from signal_service.seams import EmitEvent

T = TypeVar("T")

COMMAND_S = 0.25
PAUSE_SLOW_S = 0.5
"""After a timeout Redis is left alone so long: each try costs somebody ``COMMAND_S``."""
PAUSE_FAST_S = 0.05
"""After a refused connection: a try costs nearly nothing, and Redis is to be used again at the next need."""


SLOW = (TimeoutError, RedisTimeoutError)
FAST = (RedisConnectionError, OSError)
"""BusyLoading and refused passwords are connection errors, too."""


class RedisGoneError(Exception):
    """Redis did not answer, or is being left alone after it did not."""


def open_redis(url: str) -> Redis:
    """A client that never repeats a command by itself: a reset before the reply may come after its effect.

    Raises:
        ValueError: for a URL that cannot be.
    """
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=2.0, socket_connect_timeout=1.0, protocol=2)


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
        self._tasks: dict[asyncio.Task[Any], asyncio.TimerHandle] = {}

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
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._call(work))
        self._tasks[task] = loop.call_later(timeout_s, self._expire, task)
        task.add_done_callback(self._ended)
        # Bounded here as well: cancelled between WATCH and EXEC, redis-py first reconnects to say UNWATCH.
        await asyncio.wait([task], timeout=timeout_s)
        if not task.done() or task.cancelled():
            raise RedisGoneError
        error = task.exception()
        if isinstance(error, SLOW + FAST):
            raise RedisGoneError from error
        return task.result()

    async def _call(self, work: Callable[[Redis], Awaitable[T]]) -> T:
        return await work(self._client)

    def _expire(self, task: asyncio.Task[Any]) -> None:
        self._lost("timeout", PAUSE_SLOW_S)
        task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task).cancel()
        if task.cancelled():
            return
        error = task.exception()  # asked for here: a caller that went away never does
        if isinstance(error, SLOW):
            self._lost(type(error).__name__, PAUSE_SLOW_S)
        elif isinstance(error, FAST):
            self._lost(type(error).__name__, PAUSE_FAST_S)
        elif not self.up and (error is None or isinstance(error, ResponseError)):
            self.up = True
            self._emit("redis", event="back")

    def _lost(self, error: str, pause_s: float) -> None:
        self._retry_at_s = self._monotonic() + pause_s
        if self.up:
            self.up = False
            self._emit("redis", event="lost", error=error)

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
