"""Bytes arrive in small pieces: sizes in bytes, the pause between two pieces in microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import US, Attribute, AttributeRefusedError, End, Tally, Timed, Toxic

PIECES_HELD_MAX = 256


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
        """What is held is cut again, from now on."""
        super().update(attributes, now)
        self.busy_until = now
