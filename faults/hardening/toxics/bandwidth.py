"""A narrow line: ``rate`` in KB/s (1,000 bytes), 0 lets nothing through."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import KIB, NEVER, Attribute, Tally, Timed, Toxic

SLICE_S = 0.1


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
