"""The reports of a load run: lines for a terminal, ``load.json``, JUnit XML, CSV, and a page with pictures.

In comes a ``Judgement``, out come files beside the raw ones. Errors: ``OSError`` where nothing can be written.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from hardening.certificate.reports.junit import Case, junit
from hardening.claims.verdict import Outcome, Verdict
from hardening.load.figures import knee
from hardening.load.judge import Judgement, ended_early, lag_s, row, to_json
from hardening.load.report_html import page

COLUMNS = (
    *("id", "persona", "operation", "priority", "intended_s", "begin_s", "end_s", "latency_ms"),
    *("status", "problem", "error", "retry_after_s"),
)

LAG_SHARE_SHOWN = 0.02
"""From this share of the run on the report says that the generator had no time."""


def number(value: float | None) -> str:
    """A figure to be read by people: enough digits, and no more."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e9 else f"{value:.4g}"


def line_text(line: Verdict, width: int) -> str:
    """A budget as one line: name, verdict, figure, limit, margin, why."""
    one = row(line)
    head = f"{line.claim:{width}}  {line.outcome:7}"
    if one["limit"] is None:
        return f"{head}  {line.reason or f'{line.premise_count} times'}".rstrip()
    held = f"{number(one['figure']):>9} of {number(one['limit']):>6} {one['unit']}"
    margin = f"margin {number(one['margin'])}" if one["margin"] is not None else ""
    return f"{head}  {held:28}  {margin:14}  {line.reason}".rstrip()


def lines_of(judgement: Judgement) -> Iterator[str]:
    """A line for each budget, and what keeps the run from a verdict."""
    width = max(len(line.claim) for line in judgement.lines)
    for line in judgement.lines:
        yield line_text(line, width)
    total_s, longest_s = lag_s(judgement.run)
    if total_s > LAG_SHARE_SHOWN * judgement.run.plan.duration_s:
        yield f"the machine was busy: the generator itself had no time for {total_s:.1f} s, {longest_s:.2f} s at once"
    run = judgement.run
    if found := knee(run, judgement.limits.get("rate.window_s")):
        yield f"the knee: first refused ({found.why}) after {found.at_s:.1f} s, at {found.offered_per_s:.1f} requests/s"
    if run.disk_waits:
        yield f"the disk was slow: the store waited for it in {len(run.disk_waits)} s, up to {run.disk_wait_ms:.0f} ms"
    if early := ended_early(judgement.run):
        yield f"ended early: {early}"
    if judgement.missing:
        yield f"not exercised, though this shape exists for it: {', '.join(judgement.missing)}"


def cases(judgement: Judgement) -> Iterator[Case]:
    """A JUnit case for each budget; UNKNOWN is skipped, or an error where it is not good enough."""
    tags = {Outcome.PASS: "", Outcome.FAIL: "failure", Outcome.UNKNOWN: "skipped"}
    for line in judgement.lines:
        yield Case("load", line.claim, "error" if line.claim in judgement.missing else tags[line.outcome], line.reason)


def write_csv(judgement: Judgement, path: Path) -> None:
    """Every request a row, with its raw latency from the intended start."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in judgement.run.sent:
            writer.writerow(
                (
                    *(one.id, one.persona, one.operation, one.priority, one.intended_t, one.begin_t, one.end_t),
                    *(one.latency_s * 1000, one.status, one.problem, one.error),
                    "" if one.wait_s is None else one.wait_s,
                )
            )


def write_reports(judgement: Judgement, directory: Path) -> None:
    """Write all of them beside the raw files."""
    text = json.dumps(to_json(judgement), indent=1, sort_keys=True)
    (directory / "load.json").write_text(text + "\n", encoding="utf-8")
    suite = f"load-{judgement.run.plan.shape}"
    (directory / "load.xml").write_text(junit(suite, {suite: list(cases(judgement))}), encoding="utf-8")
    write_csv(judgement, directory / "load.csv")
    (directory / "load.html").write_text(page(judgement), encoding="utf-8")
