"""Protocols through which transports, connections, links and listeners see what holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hardening.simulator.core.loop import VirtualLoop
from hardening.toxics import Direction, Draws, Payload


class Wire(Protocol):
    """A connection, as its two transports and its listener see it; ``on_over`` is called when an end is closed."""

    on_over: Callable[[], None] | None

    @property
    def loop(self) -> VirtualLoop:
        """The loop of the run."""

    def send(self, direction: Direction, payload: Payload) -> None:
        """A packet leaves the end that sends in ``direction``."""

    def other(self, end: Any) -> Any:
        """The other end."""

    def over(self, end: Any) -> None:
        """An end is closed or lost."""

    def advance(self) -> None:
        """The link on the way may have something due."""


class ByteCounter(Protocol):
    """A link, as the bytes that pass it see it."""

    def passed(self, direction: Direction, count: int) -> None:
        """Bytes came from the source of a direction."""


class RawEnd(Protocol):
    """One end of a connection, as a socket uses it: bytes are taken and put, and no protocol is called."""

    own: Any
    peer: Any

    @property
    def is_readable(self) -> bool:
        """Whether ``take`` has something to say: bytes, the end of the stream, or an error."""

    @property
    def room(self) -> int:
        """How many bytes the kernels' buffers take now."""

    def peek(self, size: int) -> bytes:
        """The bytes that ``take`` would give."""

    def take(self, size: int) -> bytes:
        """Bytes that have come; empty at the end of the stream."""

    def put(self, data: bytes) -> int:
        """Send bytes; how many."""

    def end_sending(self) -> None:
        """End this direction."""

    def close(self) -> None:
        """Close the connection."""


class RawListener(Protocol):
    """A listener, as a socket uses it."""

    @property
    def waiting(self) -> int:
        """Connections that nobody has taken."""

    def take(self) -> RawEnd:
        """The next one."""

    def close(self) -> None:
        """Listen no longer."""


class NetworkView(Protocol):
    """The network, as sockets, connections, links and listeners see it."""

    draws: Draws

    @property
    def loop(self) -> VirtualLoop:
        """The loop of the run."""

    @property
    def connections(self) -> Sequence[Any]:
        """The open connections."""

    @property
    def links(self) -> Mapping[str, ByteCounter]:
        """The links, by machine."""

    def latency_between(self, one: str, other: str) -> tuple[float, float]:
        """Bounds of a packet's latency, seconds."""

    def is_parted(self, one: str, other: str) -> bool:
        """Whether packets between two machines are held."""

    def forget(self, connection: Any) -> None:
        """Both ends of a connection are closed."""

    def enlist(self, server: Any) -> None:
        """A listener takes connections from now on."""

    def unlisten(self, server: Any) -> None:
        """Close a listener."""

    def reserve(self, address: Any) -> Any:
        """Bind an address of the caller's machine; returns it with its port."""

    def listen_raw(self, address: Any, sock: Any) -> RawListener:
        """Listen on behalf of a socket."""

    async def connect_raw(self, address: Any) -> RawEnd:
        """Connect on behalf of a socket."""


def network_of_loop(loop: Any) -> NetworkView:
    """The network of a run; the loop makes it when it is first asked for."""
    network: NetworkView = loop.network
    return network
