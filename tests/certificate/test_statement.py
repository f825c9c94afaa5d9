"""The certificate's statement: what it says, what it keeps apart, and that it validates as in-toto's."""

from __future__ import annotations

import json
from datetime import date

import pytest
from certificate_facts import COMMIT, FAIL, PASS, UNKNOWN, facts, load_row
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult as InTotoResult
from in_toto_attestation.v1.statement import Statement

from hardening.certificate.intoto_result import result_statement
from hardening.certificate.reports.markdown import render
from hardening.certificate.statement import fault_table, statement
from hardening.certificate.waivers import Waiver
from hardening.claims.claims import CLAIMS
from hardening.history.events import Header, History, Recorder, digest_of

LATER = Waiver("C1.2", "ann", "the vendor fixes it", date(2026, 12, 1))
OVER = Waiver("C1.2", "ann", "the vendor fixes it", date(2026, 11, 24))


def history_with_faults() -> History:
    header = Header("live", {}, digest_of({}), 0, "unknown", (), {}, "2026-01-01T00:00:00+00:00")
    recorder = Recorder(header)
    for number, bit in enumerate((True, False)):
        place = {"kind": "redis_killed", "target": "redis"}
        recorder.add(number, "harness", "fault", "inject", {**place, "parameters": {}}, f"f{number}")
        healed = {**place, "bit": bit, "bite": {"kills": int(bit)}, "verified": True}
        recorder.add(number + 0.5, "harness", "fault", "heal", healed, f"f{number}")
    return recorder.history()


def test_the_certificate_is_a_statement_with_a_list_of_claims() -> None:
    made = statement([PASS, FAIL, UNKNOWN], facts())
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["predicateType"] == "urn:signal-hardening:certificate:v1"
    predicate = made["predicate"]
    assert (predicate["result"], predicate["exit_code"]) == ("FAILED", 1)
    claim = predicate["claims"][0]
    assert (claim["id"], claim["component"], claim["verdict"], claim["premise_count"]) == ("C1.1", "C1", "PASS", 3)
    assert predicate["histories"][0]["digest"] == "sha256:00"
    assert predicate["configuration_digest"] == digest_of({"a": 1})
    assert json.loads(json.dumps(made, allow_nan=False)) == made


@pytest.mark.parametrize("commit", ["unknown", f"{COMMIT}-dirty", ""])
def test_without_a_clean_commit_the_code_is_the_only_subject_and_nothing_is_passed(commit: str) -> None:
    made = statement([PASS], facts(commit=commit))
    assert [subject["name"] for subject in made["subject"]] == ["signal-hardening"]
    assert made["predicate"]["result"] == "WARNED"


def test_a_clean_commit_is_a_subject() -> None:
    assert statement([PASS], facts())["subject"][1] == {"name": "git", "digest": {"gitCommit": COMMIT}}


def test_waived_failed_unknown_allowed_and_not_run_are_kept_apart() -> None:
    made = statement([PASS, FAIL, UNKNOWN], facts(waivers=(LATER,), allowed_unknown=frozenset({"C1.3"})))
    standing = made["predicate"]["standing"]
    assert (standing["passed"], standing["waived"], standing["allowed"]) == (["C1.1"], ["C1.2"], ["C1.3"])
    assert standing["failed"] == standing["unknown"] == []
    assert len(standing["not_run"]) == len(CLAIMS) - 3
    assert made["predicate"]["result"] == "WARNED"


def test_a_waiver_leaves_the_verdict_a_failure() -> None:
    claim = statement([FAIL], facts(waivers=(LATER,)))["predicate"]["claims"][0]
    assert (claim["verdict"], claim["standing"]) == ("FAIL", "waived")


def test_an_expired_waiver_is_a_failure_even_when_its_claim_passes() -> None:
    predicate = statement([PASS], facts(waivers=(Waiver("C1.1", "ann", "why", OVER.expiry),)))["predicate"]
    assert (predicate["result"], predicate["exit_code"]) == ("FAILED", 1)
    assert predicate["waivers"][0]["state"] == "expired"


def test_an_expired_waiver_excuses_nothing() -> None:
    assert statement([FAIL], facts(waivers=(OVER,)))["predicate"]["standing"]["failed"] == ["C1.2"]


def test_a_certificate_expires_after_thirty_days_or_with_the_first_waiver_it_leans_on() -> None:
    assert statement([PASS], facts())["predicate"]["expires_at"] == "2026-12-25T12:00:00+00:00"
    leaning = statement([FAIL], facts(waivers=(LATER,)))
    assert leaning["predicate"]["expires_at"] == "2026-12-02T00:00:00+00:00"


def test_an_unnoticed_sabotage_fails_the_certificate_and_is_named_by_its_gate() -> None:
    rows = [{"name": "no_jitter", "component": "C1", "detected": False, "by": [], "schedules": 1, "seconds": 2.0}]
    predicate = statement([PASS], facts(sabotages=rows))["predicate"]
    assert (predicate["result"], predicate["exit_code"]) == ("FAILED", 1)
    assert next(gate for gate in predicate["gates"] if not gate["held"])["said"] == "unnoticed: no_jitter"


@pytest.mark.parametrize("row", [{"name": "p99", "held": False}, {"name": "p99"}, {"name": "p99", "held": "yes"}])
def test_a_load_budget_that_is_not_said_to_be_held_fails_the_certificate(row: dict[str, object]) -> None:
    assert statement([PASS], facts(loads=[row]))["predicate"]["exit_code"] == 1


@pytest.mark.parametrize(
    ("required", "exit_code", "list_of_tests"), [(True, 3, "failedTests"), (False, 0, "warnedTests")]
)
def test_a_load_budget_that_nothing_exercised_is_unknown_unless_it_need_not_be(
    *, required: bool, exit_code: int, list_of_tests: str
) -> None:
    row = load_row(name="rate.accepted", verdict="UNKNOWN", held=False, reason="no overload", required=required)
    made = statement([PASS], facts(loads=[row]))
    assert made["predicate"]["exit_code"] == exit_code
    assert result_statement(made)["predicate"][list_of_tests][-1] == "load rate.accepted"
    assert "- the load budget rate.accepted: no overload" in render(made)


def test_faults_are_counted_by_kind_with_what_they_did() -> None:
    table = fault_table({"a": history_with_faults(), "b": history_with_faults()})
    assert table == [{"kind": "redis_killed", "injected": 4, "bit": 2, "bite": {"kills": 2}, "histories": ["a", "b"]}]


def test_figures_that_json_cannot_hold_become_text() -> None:
    odd = type(PASS)("C1.1", PASS.outcome, 1, {"ratio": float("inf"), "deep": {"x": (1, float("nan"))}})
    assert statement([odd], facts())["predicate"]["claims"][0]["figures"] == {"ratio": "inf", "deep": {"x": [1, "nan"]}}


def as_in_toto(made: dict[str, object]) -> Statement:
    parsed = Statement.copy_from_pb(json_format.ParseDict(made, Statement([], "", {}).pb.__class__()))
    parsed.validate()
    return parsed


def test_both_statements_validate_as_in_toto_statements() -> None:
    made = statement([PASS, FAIL, UNKNOWN], facts())
    as_in_toto(made)
    as_in_toto(result_statement(made))


def test_the_test_result_is_one_of_in_totos_own() -> None:
    loads = [{"name": "p99", "held": True}]
    made = statement([PASS, FAIL, UNKNOWN], facts(waivers=(LATER,), loads=loads))
    body = result_statement(made)["predicate"]
    parsed = json_format.ParseDict(body, InTotoResult())
    assert (parsed.result, list(parsed.passed_tests)) == (
        "FAILED",
        ["C1.1", "gate claims", "gate waivers", "gate sabotages", "gate loads", "load p99"],
    )
    assert (list(parsed.warned_tests), list(parsed.failed_tests)) == (["C1.2"], ["C1.3", "gate unknown"])
    assert parsed.configuration[0].digest["sha256"] == made["predicate"]["configuration_digest"].removeprefix("sha256:")
    assert "url" not in body


def test_the_test_result_names_the_page_of_the_run_where_there_is_one() -> None:
    where = {**facts().environment, "run_url": "https://ci.example.org/runs/1"}
    assert result_statement(statement([PASS], facts(environment=where)))["predicate"]["url"] == where["run_url"]


def test_the_report_names_every_claim_and_each_failure_with_its_reason() -> None:
    rows = [{"name": "no_jitter", "component": "C1", "detected": True, "by": ["C1.5"], "schedules": 1, "seconds": 2.0}]
    since = {"baseline": "sha256:0", "result": "PASSED", "finished_at": "then", "changes": ["C1.2: PASS -> FAIL"]}
    text = render(statement([PASS, FAIL, UNKNOWN], facts(sabotages=rows, since=since)))
    assert "| C1.1 | PASS | 3 |" in text
    assert "| C1.2 | **FAIL** |" in text
    assert "it broke" in text
    assert "Toxiproxy: embedded Toxiproxy" in text
    assert "histories/burst.jsonl" in text
    assert "1 of 1 deliberate breaks were noticed" in text
    assert "- C1.2: PASS -> FAIL" in text
    assert all(f"| {claim} |" in text for claim in CLAIMS)
    assert text.isascii()


def test_a_report_row_holds_no_bar_or_line_end_of_its_text() -> None:
    torn = type(FAIL)("C1.2", FAIL.outcome, 1, {}, (), "one | two\nthree", "burst")
    row = next(x for x in render(statement([torn], facts())).splitlines() if x.startswith("| C1.2"))
    assert "one \\| two three" in row
