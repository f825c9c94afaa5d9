"""The connection closes after exactly ``bytes`` bytes."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import Attribute, End, Tally, Timed, Toxic


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
