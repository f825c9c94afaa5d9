"""Records that no run can have written are refused with one line and exit 2; what was not served has no latency."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from load_records import Record, raw_row, write_raw

from hardening.claims.verdict import Outcome
from hardening.load import budgets
from hardening.load.judge import judge_budgets
from hardening.load.plan import Plan
from hardening.load.recording import FIELDS

BUDGETS = budgets.load()
Row = list[Any]


def judged(directory: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "hardening.load", "judge", str(directory)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def with_field(field: str, value: Any) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        rows[1][FIELDS.index(field)] = value

    return change


CHANGES: dict[str, tuple[Callable[[list[Row]], object], str]] = {
    "answered before it began": (with_field("end_s", 100.0), "end_s is 100.0, allowed: a finite number of at least"),
    "begun before it was meant to": (with_field("begin_s", 101.5), "begin_s is 101.5, allowed: a finite number of at"),
    "no end": (with_field("end_s", None), "end_s is None, allowed: a finite number"),
    "an end in words": (with_field("end_s", "soon"), "end_s is 'soon', allowed: a finite number"),
    "not a number": (with_field("intended_s", float("nan")), "intended_s is nan, allowed: a finite number"),
    "an endless time": (with_field("end_s", float("inf")), "end_s is inf, allowed: a finite number"),
    "a truth for a time": (with_field("begin_s", True), "begin_s is True, allowed: a finite number"),
    "a status of nobody": (with_field("status", 999), "status is 999, allowed: 100 to 599 of an answer"),
    "half a status": (with_field("status", 200.5), "status is 200.5, allowed: 100 to 599 of an answer"),
    "an answer without status": (with_field("status", 0), "status is 0, allowed: 100 to 599 of an answer"),
    "a status without answer": (
        with_field("kind", "fail"),
        "status is 200, allowed: 100 to 599 of an answer, 0 without",
    ),
    "an end of no kind": (with_field("kind", "maybe"), "kind is 'maybe', allowed: ok, fail, indeterminate"),
    "an id that is none": (with_field("id", ""), "id is '', allowed: a text"),
    "an operation that is none": (with_field("operation", 7), "operation is 7, allowed: a text"),
    "an answer that is a list": (with_field("value", []), "value is [], allowed: an object"),
    "a wait in words": (with_field("value", {"retry_after_s": "x"}), "retry_after_s is 'x', allowed: a finite number"),
    "every row twice": (lambda rows: rows.extend(list(rows)), "id is 'r0' a second time, allowed: each request once"),
    "a field less": (lambda rows: rows[1].pop(), "allowed: a list of 16 fields"),
    "something else": (lambda rows: rows.append("x"), "the record is 'x', allowed: a request, or an object of type"),  # type: ignore[arg-type]
}


def rows() -> list[Row]:
    return [raw_row(f"r{number}", 101.0 + number, late_s=0.0) for number in range(5)]  # type: ignore[misc]


def test_what_a_generator_writes_is_judged(tmp_path: Path) -> None:
    done = judged(write_raw(tmp_path, ("requests-0.jsonl", {}, rows())))
    assert done.returncode == 1, done.stderr  # an eighth of a second each is more than the median may take
    failed = [line.split()[0] for line in done.stdout.splitlines() if " FAIL " in line]
    assert failed == ["latency.signal.p50"]


@pytest.mark.parametrize("name", CHANGES)
def test_impossible_rows_are_one_line_and_exit_2(name: str, tmp_path: Path) -> None:
    change, said = CHANGES[name]
    changed = rows()
    change(changed)
    done = judged(write_raw(tmp_path, ("requests-0.jsonl", {}, changed)))
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert said in done.stderr
    assert "requests-0.jsonl" in done.stderr
    assert len(done.stderr.splitlines()) == 1


FILES: dict[str, tuple[str, str, str]] = {
    "a plan that is none": ("plan.json", "[]", "plan.json: it is no object"),
    "a plan cut short": ("plan.json", '{"plan"', "plan.json: "),
    "a plan without its clock": ("plan.json", '{"plan": {}, "began_s": 1}', "plan.json: clock is None, allowed"),
    "a plan of text": (
        "plan.json",
        '{"plan": "x", "began_s": 1, "clock": {"boot_id": "", "mono_s": 1, "wall_s": 1}}',
        "plan.json: plan is 'x', allowed: an object",
    ),
    "a scrape without series": (
        "observed.jsonl",
        '{"type": "metrics", "begin_s": 1, "end_s": 2}',
        "observed.jsonl line 2: series is None, allowed: numbers by name",
    ),
    "a lag that ends before it begins": (
        "observed-lag-0.jsonl",
        '{"type": "lag", "worker": 0, "spans": [[2, 1]]}',
        "spans is 1, allowed: a finite number of at least 2",
    ),
    "a record of nobody's": ("observed.jsonl", '{"type": "x"}', "allowed: a request, or an object of type clock"),
    "lists in lists": ("requests-1.jsonl", "[" * 100_000, "requests-1.jsonl line 2: nested too deeply"),
    "a world without its epoch": ("world.jsonl", "", "history"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_one_line_and_exit_2(name: str, tmp_path: Path) -> None:
    file, text, said = FILES[name]
    directory = write_raw(tmp_path, ("requests-0.jsonl", {}, rows()))
    clock = json.loads((directory / "plan.json").read_text())["clock"]
    head = f"{json.dumps(clock)}\n" if file.startswith(("observed", "requests")) else ""
    (directory / file).write_text(f"{head}{text}\n")
    done = judged(directory)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def lines(record: Record) -> dict[str, Any]:
    return {one.claim: one for one in judge_budgets(record.run(), BUDGETS)}


@pytest.mark.parametrize("status", [302, 204, 500, 404])
def test_an_answer_that_nobody_asked_for_is_an_error_and_has_no_latency(status: int) -> None:
    record = Record(Plan.of("steady", 5.0, 60.0, embedded=True))
    for number in range(100):
        record.ask(number * 0.1, status, took_s=0.001)
    found = lines(record)
    assert found["errors.share"].outcome is Outcome.FAIL
    assert f"status {status}" in found["errors.share"].reason
    assert found["latency.signal.p50"].outcome is Outcome.UNKNOWN


def test_quick_errors_do_not_flatter_the_percentiles() -> None:
    record = Record(Plan.of("steady", 5.0, 60.0, embedded=True))
    for number in range(100):
        record.ask(number * 0.1, took_s=0.2)
        record.ask(number * 0.1 + 0.05, 500, took_s=0.001)
    found = lines(record)["latency.signal.p50"]
    assert (found.outcome, found.premise_count) == (Outcome.FAIL, 100)


def test_an_alert_is_expected_to_be_accepted_and_ready_may_say_no() -> None:
    record = Record(Plan.of("steady", 5.0, 60.0, embedded=True))
    record.ask(1.0, 202, operation="alert", delivery_id="a", key="k")
    record.ask(2.0, 503, operation="ready", priority="critical")
    assert lines(record)["errors.share"].outcome is Outcome.PASS
    record.ask(3.0, 200, operation="alert", delivery_id="b", key="l")
    assert lines(record)["errors.share"].outcome is Outcome.FAIL
