"""Judges a load run from its files: a line for each budget and for each claim that the history settles, one exit code.

In comes a directory of raw files, or a history; out comes a ``Judgement``. Errors: those of merging and reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Exit, Outcome, Verdict
from hardening.history.events import History
from hardening.load.budget import Limits
from hardening.load.budgets import BUDGETS
from hardening.load.figures import knee
from hardening.load.merging import merge
from hardening.load.view import Run

CLAIMS = ("C2", "C6.2", "C6.4")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdicts on a run, and its exit code.

    Attributes:
        run: what was judged.
        lines: the verdict of each budget, then of each claim that failed or passed.
        verdicts: the claims, in the format of the certificate.
        exit_code: 0 all held, 1 one did not, 3 one that this shape exists for was not exercised.
        missing: names of those.
        history_digest: ``sha256:...`` of the file that was judged; empty when it was none.
    """

    run: Run
    lines: Sequence[Verdict]
    verdicts: Sequence[Verdict]
    exit_code: Exit
    missing: Sequence[str]
    limits: Limits
    history_digest: str = ""

    @property
    def result(self) -> str:
        """``PASSED``, ``FAILED`` or ``UNKNOWN``."""
        return {Exit.OK: "PASSED", Exit.FAILED: "FAILED"}.get(self.exit_code, "UNKNOWN")


def judge_budgets(run: Run, limits: Limits) -> list[Verdict]:
    """Every budget, in the order of the report."""
    return [budget(run, limits) for budget in BUDGETS.values()]


def judge_history(history: History, limits: Limits) -> Judgement:
    """Judge a history that holds a load run."""
    run = Run(history)
    lines = judge_budgets(run, limits)
    verdicts = judge_all({"load": history}, CLAIMS)
    lines += [_claim_line(one) for one in verdicts if one.outcome is not Outcome.UNKNOWN]
    required = limits.required.get(run.plan.shape, ())
    missing = [line.claim for line in lines if line.outcome is Outcome.UNKNOWN and line.claim in required]
    code = Exit.UNKNOWN if missing else Exit.OK
    code = Exit.FAILED if any(line.outcome is Outcome.FAIL for line in lines) else code
    return Judgement(run, lines, verdicts, code, missing, limits)


def _claim_line(verdict: Verdict) -> Verdict:
    """A claim as a line of the report: without a figure that a limit is held against."""
    return replace(verdict, claim=f"claim.{verdict.claim}", figures={})


def row(line: Verdict) -> dict[str, Any]:
    """One line of ``load.json``."""
    measured = {name: line.figures.get(name) for name in ("figure", "limit", "margin")}
    return {
        "name": line.claim,
        "verdict": str(line.outcome),
        **measured,
        "unit": line.figures.get("unit", ""),
        "count": line.premise_count,
        "reason": line.reason,
    }


def judge_directory(directory: Path, limits: Limits) -> Judgement:
    """Merge the raw files of a run into ``load.jsonl`` and judge what was written.

    Raises:
        MergeError, RecordError, HistoryError: when the directory holds no run, or a damaged one.
    """
    history, path = merge(directory), directory / "load.jsonl"
    history.write(path)
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    return replace(judge_history(history, limits), history_digest=digest)


def ended_early(run: Run) -> str:
    """Why and when the run was ended before its time, empty when it was not."""
    if run.aborted:
        return run.aborted
    return "" if run.stopped_s is None else f"after {run.stopped_s:.0f} s, because a person asked for it"


def lag_s(run: Run) -> tuple[float, float]:
    """How long in all, and how long at once, a generator had no time for its requests while the load lasted."""
    spans = [end - begin for one in run.lags.values() for begin, end in one if begin <= run.ended_t]
    return sum(spans), max(spans, default=0.0)


def to_json(judgement: Judgement) -> dict[str, Any]:
    """``load.json``: the result, each line, the claims as the certificate has them, the plan, the budgets."""
    found = knee(judgement.run, judgement.limits.get("rate.window_s"))
    claims = [
        {
            "id": one.claim,
            "verdict": str(one.outcome),
            "premise_count": one.premise_count,
            "figures": dict(one.figures),
            "evidence": [dict(event) for event in one.evidence],
            "reason": one.reason,
            "history": one.history,
        }
        for one in judgement.verdicts
    ]
    return {
        "format": "signal-hardening/load",
        "version": 1,
        "result": judgement.result,
        "exit_code": int(judgement.exit_code),
        "missing": list(judgement.missing),
        "ended_early": ended_early(judgement.run),
        "history_digest": judgement.history_digest,
        "plan": judgement.run.plan.to_json(),
        "budgets": [row(line) for line in judgement.lines],
        "claims": claims,
        "figures": judgement.limits.to_json(),
        "requests": len(judgement.run.sent),
        "generator_lag_s": dict(zip(("total", "longest"), lag_s(judgement.run), strict=True)),
        "disk_waits": {"count": len(judgement.run.disk_waits), "longest_ms": judgement.run.disk_wait_ms},
        "knee": None if found is None else found.to_json(),
    }
