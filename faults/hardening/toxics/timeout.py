"""Bytes disappear, and the connection closes after ``timeout`` ms without any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hardening.toxics.base import MS, Attribute, End, Timed, Toxic


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
