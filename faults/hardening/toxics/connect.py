"""Toxics of the connect phase, decided before the upstream is dialled: connect_delay, connect_refuse, fail_first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import Attribute, AttributeRefusedError, End, Tally, Timed, Toxic
from hardening.toxics.timing import MS


@dataclass(slots=True)
class ConnectPlan:
    """What happens to a new connection: a wait, then a dial, or a reset instead of it."""

    delay_s: float = 0.0
    refused: bool = False


class ConnectToxic(Toxic):
    """Base of toxics that act on connections before any byte flows."""

    is_connect: ClassVar[bool] = True

    __slots__ = ()

    def connect(self, plan: ConnectPlan) -> None:
        """Change the plan of one new connection."""
        raise NotImplementedError


class ConnectDelay(ConnectToxic):
    """Waits ``delay`` +/- ``jitter`` ms between accepting the client and dialling the upstream."""

    type: ClassVar[str] = "connect_delay"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {
        "delay": Attribute(int, low=0),
        "jitter": Attribute(int, low=0),
    }

    __slots__ = ()

    def connect(self, plan: ConnectPlan) -> None:
        """Delays add up."""
        jitter = self.attributes["jitter"]
        delay_ms = self.attributes["delay"] + (self.rng.randrange(2 * jitter) - jitter if jitter else 0)
        plan.delay_s += max(delay_ms, 0) * MS
        self.tally.count("delayed_connects")


class ConnectRefuse(ConnectToxic):
    """Turns new connections away by a reset right after the accept; live ones go on.

    With ``unlisten`` 1 (and a toxicity of 1) a driver stops listening instead: clients then see a true refusal,
    which nobody can count, since the kernel answers.
    """

    type: ClassVar[str] = "connect_refuse"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {"unlisten": Attribute(int, low=0, high=1)}

    __slots__ = ()

    def connect(self, plan: ConnectPlan) -> None:
        """Refuse."""
        plan.refused = True
        self.tally.count("refused_connects")


class FailFirst(ConnectToxic):
    """Resets the first ``connections`` connections, and whichever carries one of the first ``requests`` requests.

    Counts run over all connections, from when the toxic was added. A request is what the client sends until the
    server speaks; that needs no protocol and holds for any that takes turns.
    """

    type: ClassVar[str] = "fail_first"
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


def plan_connect(toxics: Iterable[Toxic]) -> ConnectPlan:
    """Ask the connect-phase toxics of one new connection, in their order; others are passed over."""
    plan = ConnectPlan()
    for toxic in toxics:
        if isinstance(toxic, ConnectToxic):
            toxic.connect(plan)
    return plan
