"""One proxied connection: two sockets, and the pure link of toxics between them.

Raw non-blocking sockets on ``add_reader`` and ``add_writer`` instead of asyncio's transports: a relayed chunk costs
one ``recv_into`` and one ``send`` on a buffer that all connections share, back-pressure is exact, and the proxy
decides itself between FIN, half-close and RST. While no toxic acts, bytes bypass the chain altogether.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

from hardening.toxics import NEVER, Direction, End, Link, Payload, ToxicSpec

RELAY_BYTES = 512 * 1024
TOXIC_READ_BYTES = 64 * 1024
FULL_FLOW_BYTES = 64 * 1024
TURNS_PER_WAKEUP = 8
_LINGER_ZERO = struct.pack("ii", 1, 0)
# One buffer for the whole thread is enough: a chunk is sent or copied before the callback returns.
_BUFFER = memoryview(bytearray(RELAY_BYTES))


def close_by_reset(sock: socket.socket) -> None:
    """Close so that the peer sees RST, unsent bytes discarded."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    sock.close()


class Pipe:
    """One direction: what is read from ``source`` goes to ``sink``."""

    __slots__ = (
        "direction",
        "ended",
        "ending",
        "is_reading",
        "received",
        "sent",
        "sink",
        "source",
        "source_ended",
        "unsent",
    )

    def __init__(self, direction: Direction, source: socket.socket, sink: socket.socket) -> None:
        self.direction = direction
        self.source = source
        self.sink = sink
        self.unsent = bytearray()  # what the sink's socket did not take yet
        self.ending: End | None = None  # to be carried out when ``unsent`` is empty
        self.ended = False
        self.source_ended = False
        self.is_reading = False
        self.received = 0
        self.sent = 0


class Connection:
    """Relays between a client and its upstream until both directions have ended.

    Args:
        loop: where the callbacks run.
        link: the toxics of this connection.
        client: accepted, non-blocking.
        upstream: connected, non-blocking.
        on_end: called once with the connection when both sockets are closed.
    """

    __slots__ = (
        "_is_clear",
        "_loop",
        "_newly_ended",
        "_on_end",
        "_pipes",
        "_timer",
        "_timer_at",
        "is_over",
        "link",
        "was_reset",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        link: Link,
        client: socket.socket,
        upstream: socket.socket,
        on_end: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self.link = link
        self._on_end = on_end
        self._pipes: dict[Direction, Pipe] = {
            "upstream": Pipe("upstream", client, upstream),
            "downstream": Pipe("downstream", upstream, client),
        }
        self._newly_ended: list[Direction] = []  # sources whose end the link has not been fed yet
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._is_clear = link.is_clear  # asked for each chunk, so kept at hand; ``_settle`` renews it
        self.is_over = False
        self.was_reset = False
        for pipe in self._pipes.values():
            self._read(pipe)
        self._settle()

    # --- the control plane: never waits -----------------------------------------------------------------------

    def add_toxic(self, spec: ToxicSpec) -> None:
        """A toxic was added."""
        self.link.add(spec, self._loop.time())
        self._advance()

    def update_toxic(self, name: str) -> None:
        """A toxic's attributes or toxicity changed."""
        self.link.update(name, self._loop.time())
        self._advance()

    def remove_toxic(self, name: str) -> None:
        """A toxic was removed; what it held goes on now."""
        self.link.remove(name, self._loop.time())
        self._advance()

    def drop(self) -> None:
        """Close both sockets at once (the proxy goes down)."""
        self._finish()

    def reset(self) -> None:
        """Reset both sockets at once."""
        self.was_reset = True
        self._finish()

    def counts(self) -> dict[Direction, tuple[int, int]]:
        """Bytes (received, sent) by direction."""
        return {direction: (pipe.received, pipe.sent) for direction, pipe in self._pipes.items()}

    # --- bytes in ---------------------------------------------------------------------------------------------

    def _read(self, pipe: Pipe) -> None:
        if not pipe.is_reading and not pipe.source_ended and pipe.source.fileno() >= 0:
            pipe.is_reading = True
            self._loop.add_reader(pipe.source.fileno(), self._on_readable, pipe)

    def _pause(self, pipe: Pipe) -> None:
        if pipe.is_reading:
            pipe.is_reading = False
            self._loop.remove_reader(pipe.source.fileno())

    def _on_readable(self, pipe: Pipe) -> None:
        if not self._is_clear:
            self._read_into_link(pipe)
            return
        source, sink = pipe.source, pipe.sink
        # A sender in full flow fills the buffer again while we hand it on: a few turns spare the selector's round,
        # and no more than a few, for the other connections' sake.
        for _ in range(TURNS_PER_WAKEUP):
            try:
                count = source.recv_into(_BUFFER)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                count = 0  # a reset by the source ends the direction, as an end of file does
            if not count:
                self._source_ended(pipe)
                return
            if pipe.ending is not None:
                return
            pipe.received += count
            try:
                sent = sink.send(_BUFFER[:count])
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._sink_gone(pipe)
                self._carry_out([])
                return
            pipe.sent += sent
            if sent < count:
                self._keep(pipe, _BUFFER[sent:count])
                return
            if count < FULL_FLOW_BYTES:
                return

    def _read_into_link(self, pipe: Pipe) -> None:
        try:
            count = pipe.source.recv_into(_BUFFER, self.link.read_bytes(pipe.direction, TOXIC_READ_BYTES))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        if not count:
            self._source_ended(pipe)
            return
        pipe.received += count
        self._carry_out(self.link.feed(pipe.direction, bytes(_BUFFER[:count]), self._loop.time()))

    def _source_ended(self, pipe: Pipe) -> None:
        if pipe.source_ended:
            return
        self._pause(pipe)
        pipe.source_ended = True
        self._newly_ended.append(pipe.direction)
        self._carry_out([])

    # --- bytes out --------------------------------------------------------------------------------------------

    def _carry_out(self, due: list[tuple[Direction, Payload]]) -> None:
        """Do what is due, then feed the link the ends of sources that this brought about, until none is left.

        An end is fed only behind what was due before it, or it would overtake bytes of the other direction.
        """
        for direction, payload in due:
            self._carry_one(self._pipes[direction], payload)
        while self._newly_ended and not self.is_over:
            ended = self._newly_ended.pop(0)
            for direction, payload in self.link.feed(ended, End.CLOSE, self._loop.time()):
                self._carry_one(self._pipes[direction], payload)
        if not self.is_over:
            self._settle()

    def _carry_one(self, pipe: Pipe, payload: Payload) -> None:
        if self.is_over or pipe.ending is not None:
            return
        if isinstance(payload, End):
            self._end(pipe, payload)
        else:
            self._send(pipe, memoryview(payload))

    def _send(self, pipe: Pipe, data: memoryview) -> None:
        if not pipe.unsent:
            try:
                sent = pipe.sink.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._sink_gone(pipe)
                return
            pipe.sent += sent
            if sent == len(data):
                return
            data = data[sent:]
        self._keep(pipe, data)

    def _keep(self, pipe: Pipe, data: memoryview) -> None:
        """What the sink does not take now waits, and the source with it."""
        if not pipe.unsent:
            self._loop.add_writer(pipe.sink.fileno(), self._on_writable, pipe)
        pipe.unsent += data
        self._pause_if_full(pipe)

    def _on_writable(self, pipe: Pipe) -> None:
        try:
            sent = pipe.sink.send(pipe.unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._sink_gone(pipe)
            self._carry_out([])
            return
        pipe.sent += sent
        del pipe.unsent[:sent]
        if pipe.unsent:
            return
        self._loop.remove_writer(pipe.sink.fileno())
        if pipe.ending is not None:
            self._end(pipe, pipe.ending)
        self._carry_out([])

    def _sink_gone(self, pipe: Pipe) -> None:
        """The destination takes no more: nothing left to flush, close it as it is."""
        pipe.unsent.clear()
        self._end(pipe, End.CLOSE)

    def _end(self, pipe: Pipe, end: End) -> None:
        if end is End.RESET:
            self.was_reset = True
            self._finish()
            return
        pipe.ending = end
        if pipe.unsent:
            return
        pipe.ended = True
        opposite = self._pipes["downstream" if pipe.direction == "upstream" else "upstream"]
        if end is End.HALF_CLOSE:
            with contextlib.suppress(OSError):
                pipe.sink.shutdown(socket.SHUT_WR)
        else:
            self._close(pipe.sink)
            # The sink is the source of the other direction, which therefore ends too.
            opposite.is_reading = False
            if not opposite.source_ended:
                opposite.source_ended = True
                self._newly_ended.append(opposite.direction)
        if opposite.ended and not self.is_over:
            self._finish()

    # --- flow and time ----------------------------------------------------------------------------------------

    def _pause_if_full(self, pipe: Pipe) -> None:
        if self._is_clear or len(pipe.unsent) + self.link.held_bytes(pipe.direction) > self.link.window(pipe.direction):
            self._pause(pipe)

    def _settle(self) -> None:
        """Let sources flow or wait, and set the timer to when the toxics have something to do."""
        link = self.link
        self._is_clear = is_clear = link.is_clear
        for direction, pipe in self._pipes.items():
            is_full = (
                bool(pipe.unsent)
                if is_clear
                else (len(pipe.unsent) + link.held_bytes(direction) > link.window(direction))
            )
            if is_full:
                self._pause(pipe)
            else:
                self._read(pipe)
        at = NEVER if is_clear else link.next_at()
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = at
        if at != NEVER:
            self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, NEVER
        self._advance()

    def _advance(self) -> None:
        if not self.is_over:
            self._carry_out(self.link.advance(self._loop.time()))

    def _close(self, sock: socket.socket) -> None:
        number = sock.fileno()
        if number < 0:
            return
        self._loop.remove_reader(number)
        self._loop.remove_writer(number)
        if self.was_reset:
            close_by_reset(sock)
        else:
            sock.close()

    def _finish(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for pipe in self._pipes.values():
            pipe.ended = True
            pipe.is_reading = False
            self._close(pipe.sink)
        self._on_end(self)
