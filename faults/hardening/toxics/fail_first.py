"""The first connections or requests fail, later ones succeed."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import Attribute, AttributeRefusedError, ConnectPlan, End, Tally, Timed, Toxic


class FailFirst(Toxic):
    """Resets the first ``connections`` connections, and whichever carries one of the first ``requests`` requests.

    Counts run over all connections, from when the toxic was added. A request is what the client sends until the
    server speaks; that needs no protocol and holds for any that takes turns.
    """

    type: ClassVar[str] = "fail_first"
    is_connect: ClassVar[bool] = True
    is_exchange: ClassVar[bool] = True
    attributes_table: ClassVar[Mapping[str, Attribute]] = {
        "connections": Attribute(int, low=0),
        "requests": Attribute(int, low=0),
    }

    __slots__ = ("asking",)

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        super().__init__(attributes, rng, tally, memory)
        self.asking = False

    @classmethod
    def check(cls, attributes: Mapping[str, Any]) -> None:
        """One of the two counts must be given, or the toxic could never act."""
        if not attributes["connections"] and not attributes["requests"]:
            raise AttributeRefusedError("connections", 0, "1 or more (or requests, 1 or more)")

    def connect(self, plan: ConnectPlan) -> None:
        """Refuse while the count lasts; a connection refused for another reason is not counted."""
        if not plan.refused and self.memory.get("connections", 0) < self.attributes["connections"]:
            self.memory.count("connections")
            self.tally.count("refused_connects")
            plan.refused = True

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """The first bytes of a request decide."""
        if not self.asking:
            self.asking = True
            if self.memory.get("requests", 0) < self.attributes["requests"]:
                self.memory.count("requests")
                self.tally.count("failed_requests")
                return [Timed(now, End.RESET)]
        return [Timed(now, data)]

    def answer(self, data: bytes, now: float) -> list[Timed]:
        """The server spoke: the next bytes of the client are a new request."""
        self.asking = False
        return [Timed(now, data)]
