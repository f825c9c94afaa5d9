"""The outcome of one budget, and of all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scenarios.judge.verdict import Exit, Outcome


@dataclass(frozen=True, slots=True)
class Held:
    """One budget, judged.

    Attributes:
        name: such as ``rate.accepted_max``.
        outcome: PASS, FAIL or UNKNOWN (nothing exercised it).
        figure: what was measured; NaN when nothing was.
        limit: what is allowed.
        unit: of both.
        reason: why it failed or is unknown; else what was looked at.
        least: True when the figure must not be below the limit.
        required: False when this shape cannot exercise it: UNKNOWN is then no trouble.
        evidence: the requests that show a failure, by id.
    """

    name: str
    outcome: Outcome
    figure: float
    limit: float
    unit: str
    reason: str = ""
    least: bool = False
    required: bool = True
    evidence: tuple[str, ...] = field(default=())

    @property
    def margin(self) -> float:
        """How far the figure is from its limit; below zero when it is beyond."""
        return self.figure - self.limit if self.least else self.limit - self.figure

    def to_json(self) -> dict[str, Any]:
        """As the certificate and ``load.json`` carry it."""
        return {
            "name": self.name,
            "verdict": str(self.outcome),
            "held": self.outcome is Outcome.PASS,
            "figure": _number(self.figure),
            "limit": _number(self.limit),
            "margin": _number(self.margin),
            "unit": self.unit,
            "required": self.required,
            "reason": self.reason,
            "evidence": list(self.evidence),
        }

    def line(self) -> str:
        """One line for people."""
        if math.isnan(self.figure):
            return f"{self.outcome:8} {self.name:32} {self.reason}"
        sign = ">=" if self.least else "<="
        text = f"{self.figure:10.6g} {sign} {self.limit:<8.6g} {self.unit:9} margin {self.margin:.6g}"
        return f"{self.outcome:8} {self.name:32} {text}" + (f"  {self.reason}" if self.reason else "")


def _number(value: float) -> float | None:
    return None if math.isnan(value) or math.isinf(value) else round(value, 6)


def at_most(name: str, figure: float, limit: float, unit: str, **more: Any) -> Held:
    """Judge ``figure <= limit``."""
    outcome = Outcome.UNKNOWN if math.isnan(figure) else Outcome.PASS if figure <= limit else Outcome.FAIL
    return Held(name, outcome, figure, limit, unit, **more)


def at_least(name: str, figure: float, limit: float, unit: str, **more: Any) -> Held:
    """Judge ``figure >= limit``."""
    outcome = Outcome.UNKNOWN if math.isnan(figure) else Outcome.PASS if figure >= limit else Outcome.FAIL
    return Held(name, outcome, figure, limit, unit, least=True, **more)


def unknown(name: str, limit: float, unit: str, reason: str, *, required: bool = False) -> Held:
    """Nothing exercised it."""
    return Held(name, Outcome.UNKNOWN, math.nan, limit, unit, reason, required=required)


def exit_of(budgets: Sequence[Held]) -> Exit:
    """0 when all that could be exercised held, 1 when one failed, 3 when one that must be known is not."""
    if any(one.outcome is Outcome.FAIL for one in budgets):
        return Exit.FAILED
    if any(one.outcome is Outcome.UNKNOWN and one.required for one in budgets):
        return Exit.UNKNOWN
    return Exit.OK


def counts(budgets: Iterable[Held]) -> dict[str, int]:
    """How many of each verdict."""
    found = {str(outcome): 0 for outcome in Outcome}
    for one in budgets:
        found[str(one.outcome)] += 1
    return found
