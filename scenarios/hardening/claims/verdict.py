"""Verdicts and how they add up to a result and an exit code (the *Result* table of the claims).

A verdict decides one claim: PASS with measurements, FAIL with the shortest list of events that shows why,
UNKNOWN with what was missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from hardening.history.events import Event


class Outcome(StrEnum):
    """The outcome of one claim."""

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


class Result(StrEnum):
    """The result of a certificate."""

    PASSED = "PASSED"
    WARNED = "WARNED"
    FAILED = "FAILED"


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNKNOWN = 3
    HARNESS = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim judged.

    Attributes:
        claim: its id, such as ``C2.1``.
        outcome: PASS, FAIL or UNKNOWN.
        premise_count: how often the claim's premise occurred; 0 is always UNKNOWN.
        figures: numbers that were measured; names end in their unit.
        evidence: the events that show a FAIL, fewest first to last, as ``Event.cite`` gives them.
        reason: one sentence: why it failed, or what was missing.
        history: name of the history it was judged from.
    """

    claim: str
    outcome: Outcome
    premise_count: int
    figures: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[Mapping[str, Any], ...] = ()
    reason: str = ""
    history: str = ""

    def __post_init__(self) -> None:
        if self.outcome is Outcome.PASS and self.premise_count < 1:
            raise ValueError(f"claim {self.claim}: a PASS needs a premise that occurred, premise_count is 0")
        if self.outcome is Outcome.FAIL and not self.reason:
            raise ValueError(f"claim {self.claim}: a FAIL needs its reason")


def passed(premise_count: int, **figures: object) -> Verdict:
    """PASS with measurements; UNKNOWN when the premise never occurred. The claim fills in its id."""
    if premise_count < 1:
        return unknown("the premise never occurred", **figures)
    return Verdict("", Outcome.PASS, premise_count, figures)


def failed(premise_count: int, reason: str, events: Iterable[Event], **figures: object) -> Verdict:
    """FAIL with the events that show why. The claim fills in its id."""
    evidence = tuple(event.cite() for event in events)
    return Verdict("", Outcome.FAIL, max(premise_count, 1), figures, evidence, reason)


def unknown(missing: str, **figures: object) -> Verdict:
    """UNKNOWN with what was missing. The claim fills in its id."""
    return Verdict("", Outcome.UNKNOWN, 0, figures, (), missing)


def merge(claim: str, verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict from several histories: any FAIL fails, else any PASS passes, else UNKNOWN.

    A FAIL keeps the shortest evidence among the failures; a PASS adds up the premises.
    """
    failures = [v for v in verdicts if v.outcome is Outcome.FAIL]
    if failures:
        return min(failures, key=lambda v: (len(v.evidence), v.history))
    passes = [v for v in verdicts if v.outcome is Outcome.PASS]
    if passes:
        figures = {v.history or str(i): dict(v.figures) for i, v in enumerate(passes)}
        names = ", ".join(v.history for v in passes if v.history)
        count = sum(v.premise_count for v in passes)
        return Verdict(claim, Outcome.PASS, count, figures if len(passes) > 1 else passes[0].figures, (), "", names)
    reasons = sorted({v.reason for v in verdicts if v.reason}) or ["nothing exercised it"]
    return Verdict(claim, Outcome.UNKNOWN, 0, {}, (), "; ".join(reasons))


@dataclass(frozen=True, slots=True)
class Tally:
    """What, beside the verdicts, decides the result.

    Attributes:
        allowed_unknown: claims that may still be UNKNOWN.
        waived: claims under a waiver that has not expired.
        expired: claims under a waiver that has.
        undetected: sabotages that were tried and that nothing noticed.
        missed: load budgets that were measured and not held.
        unmeasured: load budgets that had to be exercised and were not.
        subset: only part of the claims was asked for, or only part of the scenarios ran.
        clean_commit: the tree is clean and its commit known.
        sabotaged: what ran was broken on purpose.
    """

    allowed_unknown: frozenset[str] = frozenset()
    waived: frozenset[str] = frozenset()
    expired: frozenset[str] = frozenset()
    undetected: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    subset: bool = False
    clean_commit: bool = False
    sabotaged: bool = False


class Standing(StrEnum):
    """Where a claim stands once waivers and the list of allowed UNKNOWNs are applied; none hides another."""

    PASSED = "passed"
    FAILED = "failed"
    WAIVED = "waived"
    UNKNOWN = "unknown"
    ALLOWED = "allowed"


def standing_of(verdict: Verdict, tally: Tally) -> Standing:
    """The standing of one judged claim; a waiver or an allowance never makes ``passed`` of anything."""
    if verdict.outcome is Outcome.PASS:
        return Standing.PASSED
    if verdict.claim in tally.waived:
        return Standing.WAIVED
    if verdict.outcome is Outcome.FAIL:
        return Standing.FAILED
    return Standing.ALLOWED if verdict.claim in tally.allowed_unknown else Standing.UNKNOWN


@dataclass(frozen=True, slots=True)
class Gate:
    """One hard gate: its name, what did not hold (empty: all of it held), and the exit code when it does not."""

    name: str
    broken_by: tuple[str, ...]
    exit_code: Exit
    sound: str
    broken: str

    def to_json(self) -> dict[str, Any]:
        """The entry of ``predicate.gates``."""
        text = f"{self.broken}: {', '.join(self.broken_by)}" if self.broken_by else self.sound
        return {"gate": self.name, "held": not self.broken_by, "said": text, "exit_code": int(self.exit_code)}


def gates_of(verdicts: Iterable[Verdict], tally: Tally) -> tuple[Gate, ...]:
    """The hard gates in the order in which they decide; no score averages one of them away."""
    standings = [(v.claim, standing_of(v, tally)) for v in verdicts]
    failures = tuple(claim for claim, standing in standings if standing is Standing.FAILED)
    unknowns = tuple(claim for claim, standing in standings if standing is Standing.UNKNOWN)
    failed_exit = Exit.FAILED
    return (
        Gate("claims", failures, failed_exit, "no claim failed that is not waived", "failed"),
        Gate("waivers", tuple(sorted(tally.expired)), failed_exit, "no waiver has expired", "expired waivers"),
        Gate("sabotages", tally.undetected, failed_exit, "no sabotage that was tried went unnoticed", "unnoticed"),
        Gate("loads", tally.missed, failed_exit, "no load budget that was measured was missed", "missed"),
        Gate("unknown", (*unknowns, *tally.unmeasured), Exit.UNKNOWN, "nothing is unknown that may not be", "unknown"),
    )


def warnings_of(verdicts: Iterable[Verdict], tally: Tally) -> tuple[str, ...]:
    """Why the result is WARNED and not PASSED when every gate holds, a line each."""
    standings = [(v.claim, standing_of(v, tally)) for v in verdicts]
    waived = [claim for claim, standing in standings if standing is Standing.WAIVED]
    allowed = [claim for claim, standing in standings if standing is Standing.ALLOWED]
    reasons = {
        f"waived: {', '.join(waived)}": bool(waived),
        f"allowed to be unknown: {', '.join(allowed)}": bool(allowed),
        "only part of the claims or of the scenarios was asked for": tally.subset,
        "the commit is unknown or its tree is not clean": not tally.clean_commit,
        "what ran was sabotaged on purpose": tally.sabotaged,
    }
    return tuple(line for line, holds in reasons.items() if holds)


def result_of(verdicts: Iterable[Verdict], tally: Tally) -> tuple[Result, Exit]:
    """The *Result* table: the first row that holds decides result and exit code."""
    verdicts = list(verdicts)
    for gate in gates_of(verdicts, tally):
        if gate.broken_by:
            return Result.FAILED, gate.exit_code
    return (Result.WARNED if warnings_of(verdicts, tally) else Result.PASSED), Exit.OK
