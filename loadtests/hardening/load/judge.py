"""Judges a load run from its files: each budget a line, each claim that the history speaks of a line, one exit code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Exit, Outcome, Verdict
from hardening.history.events import History
from hardening.load import latency_judges, order_judges, process_judges, rate_judges
from hardening.load.budgets import NAMES, Budgets
from hardening.load.figures import knee
from hardening.load.merging import merge
from hardening.load.view import Line, Run, unknown

CLAIMS = ("C2", "C6.2", "C6.4")
Judge = Callable[[Run, Budgets], Line]

JUDGES: dict[str, Judge] = {
    "rate.accepted": rate_judges.judge_accepted,
    "rate.overload": rate_judges.judge_overload,
    "retry_after.429": rate_judges.judge_retry_after,
    "retry_after.503": rate_judges.judge_wait_503,
    "lone_client.admitted": rate_judges.judge_lone_client,
    "in_flight.max": process_judges.judge_in_flight,
    "in_flight.at_rest": process_judges.judge_at_rest,
    "memory.rss": process_judges.judge_rss,
    "memory.growth": process_judges.judge_growth,
    "memory.per_request": process_judges.judge_growth_per_request,
    "cpu.share": process_judges.judge_cpu,
    "request.longest": latency_judges.judge_longest,
    "errors.share": latency_judges.judge_errors,
    "critical.refused": order_judges.judge_critical,
    "shed.order": order_judges.judge_shed_order,
    "alerts.lost": order_judges.judge_alerts_lost,
    "alerts.twice": order_judges.judge_alerts_twice,
    "recovery.spike": latency_judges.judge_recovery,
    "agreement.counters": process_judges.judge_agreement,
}
"""One judge a line; the percentiles have one together."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run came to.

    Attributes:
        run: what was judged.
        lines: a line for each budget, then one for each claim that failed or passed.
        verdicts: the claims, in the format of the certificate.
        exit_code: 0 all held, 1 one did not, 3 one that this shape is there for could not be told.
        missing: names of those.
        history_digest: ``sha256:...`` of the file that was judged; empty when it was none.
    """

    run: Run
    lines: Sequence[Line]
    verdicts: Sequence[Verdict]
    exit_code: Exit
    missing: Sequence[str]
    budgets: Budgets
    history_digest: str = ""

    @property
    def result(self) -> str:
        """``PASSED``, ``FAILED`` or ``UNKNOWN``."""
        return {Exit.OK: "PASSED", Exit.FAILED: "FAILED"}.get(self.exit_code, "UNKNOWN")


def judge_line(name: str, judge: Judge, run: Run, budgets: Budgets) -> Line:
    """One budget; a judge that crashes is UNKNOWN, never PASS."""
    try:
        return judge(run, budgets)
    except Exception as error:  # noqa: BLE001 - by contract
        return unknown(name, f"the judge crashed: {type(error).__name__}: {error}")


def judge_budgets(run: Run, budgets: Budgets) -> list[Line]:
    """Every budget, in the order of ``NAMES``."""
    found = {name: judge_line(name, judge, run, budgets) for name, judge in JUDGES.items()}
    try:
        found |= {line.name: line for line in latency_judges.judge_percentiles(run, budgets)}
    except Exception as error:  # noqa: BLE001 - by contract
        crashed = f"the judge crashed: {type(error).__name__}: {error}"
        found |= {name: unknown(name, crashed) for name in NAMES if name not in found}
    return [found[name] for name in NAMES]


def claim_line(verdict: Verdict) -> Line:
    """A claim as a line."""
    reason = verdict.reason if verdict.outcome is not Outcome.PASS else ""
    return Line(f"claim.{verdict.claim}", verdict.outcome, count=verdict.premise_count, reason=reason)


def judge_history(history: History, budgets: Budgets) -> Judgement:
    """Judge a history that holds a load run."""
    run = Run(history)
    lines = judge_budgets(run, budgets)
    verdicts = judge_all({"load": history}, CLAIMS)
    lines += [claim_line(one) for one in verdicts if one.outcome is not Outcome.UNKNOWN]
    required = budgets.required.get(run.plan.shape, ())
    missing = [line.name for line in lines if line.outcome is Outcome.UNKNOWN and line.name in required]
    code = Exit.UNKNOWN if missing else Exit.OK
    code = Exit.FAILED if any(line.outcome is Outcome.FAIL for line in lines) else code
    return Judgement(run, lines, verdicts, code, missing, budgets)


def judge_directory(directory: Path, budgets: Budgets) -> Judgement:
    """Merge the raw files of a run into ``load.jsonl`` and judge what was written.

    Raises:
        MergeError, RecordError, HistoryError: when the directory holds no run, or a damaged one.
    """
    history, path = merge(directory), directory / "load.jsonl"
    history.write(path)
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    return replace(judge_history(history, budgets), history_digest=digest)


def ended_early(run: Run) -> str:
    """Why and when the run was ended before its time, empty when it was not."""
    if run.aborted:
        return run.aborted
    return "" if run.stopped_s is None else f"after {run.stopped_s:.0f} s, for somebody asked for it"


def lag_s(run: Run) -> tuple[float, float]:
    """How long in all, and how long at once, a generator had no time for its requests while the load lasted."""
    spans = [end - begin for one in run.lags.values() for begin, end in one if begin <= run.ended_t]
    return sum(spans), max(spans, default=0.0)


def to_json(judgement: Judgement) -> dict[str, Any]:
    """``load.json``: the result, each line, the claims as the certificate has them, the plan, the budgets."""
    found = knee(judgement.run, judgement.budgets.get("rate", "window_s"))
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
        "budgets": [line.to_json() for line in judgement.lines],
        "claims": claims,
        "figures": judgement.budgets.to_json(),
        "requests": len(judgement.run.sent),
        "generator_lag_s": dict(zip(("total", "longest"), lag_s(judgement.run), strict=True)),
        "disk_waits": {"count": len(judgement.run.disk_waits), "longest_ms": judgement.run.disk_wait_ms},
        "knee": None if found is None else found.to_json(),
    }
