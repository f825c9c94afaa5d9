"""One end of a connection of the simulated network, as protocols see it (asyncio's transport) and as sockets do.

``_inbox`` is what the kernel holds: bytes and ends that came while nobody read. Sizes are bytes.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

from hardening.simulator.core.hosts import Host
from hardening.simulator.net.network_view import Wire
from hardening.simulator.net.sockets import SimSocket
from hardening.toxics import Direction, End, Payload

HIGH_WATER_BYTES = 64 * 1024
KERNEL_BYTES = 128 * 1024
"""What the two kernels' buffers take before a sender notices that nobody reads."""


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(
        self, connection: Wire, host: Host, own: Any, peer: Any, context: contextvars.Context, outward: Direction
    ) -> None:
        self._socket = SimSocket(own, peer)
        self._socket.state.end = self
        super().__init__({"socket": self._socket, "sockname": own, "peername": peer})
        self.own, self.peer = own, peer
        self.is_raw = False
        self.waiters: list[asyncio.Future[None]] = []
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
        self._begun = False
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
        return self._begun and not self._paused and not self._closing

    def pause_reading(self) -> None:
        """Keep what arrives."""
        self._paused = True

    def resume_reading(self) -> None:
        """Hand on what was kept, from the next round of the loop."""
        self._paused = False
        self._flush_soon()

    def write(self, data: Any) -> None:
        """Send bytes; after the end or the loss of the connection they vanish."""
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data:
            return
        if End.RESET in self._inbox:
            self._closing = True
            self._inbox.clear()
            self.connection.loop.call_soon(self._lose, _reset(), context=self.context)
            return
        payload = bytes(data)
        self.unacked_bytes += len(payload)
        self.bytes_sent += len(payload)
        self.connection.send(self.outward, payload)
        if self.unacked_bytes > KERNEL_BYTES + self._high and not self._writing_paused:
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
            self.connection.send(self.outward, End.RESET if self._unread() else End.CLOSE)
            self.connection.loop.call_soon(self._lose, None, context=self.context)

    def abort(self) -> None:
        """Close at once; the peer is reset only if it sent what nobody read, or has not got all that was written."""
        if self.get_write_buffer_size():
            self.reset()
        else:
            self.close()

    def reset(self) -> None:
        """Reset the connection, whatever is under way."""
        if not self.is_lost:
            self._closing = True
            self.connection.send(self.outward, End.RESET)
            self.connection.loop.call_soon(self._lose, None, context=self.context)

    # --- what sockets call -----------------------------------------------------------------------------------

    @property
    def is_readable(self) -> bool:
        """Whether a read would end at once: there are bytes, the end of the stream, or an error."""
        return bool(self._inbox) or self.is_lost

    @property
    def room(self) -> int:
        """How many bytes the kernels' buffers take now."""
        return max(0, KERNEL_BYTES - self.unacked_bytes)

    def peek(self, size: int) -> bytes:
        """The bytes that ``take`` would give."""
        first = self._inbox[0] if self._inbox else b""
        return first[:size] if isinstance(first, bytes) else b""

    def take(self, size: int) -> bytes:
        """Bytes that have come; empty at the end of the stream.

        Raises:
            ConnectionResetError: when the peer reset the connection.
        """
        if not self._inbox:
            return b""
        first = self._inbox[0]
        if first is End.RESET:
            self._inbox.popleft()
            self._closing = True
            self._lose(None)
            raise _reset()
        if not isinstance(first, bytes):
            return b""
        piece = first[:size]
        if len(piece) < len(first):
            self._inbox[0] = first[size:]
        else:
            self._inbox.popleft()
        self.connection.other(self).acknowledge(len(piece))
        return piece

    def put(self, data: bytes) -> int:
        """Send bytes; how many."""
        if End.RESET in self._inbox:
            raise _reset()
        if self._ended or self._closing:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        self.unacked_bytes += len(data)
        self.bytes_sent += len(data)
        self.connection.send(self.outward, data)
        return len(data)

    def end_sending(self) -> None:
        """End this direction."""
        self.write_eof()

    def _unread(self) -> bool:
        return any(isinstance(payload, bytes) for payload in self._inbox)

    def _wake(self) -> None:
        waiters, self.waiters = self.waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(None)

    # --- what the connection calls ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Tell the protocol of the connection; as in asyncio nothing is read before that, however late it is."""
        if not self.is_lost:
            self._begun = True
            self.protocol.connection_made(self)
            self._flush_soon()

    def arrive(self, payload: Payload) -> None:
        """A packet has come."""
        if self.is_raw:
            self._inbox.append(payload)
            self._wake()
        elif payload is End.RESET and self._notices_a_reset():
            self._closing = True
            self._inbox.clear()
            self._lose(_reset())
        elif self._closing:
            if isinstance(payload, bytes):
                self.connection.send(self.outward, End.RESET)
        elif self._paused or self._inbox or not self._begun:
            self._inbox.append(payload)
        else:
            self._deliver(payload)

    def _notices_a_reset(self) -> bool:
        """At once while it reads or waits to write; else with the next read or write, as the kernel keeps it."""
        if not self._begun:
            return self.protocol is None
        return self._writing_paused or not (self._paused or self._inbox)

    def acknowledge(self, count: int) -> None:
        """The peer's program has read so many bytes."""
        self.unacked_bytes -= count
        if self.waiters:
            self._wake()
        if self._writing_paused and self.get_write_buffer_size() <= self._low and not self.is_lost:
            self._writing_paused = False
            self.protocol.resume_writing()

    def vanish(self) -> None:
        """The machine is gone: no callback runs."""
        self._closing = self.is_lost = True
        self._inbox.clear()
        self._socket.gone()

    def _flush_soon(self) -> None:
        if self._inbox and self._begun and not self._paused and not self._flushing:
            self._flushing = True
            self.connection.loop.call_soon(self._flush, context=self.context)

    def _flush(self) -> None:
        self._flushing = False
        while self._inbox and not self._paused and not self._closing:
            payload = self._inbox.popleft()
            if payload is End.RESET:
                self._closing = True
                self._inbox.clear()
                self._lose(_reset())
            else:
                self._deliver(payload)

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
            if not self._closing:
                self._closing = True
                self.connection.send(self.outward, End.RESET if self._unread() else End.CLOSE)
                loop.call_soon(self._lose, error, context=self.context)

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

    def _lose(self, error: BaseException | None) -> None:
        if self.is_lost:
            return
        self.is_lost = self._closing = True
        self._socket.gone()
        self._wake()
        self.connection.over(self)
        if self.protocol is not None:
            self.protocol.connection_lost(error)


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
