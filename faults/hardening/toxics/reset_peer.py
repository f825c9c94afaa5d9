"""Both sockets are reset ``timeout`` ms after the first bytes."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import MS, Attribute, End, Tally, Timed, Toxic


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
        """The first bytes start the wait; the sender is held back until it is over, as by Toxiproxy."""
        self.tally.count("dropped_bytes", len(data))
        self.withheld_bytes += len(data)
        return self._arm(now)

    def close(self, end: End, now: float) -> list[Timed]:
        """The end starts it too."""
        self.source_end = end
        return self._arm(now)

    def expire(self, now: float) -> list[Timed]:
        """Reset."""
        self.deadline = None
        self.tally.count("resets")
        return [Timed(now, End.RESET)]

    def update(self, attributes: Mapping[str, Any], now: float) -> None:
        """A wait that has begun gets its new length, counted from its beginning."""
        super().update(attributes, now)
        if self.first_at is not None:
            self._arm(now)

    def remove(self, now: float, *, is_spared: bool = False) -> list[Timed]:
        """An end that was kept back goes on."""
        return [Timed(now, self.source_end)] if self.source_end else []
