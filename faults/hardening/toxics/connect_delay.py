"""New connections wait ``delay`` ms before the upstream is dialled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hardening.toxics.base import MS, Attribute, ConnectPlan, Toxic


class ConnectDelay(Toxic):
    """Waits ``delay`` +/- ``jitter`` ms between accepting the client and dialling the upstream."""

    type: ClassVar[str] = "connect_delay"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {
        "delay": Attribute(int, low=0),
        "jitter": Attribute(int, low=0),
    }

    is_connect: ClassVar[bool] = True

    __slots__ = ()

    def connect(self, plan: ConnectPlan) -> None:
        """Delays add up."""
        jitter = self.attributes["jitter"]
        delay_ms = self.attributes["delay"] + (self.rng.randrange(2 * jitter) - jitter if jitter else 0)
        plan.delay_s += max(delay_ms, 0) * MS
        self.tally.count("delayed_connects")
