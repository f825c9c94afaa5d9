"""One connection of the simulated network: its two ends, and what travels between them in virtual time.

Bytes and ends travel as packets, each with a latency of its own; a packet never overtakes another in its direction.
The toxics of a link see the bytes first, as a proxy beside the client would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from hardening.simulator.net.network_view import NetworkView
from hardening.simulator.net.transport import SimTransport
from hardening.toxics import NEVER, OPPOSITE, Direction, End, Link, Payload


class Connection:
    """Two ends and the way between them.

    Attributes:
        name: ``client->server:port #n``.
        ends: the client's (it sends ``upstream``) and the server's (``downstream``).
        link: the toxics on the way, if any.
    """

    def __init__(self, network: NetworkView, name: str, link: Link | None) -> None:
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
        self._named = {way: (f"{name} {way}", f"{name} {way} split") for way in OPPOSITE}

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
        who, split = self._named[direction]
        if isinstance(payload, bytes) and len(payload) > 1:
            cut = int(self.loop.choices.rare(split, 0, len(payload) - 1))
            if cut:
                self._launch(direction, payload[:cut], who)
                payload = payload[cut:]
        self._launch(direction, payload, who)

    def _launch(self, direction: Direction, payload: Payload, who: str) -> None:
        loop = self.loop
        end = self.ends[OPPOSITE[direction]]
        low, high = self.network.latency_between(self.ends[direction].host.name, end.host.name)
        delay_s = loop.choices.wait(who, low, high, loop.now_s, loop.timers)
        at = self._last_at[direction] = max(loop.time() + delay_s, self._last_at[direction])
        if loop.tracing:
            loop.trace.note(loop, "delay", who, f"{delay_s:.6g} of {low:g}..{high:g}")
            loop.trace.note(loop, "send", who, describe(payload))
        self.under_way[direction] += 1
        loop.call_at(at, self._arrive, direction, payload, context=end.context)

    def _arrive(self, direction: Direction, payload: Payload) -> None:
        self.under_way[direction] -= 1
        sender, end = self.ends[direction], self.ends[OPPOSITE[direction]]
        if self._held or self.network.is_parted(sender.host.name, end.host.name):
            self._held.append((direction, payload))
            return
        if self.loop.tracing:
            self.loop.trace.note(self.loop, "receive", self._named[direction][0], describe(payload))
        if end.is_lost and isinstance(payload, bytes) and end.host.alive and not sender.is_lost:
            self._carry(OPPOSITE[direction], End.RESET)
        elif not end.is_lost:
            end.arrive(payload)


def describe(payload: Payload) -> str:
    """A packet, for the trace: its size and its beginning."""
    if isinstance(payload, End):
        return payload.value
    return f"{_named(payload)}{len(payload)} bytes {payload[:40]!r}"


METHODS = (b"GET ", b"POST ", b"PUT ", b"DELETE ", b"PATCH ", b"HEAD ", b"OPTIONS ")


def _named(payload: bytes) -> str:
    """``request GET /x``, ``reply 200``, ``redis SET key``: what the beginning of a packet says it is."""
    first = payload.split(b"\r\n", 1)[0]
    if payload.startswith(METHODS) and first.endswith((b"HTTP/1.1", b"HTTP/1.0")):
        return f"request {first.rpartition(b' ')[0].decode('latin-1')}, "
    if payload.startswith(b"HTTP/1."):
        return f"reply {first[9:12].decode('latin-1')}, "
    if payload.startswith(b"*") and first[1:].isdigit() and payload.startswith(b"$", len(first) + 2):
        words = payload.split(b"\r\n")[2:6:2]
        return f"redis {b' '.join(words).decode('latin-1')[:40]}, "
    return ""
