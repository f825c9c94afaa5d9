"""Bits flip: a probability per byte; the length stays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import Attribute, Tally, Timed, Toxic


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
        """The next gap is drawn again."""
        super().update(attributes, now)
        self.gap = self._draw_gap()
