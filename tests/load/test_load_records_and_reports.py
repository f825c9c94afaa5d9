"""Raw records come together in one history that any judge reads; reports say what the judgement says."""

from __future__ import annotations

import csv
import json
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from load_records import Record, write_raw
from load_records import raw_row as row

from hardening.history.events import parse as parse_history
from hardening.load import budgets
from hardening.load.exposition import parse, total
from hardening.load.figures import knee
from hardening.load.judge import judge_directory, judge_history, to_json
from hardening.load.merging import MergeError, merge
from hardening.load.plan import Plan
from hardening.load.raw_rows import RecordError, read_rows
from hardening.load.recording import Tally, clock_record
from hardening.load.report import lines_of, write_reports
from hardening.runs.load import load_history

BUDGETS = budgets.load()


def test_latencies_are_kept_raw_from_begin_and_from_the_intended_start(tmp_path: Path) -> None:
    history = merge(write_raw(tmp_path, ("requests-0.jsonl", {}, [row("a", 101.0)])))
    again = parse_history(history.dump())
    (invoke, end), *_ = again.requests()
    assert end is not None
    assert (invoke.t, invoke.value["intended_t"]) == (1.5, 1.0)
    assert (end.value["latency_s"], end.value["intended_latency_s"]) == (0.125, 0.625)


def test_files_of_two_machines_are_laid_side_by_side_by_their_wall_clocks(tmp_path: Path) -> None:
    there = {"boot_id": "there", "mono_s": 5000.0, "wall_s": 1000.0}
    files = (("requests-0.jsonl", {}, [row("a", 101.0)]), ("requests-1.jsonl", there, [row("b", 5001.0)]))
    times = {event.id: event.t for event in merge(write_raw(tmp_path, *files)).select("invoke", "request")}
    assert times == {"a": 1.5, "b": 1.5}


def test_when_a_generator_had_no_time_is_laid_beside_its_requests_and_told(tmp_path: Path) -> None:
    there = {"boot_id": "there", "mono_s": 5000.0, "wall_s": 1000.0}
    lag = [{"type": "lag", "worker": 1, "spans": [[5001.0, 5003.0]]}]
    files = (("requests-1.jsonl", there, [row("L1-9-1", 5001.0)]), ("observed-lag-1.jsonl", there, lag))
    judgement = judge_history(merge(write_raw(tmp_path, *files)), BUDGETS)
    assert judgement.run.lags == {"L1": [(1.0, 3.0)]}
    assert to_json(judgement)["generator_lag_s"] == {"total": 2.0, "longest": 2.0}
    assert "the generator itself had no time for 2.0 s, 2.00 s at once" in "\n".join(lines_of(judgement))


def test_a_last_line_cut_short_is_left_out_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    directory = write_raw(tmp_path, ("requests-0.jsonl", {}, [row("a", 101.0)]))
    path = directory / "requests-0.jsonl"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + '["b", "rea', encoding="utf-8")
    assert len(read_rows(path)[1]) == 1
    path.write_text(whole + "{nonsense\n" + json.dumps(row("c", 103.0)) + "\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"requests-0.jsonl line 3: not JSON"):
        merge(directory)
    path.write_text(whole + "[1]\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"line 3: the request is .1., allowed: a list of 16 fields"):
        merge(directory)


def test_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MergeError, match=r"there is no plan.json"):
        merge(tmp_path)


def test_the_tally_counts_errors_and_no_refusals_as_errors() -> None:
    now = time.monotonic()
    rows = [row(str(i), now - 1) for i in range(15)] + [row("r", now - 1, 429), row("s", now - 1, 503)]
    rows += [row("g", now - 1, 0, "disconnected")] + [row(f"e{i}", now - 1, 500) for i in range(6)]
    tally = Tally()
    tally.take(rows)
    assert tally.to_json() == {"sent": 24, "accepted": 15, "refused": 2, "errors": 6}
    assert tally.error_share(now) == 0.25
    assert tally.error_share(now + 60) == 0.0


def test_the_exposition_is_read_with_its_labels() -> None:
    text = (
        '# HELP a b\nsignal_shed_total{priority="low",level="light"} 3.0\nup 1\nx_bucket{le="1"} 4\nnonsense here now\n'
    )
    series = parse(text)
    assert series == {"signal_shed_total{level=light,priority=low}": 3.0, "up": 1.0}
    assert total(series, "signal_shed_total", level="light") == 3.0
    assert total(series, "signal_shed_total", level="heavy") is None


def judged(tmp_path: Path) -> Path:
    record = Record(Plan.of("burst", 5.0, 60.0, embedded=True))
    for i in range(299):
        record.ask(i * 0.01)
    record.ask(3.0, 500, problem="internal")
    record.refuse(10.0, 50.0)
    judgement = judge_history(record.history(), BUDGETS)
    record.history().write(tmp_path / "load.jsonl")
    write_reports(judgement, tmp_path)
    assert any("errors.share" in line and "FAIL" in line for line in lines_of(judgement))
    return tmp_path


def test_every_report_says_the_same(tmp_path: Path) -> None:
    directory = judged(tmp_path)
    data = json.loads((directory / "load.json").read_text(encoding="utf-8"))
    assert (data["result"], data["exit_code"]) == ("FAILED", 1)
    verdicts = {one["name"]: one["verdict"] for one in data["budgets"]}
    assert verdicts["rate.accepted"] == "PASS"
    suite = ET.parse(directory / "load.xml").getroot()
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert set(cases) == set(verdicts)
    assert {name for name, case in cases.items() if case.find("failure") is not None} == {
        name for name, verdict in verdicts.items() if verdict == "FAIL"
    }
    with (directory / "load.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 301
    assert [one["status"] for one in rows].count("429") == 1
    assert load_history(directory).header.extra["load"]["plan"]["shape"] == "burst"


def test_the_page_is_self_contained_and_shows_every_picture(tmp_path: Path) -> None:
    text = (judged(tmp_path) / "load.html").read_text(encoding="utf-8")
    assert text.count("<svg") >= 3
    assert "prefers-color-scheme:dark" in text
    for foreign in ("<script", "http://", "https://", "@import", "<link"):
        assert foreign not in text


def test_text_from_outside_cannot_become_markup(tmp_path: Path) -> None:
    record = Record()
    record.ask(1.0, error="<script>alert(1)</script>")
    write_reports(judge_history(record.history(), BUDGETS), tmp_path)
    assert "<script" not in (tmp_path / "load.html").read_text(encoding="utf-8")
    assert ET.parse(tmp_path / "load.xml").getroot() is not None


def test_the_knee_is_the_rate_at_which_the_first_was_turned_away() -> None:
    record = Record(Plan.of("ramp", 5.0, 60.0, embedded=True))
    for i in range(200):
        record.ask(i * 0.1)
    record.refuse(20.0, 5.0)
    found = knee(record.run(), 60.0)
    assert found is not None
    assert (found.at_s, found.why) == (20.0, "429")
    assert found.offered_per_s == pytest.approx(201 / 20)
    assert knee(Record().run(), 60.0) is None
    said = "the knee: first refused (429) after 20.0 s, at 10.1 requests/s"
    assert said in list(lines_of(judge_history(record.history(), BUDGETS)))


def test_claims_stand_in_the_report_as_the_certificate_has_them(tmp_path: Path) -> None:
    data = to_json(judge_history(Record().history(), BUDGETS))
    assert {"C2.1", "C2.2", "C6.4"} <= {claim["id"] for claim in data["claims"]}
    assert all({"verdict", "premise_count", "figures", "evidence"} <= claim.keys() for claim in data["claims"])


def test_what_is_judged_is_what_was_write_raw(tmp_path: Path) -> None:
    directory = write_raw(tmp_path, ("requests-0.jsonl", {}, [row("a", 101.0)]))
    judgement = judge_directory(directory, BUDGETS)
    assert load_history(directory).dump() == judgement.run.history.dump()
    assert clock_record()["type"] == "clock"
