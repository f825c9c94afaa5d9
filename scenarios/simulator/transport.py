"""One connection of the simulated network: two transports, and what travels between them in virtual time.

Bytes and ends travel as packets, each with a latency of its own; a packet never overtakes another in its direction.
The toxics of a link see the bytes first, as a proxy beside the client would.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Self, cast

from faults.toxics import NEVER, OPPOSITE, Direction, End, Link, Payload
from scenarios.simulator.hosts import Host

if TYPE_CHECKING:
    from scenarios.simulator.network import Network

HIGH_WATER_BYTES = 64 * 1024
KERNEL_BYTES = 128 * 1024
"""What the two kernels' buffers take before a sender notices that nobody reads."""


class SimSocket:
    """What ``get_extra_info("socket")`` gives: names, and options that are remembered and change nothing."""

    family = socket.AF_INET
    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, own: Any, peer: Any = None, *, target: Any = None) -> None:
        self.target = target
        self._own = own
        self._peer = peer
        self._options: dict[tuple[int, int], Any] = {}

    def getsockname(self) -> Any:
        """Own address."""
        return self._own

    def getpeername(self) -> Any:
        """The peer's address."""
        if self._peer is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._peer

    def setsockopt(self, level: int, option: int, value: Any, *_: Any) -> None:
        """Remembered."""
        self._options[level, option] = value

    def getsockopt(self, level: int, option: int, *_: Any) -> Any:
        """What was set, else 0."""
        return self._options.get((level, option), 0)

    def fileno(self) -> int:
        """There is no descriptor."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """Nothing blocks here."""

    def settimeout(self, value: float | None) -> None:
        """Nothing blocks here."""

    def gettimeout(self) -> float:
        """As asyncio's sockets: non-blocking."""
        return 0.0

    def shutdown(self, how: int) -> None:
        """The transport does that."""

    def close(self) -> None:
        """The transport does that."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(
        self, connection: Connection, host: Host, own: Any, peer: Any, context: contextvars.Context, outward: Direction
    ) -> None:
        sock = SimSocket(own, peer)
        super().__init__({"socket": sock, "sockname": own, "peername": peer})
        self.connection = connection
        self.host = host
        self.context = context
        self.outward: Direction = outward
        self.protocol: Any = None
        self.is_lost = False
        self.unacked_bytes = 0
        self.bytes_sent = 0
        self._closing = False
        self._ended = False
        self._paused = False
        self._flushing = False
        self._writing_paused = False
        self._inbox: deque[Payload] = deque()
        self._low, self._high = HIGH_WATER_BYTES // 4, HIGH_WATER_BYTES

    # --- what protocols call ---------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who gets the bytes."""
        return cast(asyncio.BaseProtocol, self.protocol)

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing

    def is_reading(self) -> bool:
        """Whether bytes are handed to the protocol."""
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        """Keep what arrives."""
        self._paused = True

    def resume_reading(self) -> None:
        """Hand on what was kept, from the next round of the loop."""
        if self._paused:
            self._paused = False
            if self._inbox and not self._flushing:
                self._flushing = True
                self.connection.loop.call_soon(self._flush, context=self.context)

    def write(self, data: Any) -> None:
        """Send bytes; after the end or the loss of the connection they vanish."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data:
            return
        payload = bytes(data)
        self.unacked_bytes += len(payload)
        self.bytes_sent += len(payload)
        self.connection.send(self.outward, payload)
        if not self._writing_paused and self.get_write_buffer_size() > self._high:
            self._writing_paused = True
            self.protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Send them joined."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """TCP can."""
        return True

    def write_eof(self) -> None:
        """End this direction only."""
        if not self._ended and not self._closing:
            self._ended = True
            self.connection.send(self.outward, End.HALF_CLOSE)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """When ``pause_writing`` and ``resume_writing`` are called."""
        if high is None:
            high = HIGH_WATER_BYTES if low is None else 4 * low
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._low, self._high = low, high

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Low and high."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernels' buffers did not take yet."""
        return max(0, self.unacked_bytes - KERNEL_BYTES)

    def close(self) -> None:
        """Send what is written, then the end."""
        if not self._closing:
            self._closing = True
            self.connection.send(self.outward, End.CLOSE)
            self.connection.loop.call_soon(self._lose, None, context=self.context)

    def abort(self) -> None:
        """Reset the connection."""
        if not self.is_lost:
            self._closing = True
            self.connection.send(self.outward, End.RESET)
            self.connection.loop.call_soon(self._lose, None, context=self.context)

    # --- what the connection calls ---------------------------------------------------------------------------

    def arrive(self, payload: Payload) -> None:
        """A packet has come."""
        if payload is End.RESET:
            self._closing = True
            self._inbox.clear()
            self._lose(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
        elif self._closing:
            if isinstance(payload, bytes):
                self.connection.send(self.outward, End.RESET)
        elif self._paused or self._inbox:
            self._inbox.append(payload)
        else:
            self._deliver(payload)

    def acknowledge(self, count: int) -> None:
        """The peer's program has read so many bytes."""
        self.unacked_bytes -= count
        if self._writing_paused and self.get_write_buffer_size() <= self._low and not self.is_lost:
            self._writing_paused = False
            self.protocol.resume_writing()

    def vanish(self) -> None:
        """The machine is gone: nobody is told."""
        self._closing = self.is_lost = True
        self._inbox.clear()

    def _flush(self) -> None:
        self._flushing = False
        while self._inbox and not self._paused and not self._closing:
            self._deliver(self._inbox.popleft())

    def _deliver(self, payload: Payload) -> None:
        protocol = self.protocol
        try:
            if isinstance(payload, bytes):
                self.connection.other(self).acknowledge(len(payload))
                self._hand_over(payload)
            elif not protocol.eof_received() or self._ended:
                self.close()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - as asyncio's transports: the connection ends
            loop = self.connection.loop
            message = "Fatal error: protocol call failed."
            loop.call_exception_handler({"message": message, "exception": error, "protocol": protocol})
            self.abort()

    def _hand_over(self, data: bytes) -> None:
        protocol = self.protocol
        if not isinstance(protocol, asyncio.BufferedProtocol):
            protocol.data_received(data)
            return
        while data:
            buffer: Any = protocol.get_buffer(len(data))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            protocol.buffer_updated(size)
            data = data[size:]

    def _lose(self, error: Exception | None) -> None:
        if self.is_lost:
            return
        self.is_lost = self._closing = True
        self.connection.over(self)
        if self.protocol is not None:
            self.protocol.connection_lost(error)


class Connection:
    """Two ends and the way between them.

    Attributes:
        name: ``client->server:port #n``.
        ends: the client's (it sends ``upstream``) and the server's (``downstream``).
        link: the toxics on the way, if any.
    """

    def __init__(self, network: Network, name: str, link: Link | None) -> None:
        self.network = network
        self.loop = network.loop
        self.name = name
        self.link = link
        self.ends: dict[Direction, SimTransport] = {}
        self.on_over: Callable[[], None] | None = None
        self._last_at: dict[Direction, float] = {"upstream": 0.0, "downstream": 0.0}
        self._held: list[tuple[Direction, Payload]] = []
        self.under_way: dict[Direction, int] = {"upstream": 0, "downstream": 0}
        self._timer: asyncio.TimerHandle | None = None
        self._closed: set[Direction] = set()

    def other(self, end: SimTransport) -> SimTransport:
        """The other end."""
        return self.ends[OPPOSITE[end.outward]]

    def send(self, direction: Direction, payload: Payload) -> None:
        """A packet leaves the end that sends in ``direction``."""
        if self.network.links and isinstance(payload, bytes):
            link = self.network.links.get(self.ends["downstream"].host.name)
            if link is not None:
                link.passed(direction, len(payload))
        if self.link is None or self.link.is_clear or payload is End.RESET:
            self._carry(direction, payload)
        else:
            self._through(self.link.feed(direction, payload, self.loop.time()))

    def advance(self) -> None:
        """The link has something due, or its toxics were changed."""
        if self.link is not None:
            self._through(self.link.advance(self.loop.time()))

    def hang_up(self) -> None:
        """Both ends are reset, as by a proxy that goes down."""
        for end in self.ends.values():
            if not end.is_lost:
                self.loop.call_soon(end.arrive, End.RESET, context=end.context)

    def over(self, end: SimTransport) -> None:
        """An end is done; when both are, the network forgets the connection."""
        if all(each.is_lost for each in self.ends.values()):
            self.network.forget(self)
            if self._timer is not None:
                self._timer.cancel()
        if end.outward == "downstream" and self.on_over is not None:
            self.on_over()

    def left_open(self) -> int:
        """Ends that nobody closed, and that no packet is on its way to."""
        return sum(
            not end.is_closing() and end.host.alive and not self.under_way[OPPOSITE[direction]]
            for direction, end in self.ends.items()
        )

    def held_count(self) -> int:
        """Packets held by a partition."""
        return len(self._held)

    def carry_on(self) -> None:
        """The partition is healed: what was held goes on its way."""
        held, self._held = self._held, []
        for direction, payload in held:
            self._carry(direction, payload)

    def _through(self, due: list[tuple[Direction, Payload]]) -> None:
        link = cast(Link, self.link)
        for direction, payload in due:
            if payload is End.RESET:
                self.hang_up()
                return
            self._carry(direction, payload)
            if payload is End.CLOSE and OPPOSITE[direction] not in self._closed:
                self._closed.update((direction, OPPOSITE[direction]))
                self._through(link.feed(OPPOSITE[direction], End.CLOSE, self.loop.time()))
        at = link.next_at()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at < NEVER:
            self._timer = self.loop.call_at(max(at, self.loop.time()), self.advance)

    def _carry(self, direction: Direction, payload: Payload) -> None:
        """Give a packet its latency; rarely it is split in two."""
        choices = self.loop.choices
        who = f"{self.name} {direction}"
        if isinstance(payload, bytes) and len(payload) > 1:
            cut = int(choices.rare(f"{who} split", 0, len(payload) - 1))
            if cut:
                self._launch(direction, payload[:cut], who)
                payload = payload[cut:]
        self._launch(direction, payload, who)

    def _launch(self, direction: Direction, payload: Payload, who: str) -> None:
        loop = self.loop
        low, high = self.network.latency_between(*(end.host.name for end in self.ends.values()))
        delay_s = loop.choices.wait(who, low, high, loop.now_s, loop.timers)
        at = self._last_at[direction] = max(loop.time() + delay_s, self._last_at[direction])
        if loop.tracing:
            loop.trace.note(loop, "delay", who, f"{delay_s:.6g} of {low:g}..{high:g}")
            loop.trace.note(loop, "send", who, describe(payload))
        end = self.ends[OPPOSITE[direction]]
        self.under_way[direction] += 1
        loop.call_at(at, self._arrive, direction, payload, context=end.context)

    def _arrive(self, direction: Direction, payload: Payload) -> None:
        self.under_way[direction] -= 1
        sender, end = self.ends[direction], self.ends[OPPOSITE[direction]]
        if self._held or self.network.is_parted(sender.host.name, end.host.name):
            self._held.append((direction, payload))
            return
        if self.loop.tracing:
            self.loop.trace.note(self.loop, "receive", f"{self.name} {direction}", describe(payload))
        if end.is_lost and isinstance(payload, bytes) and end.host.alive and not sender.is_lost:
            self._carry(OPPOSITE[direction], End.RESET)
        elif not end.is_lost:
            end.arrive(payload)


def describe(payload: Payload) -> str:
    """A packet, for the trace: its size and its beginning."""
    if isinstance(payload, End):
        return payload.value
    return f"{len(payload)} bytes {payload[:40]!r}"
