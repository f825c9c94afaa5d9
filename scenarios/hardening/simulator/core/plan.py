"""A schedule as data: only what deviated from the default, so that it can be read, stored and shrunk.

By default every draw takes its lower bound, nobody is cancelled and ready callbacks run first in, first out. A
plan lists the decisions that differ. Draws are named by who drew and how often it had drawn before, not by a
global count: a decision keeps its meaning when others are taken out of the plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

FORMAT = "signal-hardening/plan"
VERSION = 1

Kind = Literal["draw", "cancel", "first", "collect", "entropy"]
KINDS: tuple[Kind, ...] = ("draw", "cancel", "first", "collect", "entropy")


class PlanError(ValueError):
    """A plan that can not be read; one line naming the field, the value and what is allowed.

    Attributes:
        field: what is wrong.
        value: what was given.
        allowed: what would be right.
    """

    def __init__(self, field_name: str, value: object, allowed: str) -> None:
        super().__init__(f"{field_name} is {value!r}, allowed: {allowed}")
        self.field = field_name
        self.value = value
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Decision:
    """One deviation from the default schedule.

    Attributes:
        kind: ``draw`` (a value other than the lower bound), ``cancel`` (a task is cancelled before a global
            step), ``first`` (in this round of the loop another ready callback goes first), ``collect`` (cycles are
            collected before a global step) or ``entropy`` (the seed of the global random generator).
        who: ``draw``: who drew (task or connection); ``cancel``: the task's name; else empty.
        index: ``draw``: how many draws it had made before; ``cancel`` and ``collect``: the step;
            ``first``: the round.
        value: ``draw``: what came out; ``first``: which ready callback; ``entropy``: the seed; else 0.
    """

    kind: Kind
    who: str
    index: int
    value: float | int

    def __str__(self) -> str:
        match self.kind:
            case "draw":
                return f"draw {self.index} of {self.who} gives {self.value:.6g}"
            case "cancel":
                return f"{self.who} is cancelled before step {self.index}"
            case "first":
                return f"in round {self.index} the ready callback {self.value} goes first"
            case "collect":
                return f"cycles are collected before step {self.index}"
            case _:
                return f"the global random generator starts from {self.value}"

    def to_json(self) -> list[Any]:
        """``[kind, who, index, value]``."""
        return [self.kind, self.who, self.index, self.value]

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read it back.

        Raises:
            PlanError: naming what is wrong.
        """
        if not isinstance(data, list) or len(data) != 4:
            raise PlanError("decision", data, "[kind, who, index, value]")
        kind, who, index, value = data
        if kind not in KINDS:
            raise PlanError("decision.kind", kind, ", ".join(KINDS))
        if not isinstance(who, str):
            raise PlanError("decision.who", who, "a name")
        if not isinstance(index, int) or isinstance(index, bool) or index < 0:
            raise PlanError("decision.index", index, "a whole number from 0")
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise PlanError("decision.value", value, "a number")
        return cls(kind, who, index, value)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a run keeps to, besides its decisions; a replay needs the same.

    Attributes:
        latency_s: lower and upper bound of a packet's latency.
        max_virtual_s: virtual seconds after which a run is overdue.
        max_steps: callbacks after which it is a livelock.
        leftovers: ``report`` or ``fail``: what to do about tasks, timers and sockets left at the end.
        lost: ``report`` or ``fail``: what to do about exceptions nobody looked at (assertions always fail).
        cancel_until_s: virtual seconds after which the schedule cancels nobody; None: it may until the end.
        clock: ``freeze`` (freezegun: ``time``, ``datetime``, early imports) or ``loop`` (the ``time`` module only).
    """

    latency_s: tuple[float, float] = (0.0005, 0.05)
    max_virtual_s: float = 3600.0
    max_steps: int = 100_000
    leftovers: Literal["report", "fail"] = "report"
    lost: Literal["report", "fail"] = "report"
    clock: Literal["freeze", "loop"] = "freeze"
    cancel_until_s: float | None = None

    def __post_init__(self) -> None:
        low, high = self.latency_s
        if not 0 <= low <= high:
            raise PlanError("latency", self.latency_s, "two seconds, 0 <= low <= high")
        if not self.max_virtual_s > 0:
            raise PlanError("max_virtual_s", self.max_virtual_s, "seconds above 0")
        if self.max_steps < 1:
            raise PlanError("max_steps", self.max_steps, "a whole number from 1")
        if self.cancel_until_s is not None and not self.cancel_until_s >= 0:
            raise PlanError("cancel_until_s", self.cancel_until_s, "seconds from 0")
        for name, value in (("leftovers", self.leftovers), ("lost", self.lost)):
            if value not in ("report", "fail"):
                raise PlanError(name, value, "report, fail")
        if self.clock not in ("freeze", "loop"):
            raise PlanError("clock", self.clock, "freeze, loop")

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults."""
        plain = Bounds()
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name in self.__slots__
            if (value := getattr(self, name)) != getattr(plain, name)
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read it back; what is missing has its default.

        Raises:
            PlanError: naming what is wrong.
        """
        for name in data:
            if name not in cls.__slots__:
                raise PlanError(f"bounds.{name}", data[name], "one of " + ", ".join(cls.__slots__))
        given = dict(data)
        if "latency_s" in given:
            try:
                low, high = given["latency_s"]
                given["latency_s"] = (float(low), float(high))
            except (TypeError, ValueError):
                raise PlanError("bounds.latency_s", data["latency_s"], "two seconds, low and high") from None
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Plan:
    """One schedule: its decisions (deviations only), the bounds it ran in, and the digest of its trace if known.

    ``str(plan)`` is one line of JSON; ``Plan.parse`` reads it back.
    """

    decisions: tuple[Decision, ...] = ()
    bounds: Bounds = field(default_factory=Bounds)
    digest: str = ""
    python: str = ""

    def __len__(self) -> int:
        return len(self.decisions)

    def __str__(self) -> str:
        return json.dumps(self.to_json(), separators=(",", ":"), sort_keys=True)

    def draws(self) -> dict[tuple[str, int], float | int]:
        """Drawn values by who and count."""
        return {(d.who, d.index): d.value for d in self.decisions if d.kind == "draw"}

    def cancels(self) -> list[tuple[int, str]]:
        """Step and task of each cancellation, in order of steps."""
        return sorted((d.index, d.who) for d in self.decisions if d.kind == "cancel")

    def firsts(self) -> dict[int, int]:
        """Which ready callback goes first, by round."""
        return {d.index: int(d.value) for d in self.decisions if d.kind == "first"}

    def collects(self) -> list[int]:
        """Steps before which cycles are collected."""
        return sorted(d.index for d in self.decisions if d.kind == "collect")

    def entropy(self) -> int:
        """Seed of the global random generator."""
        return next((int(d.value) for d in self.decisions if d.kind == "entropy"), 0)

    def with_decisions(self, decisions: Iterable[Decision]) -> Plan:
        """The same bounds with other decisions; the digest no longer applies."""
        return Plan(tuple(decisions), self.bounds)

    def to_json(self) -> dict[str, Any]:
        """The JSON object, versioned."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "decisions": [decision.to_json() for decision in self.decisions],
        }
        if bounds := self.bounds.to_json():
            data["bounds"] = bounds
        if self.digest:
            data["digest"] = self.digest
        if self.python:
            data["python"] = self.python
        return data

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read it back.

        Raises:
            PlanError: naming what is wrong.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise PlanError("plan.format", data.get("format") if isinstance(data, Mapping) else data, FORMAT)
        if data.get("version") != VERSION:
            raise PlanError("plan.version", data.get("version"), str(VERSION))
        decisions = data.get("decisions", [])
        if not isinstance(decisions, list):
            raise PlanError("plan.decisions", decisions, "a list")
        return cls(
            tuple(Decision.from_json(item) for item in decisions),
            Bounds.from_json(data.get("bounds", {})),
            str(data.get("digest", "")),
            str(data.get("python", "")),
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the one line that ``str`` gives.

        Raises:
            PlanError: when it is no JSON or no plan.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise PlanError("plan", text[:80], f"one line of JSON ({error})") from None
        return cls.from_json(data)
