"""The deadline, kept in the network stream.

httpx counts its timeouts per read, so a dripped head or body outlives them, and cancelling a call loses a slot of
httpcore's pool for good (encode/httpcore#1093). So each connect, read and write is capped here by what is left of
the attempt's time, and an abandoned call ends the same way: as a read that timed out.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any, TypeVar

import httpcore
import httpx

T = TypeVar("T")

IDLE_S = 2.0
"""Idle connections are closed before a server's usual 5 s, or a request would race with its closing."""


class Deadline:
    """The end of one call, and of the attempt in it; ``abort`` brings it forward to now."""

    def __init__(self, at_s: float, monotonic: Callable[[], float]) -> None:
        self.at_s = at_s
        self.attempt_at_s = at_s
        self.aborted = False
        self._monotonic = monotonic
        self._alarm: asyncio.Timeout | None = None

    @property
    def left_s(self) -> float:
        """Seconds until the call must have ended."""
        return 0.0 if self.aborted else self.at_s - self._monotonic()

    @property
    def attempt_left_s(self) -> float:
        """Seconds until the attempt must have ended."""
        return 0.0 if self.aborted else self.attempt_at_s - self._monotonic()

    def begin_attempt(self, timeout_s: float) -> float:
        """Give an attempt ``timeout_s`` or what is left, and return it."""
        granted_s = min(timeout_s, self.left_s)
        self.attempt_at_s = self._monotonic() + granted_s
        return granted_s

    def abort(self) -> None:
        """Nobody waits any more: whatever is under way times out now."""
        self.aborted = True
        if self._alarm is not None and not self._alarm.expired():
            self._alarm.reschedule(asyncio.get_running_loop().time())

    async def cap(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run one step of I/O (or a wait) within the attempt's time.

        Raises:
            TimeoutError: when the time is over.
        """
        left_s = self.attempt_left_s
        if left_s <= 0:
            raise TimeoutError
        async with asyncio.timeout(left_s) as self._alarm:
            try:
                return await work()
            finally:
                self._alarm = None


current_deadline: ContextVar[Deadline | None] = ContextVar("current_deadline", default=None)
"""Set inside the task that runs the call; pooled connections serve many calls, so they cannot hold it themselves."""


async def _capped(work: Callable[[], Awaitable[T]], error: type[Exception]) -> T:
    deadline = current_deadline.get()
    if deadline is None:
        return await work()
    try:
        return await deadline.cap(work)
    except TimeoutError as over:
        raise error("deadline") from over


class DeadlineStream(httpcore.AsyncNetworkStream):
    """A connection whose every read, write and handshake ends by the current deadline."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See httpcore; raises ReadTimeout at the deadline."""
        return await _capped(lambda: self._inner.read(max_bytes, timeout), httpcore.ReadTimeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See httpcore; raises WriteTimeout at the deadline."""
        await _capped(lambda: self._inner.write(buffer, timeout), httpcore.WriteTimeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Handshake with the shared context, made only now; ``ssl_context`` is httpcore's placeholder."""
        context = shared_ssl_context()
        inner = await _capped(lambda: self._inner.start_tls(context, server_hostname, timeout), httpcore.ConnectTimeout)
        return DeadlineStream(inner)

    def get_extra_info(self, info: str) -> Any:
        """See httpcore."""
        return self._inner.get_extra_info(info)


class DeadlineBackend(httpcore.AsyncNetworkBackend):
    """Opens connections within the current deadline.

    A name is looked up once for all who wait for it: lookups occupy threads that the whole process shares, and a
    resolver that hangs on one name must not take them from the others.

    Args:
        inner: the real (or simulated) network.
    """

    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner
        self._lookups: dict[tuple[str, int], asyncio.Task[list[str]]] = {}

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore; raises ConnectTimeout at the deadline, ConnectError for a name that does not resolve."""
        addresses = await _capped(lambda: self._look_up(host, port), httpcore.ConnectTimeout)
        for index, address in enumerate(addresses):
            deadline = current_deadline.get()
            share_s = timeout if deadline is None else deadline.attempt_left_s / (len(addresses) - index)
            try:
                inner = await _capped(
                    functools.partial(self._inner.connect_tcp, address, port, share_s, local_address, socket_options),
                    httpcore.ConnectTimeout,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if index == len(addresses) - 1:
                    raise
            else:
                return DeadlineStream(inner)
        raise httpcore.ConnectError("the name has no address")

    async def _look_up(self, host: str, port: int) -> list[str]:
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        task = self._lookups.get((host, port))
        if task is None:
            task = asyncio.get_running_loop().create_task(_addresses(host, port))
            self._lookups[host, port] = task
            task.add_done_callback(lambda _: self._lookups.pop((host, port)))
        await asyncio.wait([task])
        return task.result()

    async def sleep(self, seconds: float) -> None:
        """See httpcore."""
        await self._inner.sleep(seconds)


async def _addresses(host: str, port: int) -> list[str]:
    """The addresses of a name, none when it does not resolve."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in found]


@functools.cache
def shared_ssl_context() -> ssl.SSLContext:
    """The one SSL context of the process: it costs 20 ms, so only a service that talks https pays for it."""
    context = httpx.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context


@functools.cache
def _placeholder() -> ssl.SSLContext:
    """Keeps httpcore from making a context for every connection."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class DeadlineTransport(httpx.AsyncHTTPTransport):
    """httpx's transport over a pool that connects through ``backend``; makes no SSL context of its own."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, connections: int) -> None:
        # The base class's own initialiser offers no way to hand a network backend in.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_placeholder(),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=IDLE_S,
            network_backend=DeadlineBackend(backend),
        )
