"""What changed since an older certificate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from certificate_facts import FAIL, PASS, UNKNOWN, facts

from hardening.certificate.baseline import Baseline, BaselineError, changes
from hardening.certificate.reports.every_report import as_text
from hardening.certificate.statement import statement
from hardening.claims.verdict import Outcome, Verdict

FIXED = Verdict("C1.2", Outcome.PASS, 4)


def stored(tmp_path: Path, made: dict[str, object]) -> Baseline:
    path = tmp_path / "old.json"
    path.write_text(as_text(made))
    return Baseline.load(path)


def test_each_change_is_a_line_and_what_stayed_is_none(tmp_path: Path) -> None:
    fault = {"kind": "redis_killed", "injected": 1, "bit": 1, "bite": {}, "histories": []}
    old = stored(tmp_path, statement([PASS, FAIL, UNKNOWN], facts(faults=[fault])))
    rows = [{"name": "no_jitter", "detected": True}]
    new = statement([PASS, FIXED], facts(sabotages=rows, faults=[{**fault, "bit": 0}]))
    assert changes(old, new)["changes"] == [
        "result: FAILED -> WARNED",
        "C1.2 Legal transitions, one probe: FAIL -> PASS",
        "fault redis_killed: effective -> without effect",
        "sabotage no_jitter: not there -> detected",
        "C1.3 Neutral calls: UNKNOWN -> not there",
    ]


def test_nothing_changed_gives_no_line(tmp_path: Path) -> None:
    made = statement([PASS, FAIL], facts())
    assert changes(stored(tmp_path, made), made)["changes"] == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"predicateType": "urn:signal-hardening:certificate:v1", "predicate": {}}']
)
def test_what_is_no_certificate_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(BaselineError, match=r"--baseline is '.*', allowed: a certificate\.json of an earlier run"):
        Baseline.load(tmp_path / "old.json")
    with pytest.raises(BaselineError, match="No such file"):
        Baseline.load(tmp_path / "missing.json")


def test_a_stored_certificate_can_be_a_baseline(certificate: Callable[[str], Path]) -> None:
    path = certificate("failing") / "certificate.json"
    assert changes(Baseline.load(path), json.loads(path.read_text()))["changes"] == []
