"""Sockets of the simulated network: ``socket.socket`` objects without a descriptor of the operating system.

A program gets them from transports and servers, and from ``socket.socket()`` itself inside a run. Blocking calls wait
in virtual time (``loop.block``), non-blocking ones raise ``BlockingIOError``. Errors are those of the kernel.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import weakref
from dataclasses import dataclass, field
from typing import Any, Self, cast

from hardening.simulator.core.blocking import Blocking
from hardening.simulator.core.sync import check_seconds
from hardening.simulator.net.network_view import NetworkView, RawEnd, RawListener, network_of_loop

FIRST_DESCRIPTOR = 1_000_000
"""Above every real one, so that the two never meet in ``select``."""


@dataclass(slots=True)
class SocketState:
    """What a simulated socket knows.

    It lies in the slot ``_closed``: the layout of the object is that of ``socket.socket``, which is written so.
    """

    fd: int
    own: Any
    peer: Any
    target: Any
    family: int = socket.AF_INET
    kind: int = socket.SOCK_STREAM
    proto: int = 0
    options: dict[tuple[int, int], Any] = field(default_factory=dict)
    timeout_s: float | None = None
    end: RawEnd | None = None
    listener: RawListener | None = None
    is_closed: bool = False


_OPEN: weakref.WeakValueDictionary[int, SimSocket] = weakref.WeakValueDictionary()


def socket_of(descriptor: Any) -> SimSocket | None:
    """The open simulated socket with this descriptor (or that has this ``fileno()``)."""
    number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
    return _OPEN.get(number) if number >= FIRST_DESCRIPTOR else None


def forget_sockets() -> None:
    """A run begins: descriptors are counted from the start again."""
    _OPEN.clear()
    _next_fd[0] = FIRST_DESCRIPTOR


_next_fd = [FIRST_DESCRIPTOR]


class SimSocket(socket.socket):
    """A simulated socket.

    Args:
        own: its address.
        peer: the address of the other end.
        target: where ``create_connection(sock=...)`` connects it to.
    """

    __slots__ = ()

    def __init__(self, own: Any = None, peer: Any = None, *, target: Any = None) -> None:
        self.become(SocketState(0, own, peer, target))

    def become(self, state: SocketState) -> None:
        """Take a state and a descriptor; also for an object that ``socket.socket()`` made."""
        _next_fd[0] += 1
        state.fd = _next_fd[0]
        self._io_refs = 0
        self._closed: Any = state
        _OPEN[state.fd] = self

    @property
    def state(self) -> SocketState:
        """What it knows."""
        return cast(SocketState, self._closed)

    def __repr__(self) -> str:
        return f"<SimSocket fd={self.fileno()} {self.state.own} -> {self.state.peer}>"

    # --- what it is ------------------------------------------------------------------------------------------

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4, IPv6 or Unix."""
        return socket.AddressFamily(self.state.family)

    @property
    def type(self) -> socket.SocketKind:
        """A stream, without the flags that Linux keeps beside."""
        return socket.SocketKind(self.state.kind & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC))

    @property
    def proto(self) -> int:
        """0 or TCP."""
        return self.state.proto

    @property
    def timeout(self) -> float | None:
        """Seconds; None blocks for ever."""
        return self.state.timeout_s

    def fileno(self) -> int:
        """A number above every real descriptor; -1 once it is closed."""
        return -1 if self.state.is_closed else self.state.fd

    def getsockname(self) -> Any:
        """Own address."""
        return ("0.0.0.0", 0) if self.state.own is None else self.state.own

    def getpeername(self) -> Any:
        """The peer's address."""
        if self.state.peer is None:
            raise _error(errno.ENOTCONN)
        return self.state.peer

    def setsockopt(self, level: int, option: int, value: Any, *_: Any) -> None:
        """Remembered, and without effect."""
        self._must_be_open()
        self.state.options[level, option] = value

    def getsockopt(self, level: int, option: int, *_: Any) -> Any:
        """What was set, else 0."""
        self._must_be_open()
        return self.state.options.get((level, option), 0)

    def setblocking(self, flag: bool) -> None:
        """Whether calls wait."""
        self.state.timeout_s = None if flag else 0.0

    def getblocking(self) -> bool:
        """Whether calls wait."""
        return self.state.timeout_s != 0.0

    def settimeout(self, value: Any) -> None:
        """How long calls wait, virtual seconds."""
        if not isinstance(value, int | float | None):
            check_seconds(value)
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self.state.timeout_s = None if value is None else float(value)

    def gettimeout(self) -> float | None:
        """How long calls wait."""
        return self.state.timeout_s

    def get_inheritable(self) -> bool:
        """As Python makes them."""
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        """There is no child that could inherit it."""

    # --- what it does ----------------------------------------------------------------------------------------

    def bind(self, address: Any) -> None:
        """Take an address of the caller's machine.

        Raises:
            OSError: EADDRINUSE, EINVAL when it has one.
        """
        self._must_be_open()
        if self.state.own is not None:
            raise _error(errno.EINVAL)
        self.state.own = _network().reserve(address)

    def listen(self, backlog: int = 128) -> None:
        """Accept connections; they wait until somebody takes them."""
        self._must_be_open()
        if self.state.listener is None:
            if self.state.own is None:
                self.bind(("0.0.0.0", 0))
            self.state.listener = _network().listen_raw(self.state.own, self)

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection, and the address of its other end."""
        listener = self.state.listener
        if listener is None:
            raise _error(errno.EINVAL)
        self._wait(lambda: listener.waiting > 0, "accept")
        end = listener.take()
        return connected(end), end.peer

    def connect(self, address: Any) -> None:
        """Connect, and wait until it is.

        Raises:
            BlockingIOError: for a non-blocking socket; ``loop.sock_connect`` is for those.
            OSError: refused, reset or timed out.
        """
        if self.state.timeout_s == 0.0:
            raise _error(errno.EINPROGRESS)
        loop = Blocking.running
        end = loop.block_on(_network().connect_raw(address), self.state.timeout_s, "connect")
        self.attach(end)

    def connect_ex(self, address: Any) -> int:
        """The same with the error's number as result."""
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or errno.EAGAIN
        return 0

    def attach(self, end: RawEnd) -> None:
        """It is connected."""
        state = self.state
        state.end, state.own, state.peer = end, end.own, end.peer

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Up to ``size`` bytes; empty at the end of the stream."""
        end = self._connected()
        self._wait(lambda: end.is_readable, "recv")
        if flags & socket.MSG_PEEK:
            return end.peek(size)
        return end.take(size)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """The same into a buffer; how many there were."""
        data = self.recv(nbytes or len(buffer), flags)
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def send(self, data: Any, flags: int = 0) -> int:
        """Send bytes; how many the kernel took."""
        end = self._connected()
        payload = bytes(data)
        self._wait(lambda: end.room > 0, "send")
        return end.put(payload[: end.room])

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all of them."""
        rest = bytes(data)
        while rest:
            rest = rest[self.send(rest, flags) :]

    def shutdown(self, how: int) -> None:
        """End one direction or both."""
        end = self._connected()
        if how != socket.SHUT_RD:
            end.end_sending()

    def close(self) -> None:
        """Close it; files that were made of it keep the connection open."""
        state, self.state.is_closed = self.state, True
        if self._io_refs <= 0 and _OPEN.pop(state.fd, None) is not None:
            if state.listener is not None:
                state.listener.close()
            if state.end is not None:
                state.end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _decref_socketios(self) -> None:
        self._io_refs = max(0, self._io_refs - 1)
        if self.state.is_closed:
            self.close()

    def detach(self) -> int:
        """Give up the descriptor."""
        fd = self.fileno()
        self.gone()
        return fd

    def gone(self) -> None:
        """The connection is closed, and with it the descriptor."""
        self.state.is_closed = True
        _OPEN.pop(self.state.fd, None)

    def dup(self) -> SimSocket:
        """The same socket: there is no second descriptor to be had."""
        return self

    def _must_be_open(self) -> None:
        if self.state.is_closed:
            raise _error(errno.EBADF)

    def _connected(self) -> RawEnd:
        self._must_be_open()
        if self.state.end is None:
            raise _error(errno.ENOTCONN)
        return self.state.end

    def _wait(self, ready: Any, what: str) -> None:
        loop, limit_s = Blocking.running, self.state.timeout_s
        if ready():
            return
        if limit_s == 0.0:
            raise _error(errno.EAGAIN)
        if not loop.block(ready, None if limit_s is None else loop.now_s + limit_s, f"socket.{what}"):
            raise TimeoutError("timed out")


def connected(end: RawEnd) -> SimSocket:
    """A socket of its own for one end of a connection."""
    sock = SimSocket()
    sock.attach(end)
    return sock


def make_socket(sock: socket.socket, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> None:  # noqa: A002 - socket's own name
    """What ``socket.socket.__init__`` does inside a run: the object becomes a simulated one."""
    sock.__class__ = SimSocket
    chosen = socket.AF_INET if family == -1 else family
    kind = socket.SOCK_STREAM if type == -1 else type
    SimSocket.become(sock, SocketState(0, None, None, None, chosen, kind, max(proto, 0)))  # type: ignore[arg-type]


def _network() -> NetworkView:
    return network_of_loop(Blocking.running or asyncio.get_running_loop())


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
