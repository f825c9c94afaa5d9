"""Toxics that end or harm the stream: timeout, reset_peer, limit_data, half_close, corrupt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import Attribute, End, Tally, Timed, Toxic
from hardening.toxics.timing import MS


class Timeout(Toxic):
    """Drops all bytes and closes after ``timeout`` ms without any; 0 never closes. Removing it closes."""

    type: ClassVar[str] = "timeout"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"timeout": Attribute(int)}

    __slots__ = ()

    def begin(self, now: float) -> list[Timed]:
        """The wait begins, bytes or no bytes."""
        timeout_ms = self.attributes["timeout"]
        self.deadline = now + timeout_ms * MS if timeout_ms > 0 else None
        return []

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """Bytes vanish; the wait begins again, as it does in Toxiproxy."""
        self.tally.count("dropped_bytes", len(data))
        return self.begin(now)

    def expire(self, now: float) -> list[Timed]:
        """The wait is over."""
        self.deadline = None
        self.tally.count("closes")
        return [Timed(now, End.CLOSE)]

    def update(self, attributes: Mapping[str, Any], now: float) -> None:
        """The wait begins again with the new length."""
        super().update(attributes, now)
        self.begin(now)

    def remove(self, now: float, *, is_spared: bool = False) -> list[Timed]:
        """Bytes are missing, so the connection cannot go on."""
        if is_spared:
            return []
        self.tally.count("closes")
        return [Timed(now, End.CLOSE)]


class ResetPeer(Toxic):
    """Resets both sockets ``timeout`` ms after the first bytes (or the end) came; nothing passes meanwhile."""

    type: ClassVar[str] = "reset_peer"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"timeout": Attribute(int)}

    __slots__ = ("first_at", "source_end")

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        super().__init__(attributes, rng, tally, memory)
        self.first_at: float | None = None
        self.source_end: End | None = None

    def _arm(self, now: float) -> list[Timed]:
        if self.first_at is None:
            self.first_at = now
        self.deadline = self.first_at + max(self.attributes["timeout"], 0) * MS
        return []

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """The fuse is lit by the first bytes."""
        self.tally.count("dropped_bytes", len(data))
        return self._arm(now)

    def close(self, end: End, now: float) -> list[Timed]:
        """The end lights it too."""
        self.source_end = end
        return self._arm(now)

    def expire(self, now: float) -> list[Timed]:
        """Reset."""
        self.deadline = None
        self.tally.count("resets")
        return [Timed(now, End.RESET)]

    def update(self, attributes: Mapping[str, Any], now: float) -> None:
        """A burning fuse gets its new length, counted from when it was lit."""
        super().update(attributes, now)
        if self.first_at is not None:
            self._arm(now)

    def remove(self, now: float, *, is_spared: bool = False) -> list[Timed]:
        """An end that was kept back goes on."""
        return [Timed(now, self.source_end)] if self.source_end else []


class LimitData(Toxic):
    """Passes exactly ``bytes`` bytes per connection and direction, then closes; 0 closes on the first byte."""

    type: ClassVar[str] = "limit_data"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"bytes": Attribute(int)}
    end: ClassVar[End] = End.CLOSE
    effect: ClassVar[str] = "closes"

    __slots__ = ("passed",)

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        super().__init__(attributes, rng, tally, memory)
        self.passed = 0

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """What is left of the limit goes; the end comes right behind it."""
        left = max(self.attributes["bytes"] - self.passed, 0)
        kept = data[:left]
        self.passed += len(kept)
        result = [Timed(now, kept)] if kept else []
        if len(data) >= left:
            self.tally.count("dropped_bytes", len(data) - len(kept))
            self.tally.count(self.effect)
            result.append(Timed(now, self.end))
        return result


class HalfClose(LimitData):
    """Ends the direction by a FIN and leaves the other one open: after ``bytes`` bytes, or (0) when the source ends.

    Toxiproxy turns every end into a close of both sockets; this keeps the half-open state that TCP has.
    """

    type: ClassVar[str] = "half_close"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"bytes": Attribute(int, low=0)}
    end: ClassVar[End] = End.HALF_CLOSE
    effect: ClassVar[str] = "half_closes"

    __slots__ = ()

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """Without a limit only the end matters."""
        return super().feed(data, now) if self.attributes["bytes"] else [Timed(now, data)]

    def close(self, end: End, now: float) -> list[Timed]:
        """A close becomes a half-close; a reset stays one."""
        if end is End.RESET:
            return [Timed(now, end)]
        self.tally.count("half_closes")
        return [Timed(now, End.HALF_CLOSE)]


class Corrupt(Toxic):
    """Flips one bit in each byte that is hit; a byte is hit with ``probability``.

    The gap to the next hit is drawn at once (geometric), so a run costs one draw per hit, and the same offsets are
    hit however the bytes were cut by the network.
    """

    type: ClassVar[str] = "corrupt"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"probability": Attribute(float, 0.01, low=0, high=1)}

    __slots__ = ("gap",)

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        super().__init__(attributes, rng, tally, memory)
        self.gap = self._draw_gap()

    def _draw_gap(self) -> float:
        probability = self.attributes["probability"]
        if probability >= 1:
            return 0
        if probability <= 0:
            return math.inf
        gap = math.log(1 - self.rng.random()) / math.log1p(-probability)
        return math.floor(gap) if math.isfinite(gap) else math.inf  # a tiny probability overflows

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """Same length, some bytes changed."""
        if self.gap >= len(data):
            self.gap -= len(data)
            return [Timed(now, data)]
        harmed = bytearray(data)
        position = self.gap
        while position < len(harmed):
            harmed[int(position)] ^= 1 << self.rng.randrange(8)
            self.tally.count("corrupted_bytes")
            position += 1 + self._draw_gap()
        self.gap = position - len(harmed)
        return [Timed(now, bytes(harmed))]

    def update(self, attributes: Mapping[str, Any], now: float) -> None:
        """The next gap is drawn anew."""
        super().update(attributes, now)
        self.gap = self._draw_gap()
