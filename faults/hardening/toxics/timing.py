"""Toxics that delay: latency, bandwidth, slow_close, slicer, loss."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import KIB, NEVER, Attribute, AttributeRefusedError, End, Tally, Timed, Toxic

MS = 0.001
US = 0.000001
SLICE_S = 0.1
SEGMENT_BYTES = 1460
PIECES_HELD_MAX = 256


class Latency(Toxic):
    """Delays bytes by ``latency`` +/- ``jitter`` ms from the moment they arrived; throughput is kept."""

    type: ClassVar[str] = "latency"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"latency": Attribute(int), "jitter": Attribute(int)}
    retimes: ClassVar[bool] = True
    window_bytes: ClassVar[int] = 32 * KIB * KIB

    __slots__ = ()

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """One draw per chunk; the chain keeps chunks in order."""
        delay_ms: float = self.attributes["latency"]
        jitter = self.attributes["jitter"]
        if jitter > 0:
            delay_ms += self.rng.randrange(2 * jitter) - jitter
        return [Timed(now + max(delay_ms, 0) * MS, data)]


class Bandwidth(Toxic):
    """Lets ``rate`` KB (1,000 bytes) pass each second, in slices of at most 100 ms; 0 holds everything."""

    type: ClassVar[str] = "bandwidth"
    # A negative rate has no meaning, and one above 10^9 KB/s no effect.
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"rate": Attribute(int, low=0)}
    retimes: ClassVar[bool] = True

    __slots__ = ("busy_until",)

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        super().__init__(attributes, rng, tally, memory)
        self.busy_until = 0.0

    def window(self) -> int:
        """A tenth of a second of bytes, so that a late timer never starves a fast line."""
        rate: int = self.attributes["rate"]
        return max(self.window_bytes, min(rate * 100, 16 * KIB * KIB))

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """Each slice goes when the line has had the time to carry it."""
        bytes_per_s = self.attributes["rate"] * 1000
        if not bytes_per_s:
            return [Timed(NEVER, data)]
        size = max(1, int(bytes_per_s * SLICE_S))
        busy = max(now, self.busy_until)
        slices = []
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            busy += len(piece) / bytes_per_s
            slices.append(Timed(busy, piece))
        self.busy_until = busy
        return slices

    def update(self, attributes: Mapping[str, Any], now: float) -> None:
        """What is held is fed again at the new rate, from now on."""
        super().update(attributes, now)
        self.busy_until = now


class SlowClose(Toxic):
    """Delays the end of the direction by ``delay`` ms, and nothing else."""

    type: ClassVar[str] = "slow_close"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"delay": Attribute(int)}
    retimes: ClassVar[bool] = True

    __slots__ = ()

    def close(self, end: End, now: float) -> list[Timed]:
        """The end comes later."""
        self.tally.count("delayed_closes")
        return [Timed(now + max(self.attributes["delay"], 0) * MS, end)]


class Slicer(Toxic):
    """Cuts bytes into pieces of ``average_size`` +/- ``size_variation``, ``delay`` microseconds after each."""

    type: ClassVar[str] = "slicer"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {
        "average_size": Attribute(int),
        "size_variation": Attribute(int),
        "delay": Attribute(int),
    }
    retimes: ClassVar[bool] = True

    __slots__ = ("busy_until",)

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        super().__init__(attributes, rng, tally, memory)
        self.busy_until = 0.0

    @classmethod
    def check(cls, attributes: Mapping[str, Any]) -> None:
        """A piece has at least one byte."""
        if attributes["average_size"] < 1:
            raise AttributeRefusedError("average_size", attributes["average_size"], "1 or more")
        if not 0 <= attributes["size_variation"] <= attributes["average_size"]:
            raise AttributeRefusedError("size_variation", attributes["size_variation"], "0 to average_size")

    def window(self) -> int:
        """A bounded number of pieces."""
        return min(self.window_bytes, int(self.attributes["average_size"]) * PIECES_HELD_MAX)

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """Pieces, each ``delay`` after the one before."""
        average, variation = self.attributes["average_size"], self.attributes["size_variation"]
        delay_s = max(self.attributes["delay"], 0) * US
        at = max(now, self.busy_until)
        pieces = []
        start = 0
        while start < len(data):
            size = max(1, average + (self.rng.randrange(2 * variation) - variation if variation else 0))
            pieces.append(Timed(at, data[start : start + size]))
            start += size
            at += delay_s
        self.busy_until = at
        self.tally.count("slices", len(pieces))
        return pieces

    def close(self, end: End, now: float) -> list[Timed]:
        """The end waits for the pause behind the last piece."""
        return [Timed(max(now, self.busy_until), end)]

    def update(self, attributes: Mapping[str, Any], now: float) -> None:
        """What is held is cut anew, from now on."""
        super().update(attributes, now)
        self.busy_until = now


class Loss(Toxic):
    """Packet loss as a stream feels it: a lost segment stalls all behind it until it is sent again.

    Each segment of 1,460 bytes is lost with ``probability``; the first retransmission comes after ``delay`` ms,
    each further one after twice the wait before (as TCP's timer does). Draws follow byte offsets, not chunks, so
    that they repeat however the bytes were cut by the network.
    """

    type: ClassVar[str] = "loss"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {
        "probability": Attribute(float, 0.01, low=0, high=1),
        "delay": Attribute(int, 200, low=0),
        "attempts": Attribute(int, 6, low=1, high=15),
    }
    window_bytes: ClassVar[int] = 1024 * KIB

    __slots__ = ("offset",)

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        super().__init__(attributes, rng, tally, memory)
        self.offset = 0

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """Runs of unharmed segments go together."""
        result: list[Timed] = []
        run_start, position, at = 0, 0, now
        while position < len(data):
            if self.offset % SEGMENT_BYTES == 0:
                wait_s = self._lost_for_s()
                if wait_s and position > run_start:
                    result.append(Timed(at, data[run_start:position]))
                    run_start = position
                at = max(at, now + wait_s)
            step = min(SEGMENT_BYTES - self.offset % SEGMENT_BYTES, len(data) - position)
            position += step
            self.offset += step
        result.append(Timed(at, data[run_start:]))
        return result

    def _lost_for_s(self) -> float:
        """How long the segment that begins here stays away; after ``attempts`` losses it gets through."""
        wait, timer = 0.0, self.attributes["delay"] * MS
        for _ in range(self.attributes["attempts"]):
            if self.rng.random() >= self.attributes["probability"]:
                break
            self.tally.count("lost_segments")
            wait += timer
            timer *= 2
        return wait
