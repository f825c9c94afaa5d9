"""JUnit XML and SARIF: what CI shows of a certificate, checked against models of their schemas."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from certificate_facts import FAIL, PASS, UNKNOWN, facts, load_row
from hypothesis import given
from hypothesis import strategies as st
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

from hardening.certificate.intoto_result import result_statement
from hardening.certificate.reports.junit import render_junit
from hardening.certificate.reports.markdown import render
from hardening.certificate.reports.sarif import sarif_log
from hardening.certificate.statement import statement
from hardening.certificate.waivers import Waiver
from hardening.claims.claims import CLAIMS

WAIVER = Waiver("C1.2", "ann", "the vendor fixes it", date(2026, 12, 1))


def junit_of(**other: object) -> ET.Element:
    return ET.fromstring(render_junit(statement([PASS, FAIL, UNKNOWN], facts(**other))))


def case(root: ET.Element, claim: str) -> ET.Element:
    found = root.find(f".//testcase[@classname='{claim}']")
    assert found is not None
    return found


def test_each_claim_is_a_test_case_and_the_totals_add_up() -> None:
    root = junit_of()
    gates = root.findall(".//testcase[@classname='gate']")
    assert len(root.findall(".//testcase")) == len(CLAIMS) + len(gates) == int(root.get("tests", ""))
    assert (root.get("failures"), root.get("errors")) == ("2", "2")  # a claim and its gate each
    assert int(root.get("skipped", "")) == len(CLAIMS) - 3
    suites = root.findall("testsuite")
    assert sum(int(suite.get("tests", "")) for suite in suites) == len(CLAIMS) + len(gates)


def test_a_failure_carries_its_reason_and_evidence_and_an_unknown_is_an_error() -> None:
    root = junit_of()
    failure = case(root, "C1.2").find("failure")
    assert failure is not None
    assert failure.get("message") == "it broke"
    assert "state/breaker" in (failure.text or "")
    assert case(root, "C1.3").find("error") is not None
    assert len(case(root, "C1.1")) == len(case(root, "C1.1").findall("system-out"))


def test_waived_and_allowed_claims_are_skipped_and_never_passed() -> None:
    root = junit_of(waivers=(WAIVER,), allowed_unknown=frozenset({"C1.3"}))
    skipped = case(root, "C1.2").find("skipped")
    assert skipped is not None
    assert "waived by ann until 2026-12-01" in skipped.get("message", "")
    assert case(root, "C1.3").find("skipped") is not None


def test_sabotages_and_load_budgets_are_test_cases_of_their_own() -> None:
    sabotages = [{"name": "no_jitter", "detected": False, "by": []}, {"name": "no_lock", "detected": True}]
    root = junit_of(sabotages=sabotages, loads=[{"name": "p99", "held": True, "p99_ms": 12.5}])
    cases = {c.get("name"): c for c in root.findall(".//testcase")}
    assert cases["no_jitter"].find("failure") is not None
    assert cases["no_lock"].find("failure") is None
    assert cases["p99"].findtext("system-out") == "p99_ms 12.5"


@pytest.mark.parametrize(
    ("row", "tag"),
    [
        ({"held": False, "verdict": "FAIL"}, "failure"),
        ({"held": False, "verdict": "UNKNOWN", "required": True}, "error"),
        ({"held": False, "verdict": "UNKNOWN", "required": False}, "skipped"),
    ],
)
def test_a_load_budget_that_is_not_held_is_no_passed_test(row: dict[str, object], tag: str) -> None:
    assert case(junit_of(loads=[{"name": "p99", **row}]), "load").find(tag) is not None


@given(st.text())
def test_any_reason_gives_a_document_that_parses(reason: str) -> None:
    torn = type(FAIL)("C1.2", FAIL.outcome, 1, {}, (), reason or "x", "burst")
    root = ET.fromstring(render_junit(statement([torn], facts())))
    assert case(root, "C1.2").find("failure") is not None


EXPIRED = Waiver("C1.1", "ann", "old", date(2025, 12, 31))
BROKEN: dict[str, dict[str, object]] = {
    "claims": {},
    "waivers": {"waivers": (EXPIRED,)},
    "sabotages": {"sabotages": [{"name": "no_jitter", "detected": False, "by": []}]},
    "loads": {"loads": [load_row(held=False, verdict="FAIL")]},
    "unknown": {},
}


@pytest.mark.parametrize("gate", BROKEN)
def test_a_gate_that_is_not_held_is_red_in_every_report(gate: str) -> None:
    verdicts = [FAIL] if gate == "claims" else [UNKNOWN] if gate == "unknown" else [PASS]
    made = statement(verdicts, facts(**BROKEN[gate]))
    assert [one["gate"] for one in made["predicate"]["gates"] if not one["held"]] == [gate]
    root = ET.fromstring(render_junit(made))
    found = root.find(f".//testcase[@classname='gate'][@name='{gate}']")
    assert found is not None
    assert [child.tag for child in found] == ["error" if gate == "unknown" else "failure"]
    assert int(root.get("failures", "")) + int(root.get("errors", "")) >= 1
    log = Sarif.model_validate_json(json.dumps(sarif_log(made)))
    rules = [rule.id for rule in log.runs[0].tool.driver.rules]
    red = [one for one in log.runs[0].results if one.ruleId == f"gate.{gate}"]
    assert [(one.kind.value, one.level.value, rules[one.ruleIndex]) for one in red] == [
        ("fail", "error", f"gate.{gate}")
    ]
    assert f"gate {gate}" in result_statement(made)["predicate"]["failedTests"]
    assert "**no**" in render(made)


def test_the_gates_that_are_held_are_passed_in_every_report() -> None:
    made = statement([PASS], facts())
    root = ET.fromstring(render_junit(made))
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    assert not sarif_log(made)["runs"][0]["results"]
    body = result_statement(made)["predicate"]
    assert body["failedTests"] == []
    assert {f"gate {name}" for name in BROKEN} <= set(body["passedTests"])


def sarif_of(**other: object) -> Sarif:
    log = sarif_log(statement([PASS, FAIL, UNKNOWN], facts(**other)))
    return Sarif.model_validate_json(json.dumps(log))


def test_the_log_is_sarif_2_1_0_with_a_rule_for_each_claim() -> None:
    run = sarif_of(problems=["burst: did not heal"]).runs[0]
    assert [rule.id for rule in run.tool.driver.rules][: len(CLAIMS)] == list(CLAIMS)
    assert run.invocations[0].executionSuccessful is False


def test_each_claim_that_does_not_pass_is_a_result_that_points_at_its_evidence() -> None:
    failed, open_one = sarif_of().runs[0].results[:2]
    assert (failed.ruleId, failed.kind.value, failed.level.value) == ("C1.2", "fail", "error")
    place = failed.locations[0].physicalLocation
    assert place.artifactLocation.uri == "histories/burst.jsonl"
    assert list(CLAIMS)[failed.ruleIndex] == "C1.2"
    assert (open_one.ruleId, open_one.kind.value, open_one.level.value) == ("C1.3", "open", "none")


def test_the_line_of_a_result_is_the_line_of_the_event_in_the_stored_history(
    certificate: Callable[[str], Path],
) -> None:
    directory = certificate("failing")
    result = json.loads((directory / "results.sarif").read_text())["runs"][0]["results"][0]
    place = result["locations"][0]["physicalLocation"]
    line = (directory / place["artifactLocation"]["uri"]).read_text().splitlines()[place["region"]["startLine"] - 1]
    assert json.loads(line)["value"]["case"] == "debug"


def test_a_waiver_suppresses_a_result_in_sight() -> None:
    failed = sarif_of(waivers=(WAIVER,)).runs[0].results[0]
    assert failed.suppressions[0].justification == "the vendor fixes it (ann, until 2026-12-01)"
