"""The end of a direction arrives ``delay`` ms late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hardening.toxics.base import MS, Attribute, End, Timed, Toxic


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
