"""The process's life: connections that are cut at their limits, signals, and a drain that ends with exit code 0.

uvicorn closes its listener at the first SIGTERM and raises the signal again at the end (exit -15); both are undone
here: readiness turns false first, the listener closes a second later, and a drained process has succeeded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Literal

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from signal_service.config.settings import ClientLimits, Drain
from signal_service.problems import Problem, encode
from signal_service.seams import EmitEvent, SignalSource

log = logging.getLogger(__name__)

BACKLOG = 128
"""Small on purpose: CPython 3.11 logs and schedules once per backlog entry when it runs out of descriptors."""
Stage = Literal["head", "body", "writing", "half_closed"]


def raw_answer(problem: Problem) -> bytes:
    """A whole HTTP/1.1 answer that ends its connection, for clients that never got as far as the application."""
    body, headers = encode(problem)
    lines = [f"HTTP/1.1 {problem.status} Refused".encode(), *(name + b": " + value for name, value in headers)]
    return b"\r\n".join([*lines, b"connection: close", b"", body])


TOO_MANY = raw_answer(Problem("connections", retry_after_s=1.0))
TOO_SLOW = raw_answer(Problem("slow", field="head"))
UNREADABLE = {
    413: raw_answer(Problem("too-large")),
    431: raw_answer(Problem("head-too-large")),
    501: raw_answer(Problem("coding")),
    505: raw_answer(Problem("version")),
}
MALFORMED = raw_answer(Problem("malformed"))
HALF_CLOSED_S = 1.0
"""How long a client that has ended its sending side is answered; one that went away altogether looks the same."""


class GatheringTransport:
    """A transport that sends what is written in one go as one packet.

    uvicorn writes head and body one after the other: two system calls, two packets, and twice the chance that another
    thread takes the interpreter in between.
    """

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send soon: when the caller has written all it has."""
        if data:
            if not self._parts:
                self._loop.call_soon(self._flush)
            self._parts.append(data)

    def _flush(self) -> None:
        data, self._parts = b"".join(self._parts), []
        if data:
            self._inner.write(data)

    def close(self) -> None:
        """Send what was written, then close."""
        self._flush()
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol with limits: connections in all, seconds for a head, a body and a reader that stopped."""

    def __init__(self, *args: Any, limits: Callable[[], ClientLimits], emit: EmitEvent, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._emit = emit
        self._stage: Stage | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refused = False
        self._half_closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it at once when there are too many."""
        if len(self.connections) >= self._limits().connections:
            self._refused = True
            self._emit("rejected", reason="connections", status=503, retry_after_s=1.0)
            transport.write(TOO_MANY)
            transport.close()
            return
        super().connection_made(GatheringTransport(transport, self.loop))  # type: ignore[arg-type] # it looks like one
        self._enter("head")

    def data_received(self, data: bytes) -> None:
        """Take bytes in, and watch how far the request has come."""
        if self._refused:
            return
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            data = data.lstrip(b"\r\n")  # RFC 9112, 2.2: empty lines before a request mean nothing
        super().data_received(data)
        self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request under way that nobody waits for its answer."""
        if self._refused:
            return
        self._enter(None)
        under_way = self._under_way()
        super().connection_lost(exc)
        if under_way and (tell := self.scope["state"].get("on_disconnect")) is not None:
            tell()

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn always lets the transport close
        """Answer what a client asked before it ended its sending side; True keeps the connection open for that."""
        if self._refused:
            return False
        if self._under_way() and self.conn.their_state is not h11.SEND_BODY:
            self._half_closed = True
            self._enter("half_closed")
        else:
            self.transport.close()  # here, not by the transport below: what was written last is still gathered
        return True

    def _under_way(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def on_response_complete(self) -> None:
        """Watch what the client does next."""
        super().on_response_complete()
        if not self._half_closed:
            self._follow()
        elif not self._under_way():
            self.transport.close()

    def pause_writing(self) -> None:
        """The client reads slower than it is answered."""
        super().pause_writing()
        self._enter("writing")

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._enter("half_closed" if self._half_closed else None)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or too much of it, with a problem document."""
        status = getattr(sys.exception(), "error_status_hint", 400)
        self._emit("rejected", reason="invalid", status=status if status in UNREADABLE else 400)
        self.transport.write(UNREADABLE.get(status, MALFORMED))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """An offer to change protocols is ignored, as HTTP allows; a client must not make us log advice on packages."""

    def _follow(self) -> None:
        their_state = self.conn.their_state
        if their_state is h11.SEND_BODY:
            self._enter("body")
        elif their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._enter("head")
        else:
            self._enter(None)

    def _enter(self, stage: Stage | None) -> None:
        if stage == self._stage:
            return  # the clock of a stage runs from its beginning: a dripping client gains nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stage = stage
        if stage is not None:
            limits = self._limits()
            # The gate answers a slow body with 408; the connection is cut here when that did not end it.
            limit_s = {"head": limits.head_s, "half_closed": HALF_CLOSED_S}.get(stage, limits.body_s + 1.0)
            self._timer = self.loop.call_later(limit_s, self._cut)

    def _cut(self) -> None:
        if self.transport.is_closing():
            self.transport.abort()
            return
        if self._stage == "head":
            self._emit("rejected", reason="slow", status=408, field="head")
            self.transport.write(TOO_SLOW)
            self.transport.close()
        else:
            self.transport.abort()


class DrainingServer(uvicorn.Server):
    """uvicorn's server without its signal handling; ``drain`` ends it as the orchestrator wishes."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain: Callable[[], Drain],
        emit: EmitEvent,
        sleep: Callable[[float], Awaitable[None]],
        monotonic: Callable[[], float],
        in_flight: Callable[[], int],
    ) -> None:
        super().__init__(config)
        self._drain_figures = drain
        self._emit = emit
        self._sleep = sleep
        self._monotonic = monotonic
        self._in_flight = in_flight
        self._began = 0.0

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are ``Lifecycle``'s; uvicorn would raise them again at the end."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        self._emit("startup", phase="listening", host=host, port=port)

    async def drain(self) -> None:
        """Keep serving for ``readiness_s`` while readiness is false, then let the server end."""
        self._began = self._monotonic()
        await self._sleep(self._drain_figures().readiness_s)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, give what is in flight its time, cancel the rest."""
        self._began = self._began or self._monotonic()
        figures = self._drain_figures()
        self.config.timeout_graceful_shutdown = figures.max_s  # type: ignore[assignment] # a float serves as well
        for server in self.servers:
            server.close()
        self._say("listener_closed")
        await super().shutdown(sockets)
        left = [connection.transport for connection in self.server_state.connections]
        for transport in left:
            transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(set(self.server_state.tasks), timeout=1.0)
        self._say("waited")

    def _say(self, phase: str) -> None:
        elapsed_s = round(self._monotonic() - self._began, 3)
        self._emit("drain", phase=phase, in_flight=self._in_flight(), elapsed_s=elapsed_s)


class Lifecycle:
    """Turns signals into what they mean, from before start-up to the last line.

    TERM and INT end the service once, whenever they come and however often; HUP reloads.
    """

    def __init__(self, on_signal: SignalSource, emit: EmitEvent, on_hangup: Callable[[], None]) -> None:
        self._emit = emit
        self._on_hangup = on_hangup
        self.ending = asyncio.Event()
        self._remove = [
            on_signal(signal.SIGTERM, lambda: self._end("SIGTERM")),
            on_signal(signal.SIGINT, lambda: self._end("SIGINT")),
            on_signal(signal.SIGHUP, self._hangup),
        ]

    def _end(self, name: str) -> None:
        phase = "again" if self.ending.is_set() else "begin"
        self._emit("drain", phase=phase, signal=name)
        self.ending.set()

    def _hangup(self) -> None:
        if not self.ending.is_set():
            self._on_hangup()

    def close(self) -> None:
        """Take the handlers away."""
        for remove in self._remove:
            remove()


async def unless_ending(work: Awaitable[Any], ending: asyncio.Event) -> bool:
    """Run ``work`` until it is done (True) or the service is to end (False: it was cancelled and has ended).

    Raises:
        Exception: what ``work`` raised.
    """
    task = asyncio.ensure_future(work)
    waiter = asyncio.ensure_future(ending.wait())
    try:
        await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            return True
        return False
    finally:
        for one in (task, waiter):
            one.cancel()
        await asyncio.gather(task, waiter, return_exceptions=True)


def bind(host: str, port: int, *, shared: bool) -> socket.socket:
    """A bound socket that does not listen yet; ``shared`` lets several workers bind the same port.

    Raises:
        OSError: when the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named in full: asyncio sets TCP_NODELAY only on sockets that say they are TCP; without it answers wait 40 ms.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
