"""A load budget: one line of the report, the limits that it reads, and the judge that decides it from a run.

``@budget(NAME, {LIMIT: BOUNDS, ...})`` turns a pure function from a run and the limits to a ``Verdict`` into a
``Budget``; the first limit is the one that its figure is held against. The verdict is that of a claim: PASS with what
was measured, FAIL with a reason, UNKNOWN with what was missing; a judge that crashes is UNKNOWN. Its ``figures`` are
``figure``, ``limit``, ``margin`` (what is left of the limit, negative when overrun) and the ``unit`` of all three.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.load.view import Run

__all__ = ["Budget", "Limits", "at_least", "at_most", "budget", "missed", "unknown"]

Bounds = tuple[float, float]
COUNT: Bounds = (0.0, 1e9)
SECONDS: Bounds = (0.001, 86_400.0)
MS: Bounds = (0.001, 3_600_000.0)
SHARE: Bounds = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit by section and name, and the budgets that a shape must not leave UNKNOWN."""

    figures: Mapping[str, Mapping[str, float]]
    required: Mapping[str, Sequence[str]]

    def get(self, name: str) -> float:
        """One limit, such as ``get("rate.accepted_max")``."""
        section, _, field = name.rpartition(".")
        return self.figures[section][field]

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {"figures": {k: dict(v) for k, v in self.figures.items()}, "required": dict(self.required)}


Judge = Callable[[Run, Limits], Verdict]


@dataclass(frozen=True, slots=True)
class Budget:
    """One line of the report.

    Attributes:
        name: such as ``rate.accepted``.
        unit: of figure, limit and margin.
        reads: each limit that its judge reads, by dotted name, with the least and the most that it may be.
        judge: decides it.
    """

    name: str
    unit: str
    reads: Mapping[str, Bounds]
    judge: Judge

    def __call__(self, run: Run, limits: Limits) -> Verdict:
        """The verdict on a run."""
        try:
            verdict = self.judge(run, limits)
        except Exception as error:  # noqa: BLE001 - by contract: a judge that crashes is UNKNOWN
            verdict = unknown(f"the judge crashed: {type(error).__name__}: {error}")
        known = {"figure": None, "limit": limits.get(next(iter(self.reads))), "margin": None, "unit": self.unit}
        return dataclasses.replace(verdict, claim=self.name, figures={**known, **verdict.figures}, history="load")


def budget(name: str, reads: Mapping[str, Bounds], unit: str = "") -> Callable[[Judge], Budget]:
    """Make a budget of the judge below; see ``Budget`` for the arguments."""
    return lambda judge: Budget(name, unit, reads, judge)


def at_most(figure: float, limit: float, count: int, reason: str = "") -> Verdict:
    """PASS while the figure, from so many observations, is no larger than its limit; ``reason`` says more of a FAIL."""
    if figure <= limit:
        return passed(count, figure=figure, limit=limit, margin=limit - figure)
    return missed(
        reason or f"{figure:g} is more than {limit:g}", count, figure=figure, limit=limit, margin=limit - figure
    )


def at_least(figure: float, limit: float, count: int, reason: str) -> Verdict:
    """PASS while the figure is no smaller than its limit."""
    if figure >= limit:
        return passed(count, figure=figure, limit=limit, margin=figure - limit)
    return missed(reason, count, figure=figure, limit=limit, margin=figure - limit)


def missed(reason: str, count: int, **figures: object) -> Verdict:
    """FAIL for a reason that may be no matter of more or less."""
    return failed(count, reason, (), **figures)
