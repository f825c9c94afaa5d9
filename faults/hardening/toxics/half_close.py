"""One direction ends by a FIN while the other stays open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hardening.toxics.base import Attribute, End, Timed
from hardening.toxics.limit_data import LimitData


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
