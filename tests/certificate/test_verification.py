"""Verifying: an intact certificate holds; whatever is altered, added, removed or edited is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardening.certificate.conclude import WRITTEN, seal
from hardening.certificate.manifest import files_below
from hardening.certificate.provenance import Provenance, provenance
from hardening.certificate.reports.every_report import as_text, every_report
from hardening.certificate.sample_certificates import forge
from hardening.certificate.signing import IN_TOTO, load_private_key, load_public_key, sign
from hardening.certificate.verify import UNSIGNED, Demands, Evidence, Report, verify

FILES = [*sorted(WRITTEN - {"histories", "sessions", "certificate.html"}), "histories/deployment.jsonl"]
Certificate = Callable[[str], Path]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HERE = Demands(NOW, "0.1.0", provenance().code_digest)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def demands(keys: Path | None = None, name: str = "one", **other: Any) -> Demands:
    key = load_public_key(keys / f"{name}.pem.pub", "--key") if keys else None
    return replace(HERE, key=key, **other)


def rewritten(directory: Path, change: Callable[[dict[str, Any]], object], key: Path | None = None) -> Path:
    """Edit the certificate as somebody would who makes every report and every digest anew."""
    file = directory / "certificate.json"
    certificate = json.loads(file.read_text())
    change(certificate)
    file.write_text(as_text(certificate))
    for name, text in every_report(certificate, Evidence.load(directory).histories).items():
        (directory / name).write_text(text)
    private = load_private_key(key, "--sign-key") if key else None
    if private:
        (directory / "certificate.dsse.json").write_text(sign(IN_TOTO, file.read_bytes(), private))
    seal(directory, private)
    return directory


def broken(report: Report, check: str, said: str) -> None:
    assert not report.intact
    assert report.first == check, report.broken
    assert said in report.broken


def test_an_intact_certificate_holds_and_says_its_result(certificate: Certificate) -> None:
    report = verify(certificate("passed"), demands(require_passed=True, about=HERE.code_digest))
    assert report.intact, (report.first, report.broken)
    assert (report.result, report.certified_exit) == ("PASSED", 0)


@pytest.mark.parametrize(("kind", "code"), [("passing", 0), ("failing", 1), ("unknown", 3)])
def test_a_certificate_of_a_failure_is_intact_as_well(certificate: Certificate, kind: str, code: int) -> None:
    report = verify(certificate(kind), HERE)
    assert report.intact
    assert report.certified_exit == code


def test_without_a_signature_authorship_is_said_to_be_unproven(certificate: Certificate, keys: Path) -> None:
    directory = certificate("passing")
    assert UNSIGNED in verify(directory, HERE).notes
    broken(verify(directory, demands(keys)), "signature", UNSIGNED)


def test_a_signature_holds_for_its_key_and_no_other(certificate: Certificate, keys: Path) -> None:
    directory = certificate("signed")
    assert verify(directory, demands(keys)).intact
    broken(verify(directory, demands(keys, "other")), "signature", "not by the given key")


def test_a_signature_that_was_not_checked_is_said_to_be_unchecked(certificate: Certificate) -> None:
    assert any("was not checked" in note for note in verify(certificate("signed"), HERE).notes)


@SHARED
@given(data=st.data())
def test_whatever_byte_of_whatever_file_is_changed_it_does_not_verify(
    certificate_of_one: Path, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(files_below(certificate_of_one)))
    path = certificate_of_one / name
    sound = path.read_bytes()
    offset = data.draw(st.integers(0, len(sound) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda byte: byte != sound[offset]))
    path.write_bytes(sound[:offset] + bytes([value]) + sound[offset + 1 :])
    try:
        report = verify(certificate_of_one, HERE)
    finally:
        path.write_bytes(sound)
    assert not report.intact
    assert name in report.broken or name in {"manifest.json", "manifest.dsse.json", "digest.txt"}


@pytest.fixture
def certificate_of_one(certificate: Certificate) -> Path:
    return certificate("signed")


@pytest.mark.parametrize("name", FILES)
def test_a_removed_file_is_named(certificate: Certificate, name: str) -> None:
    directory = certificate("signed")
    (directory / name).unlink()
    report = verify(directory, HERE)
    assert not report.intact
    assert name in report.broken or name == "manifest.dsse.json"


@pytest.mark.parametrize("name", ["approved.txt", "histories/more.jsonl", "sessions/more.json", ".hidden"])
def test_an_added_file_is_named(certificate: Certificate, name: str) -> None:
    directory = certificate("signed")
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_text("x")
    broken(verify(directory, HERE), "files", f"{name} was added")


def test_a_link_to_the_very_bytes_is_no_file(certificate: Certificate, tmp_path: Path) -> None:
    directory = certificate("passing")
    (directory / "junit.xml").rename(tmp_path / "elsewhere.xml")
    (directory / "junit.xml").symlink_to(tmp_path / "elsewhere.xml")
    broken(verify(directory, HERE), "sizes", "junit.xml is not a plain file")


def claim_of(certificate: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = certificate["predicate"]["claims"][0]
    return found


EDITS: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "a verdict": ("failing", lambda c: claim_of(c).update(verdict="PASS"), "claims[C7.2].verdict states 'PASS'"),
    "a premise count": ("passing", lambda c: claim_of(c).update(premise_count=900), "premise_count states 900"),
    "a reason": ("failing", lambda c: claim_of(c).update(reason="nothing much"), "claims[C7.2].reason"),
    "evidence": ("failing", lambda c: claim_of(c).update(evidence=[]), "claims[C7.2].evidence states 0 entries"),
    "a figure": ("passing", lambda c: claim_of(c)["figures"].update(runs=10), "claims[C7.2].figures.runs"),
    "the result": ("failing", lambda c: c["predicate"].update(result="PASSED"), "result states 'PASSED'"),
    "the exit code": ("unknown", lambda c: c["predicate"].update(exit_code=0), "exit_code states 0"),
    "the counts": ("failing", lambda c: c["predicate"]["counts"].update(FAIL=0), "counts.FAIL states 0"),
    "a gate": ("failing", lambda c: c["predicate"]["gates"][0].update(held=True), "gates[0].held states True"),
    "the subset": ("passing", lambda c: c["predicate"].update(subset=False), "subset states False"),
    "the warnings": ("passing", lambda c: c["predicate"].update(warnings=[]), "warnings"),
    "the claim itself": ("failing", lambda c: c["predicate"]["claims"].clear(), "claims states 0 entries"),
    "the expiry": ("expired", lambda c: c["predicate"].update(expires_at="2036-01-01T00:00:00+00:00"), "expires_at"),
    "a promise": ("passing", lambda c: claim_of(c).update(promise="All is well."), "promise states 'All is well.'"),
    "the settings": ("passing", lambda c: c["predicate"]["settings"].update(figures={}), "settings.figures"),
    "a digest": ("passing", lambda c: c["predicate"].update(configuration_digest="sha256:0"), "configuration_digest"),
    "the faults": ("passing", lambda c: c["predicate"]["faults"].append({"kind": "x"}), "faults states 1 entries"),
    "the world": ("passing", lambda c: c["predicate"]["histories"][0].update(world="moon"), "histories"),
    "a subject": ("passing", lambda c: c["subject"][0].update(name="other"), "subject[0].name states 'other'"),
    "more fields": ("passing", lambda c: c["predicate"].update(approved=True), "approved is stated, and nothing"),
    "fewer fields": ("passing", lambda c: c["predicate"].pop("not_run"), "not_run"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_with_every_digest_made_anew_is_found_by_judging_again(certificate: Certificate, name: str) -> None:
    kind, change, said = EDITS[name]
    directory = certificate(kind)
    try:
        rewritten(directory, change)
    except (KeyError, TypeError):  # what the reports cannot even be made from
        seal(directory, None)
    report = verify(directory, HERE)
    assert not report.intact
    assert report.first in {"verdicts", "form"}
    assert said in report.broken


def test_a_verdict_that_other_code_judges_differently_is_said_to_come_from_other_code(certificate: Certificate) -> None:
    directory = rewritten(certificate("failing"), lambda c: claim_of(c).update(verdict="PASS"))
    said = "(other code made it than judges here)"
    assert said not in verify(directory, HERE).broken
    broken(verify(directory, replace(HERE, code_digest="sha256:other")), "verdicts", said)


def test_a_failing_history_dressed_up_as_a_passing_one_is_found(tmp_path: Path) -> None:
    forge(tmp_path / "x", Provenance(HERE.code_digest, "a" * 40), NOW)
    broken(verify(tmp_path / "x", HERE), "verdicts", "claims[C7.2].verdict states 'PASS', recomputed it is 'FAIL'")


def test_an_edit_signed_by_another_key_is_found_by_the_key_alone(certificate: Certificate, keys: Path) -> None:
    directory = certificate("passing")
    edited = rewritten(directory, lambda c: c["predicate"].update(seed=7), keys / "other.pem")
    assert verify(edited, HERE).intact
    broken(verify(edited, demands(keys)), "signature", "not by the given key")


def test_a_seal_of_another_key_around_a_signed_certificate_is_found(certificate: Certificate, keys: Path) -> None:
    directory = certificate("signed")
    (directory / "certificate.md").write_text("other words")
    seal(directory, load_private_key(keys / "other.pem", "--sign-key"))
    broken(verify(directory, demands(keys)), "signature", "manifest.dsse.json: it was signed by")


def test_a_manifest_that_lost_its_signature_is_found(certificate: Certificate, keys: Path) -> None:
    directory = certificate("signed")
    (directory / "manifest.dsse.json").unlink()
    seal(directory, None)
    broken(verify(directory, HERE), "files", "do not agree on whether there is a signature")


def test_a_field_written_twice_is_found(certificate: Certificate) -> None:
    directory = certificate("passing")
    file = directory / "certificate.json"
    file.write_text(file.read_text().replace('"result":', '"result": "PASSED",\n    "result":', 1))
    seal(directory, None)
    broken(verify(directory, HERE), "form", "a field twice")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"_type": 1}', "\x00"])
def test_what_is_no_certificate_is_said_to_be_none(certificate: Certificate, text: str) -> None:
    directory = certificate("passing")
    (directory / "certificate.json").write_text(text)
    seal(directory, None)
    assert verify(directory, HERE).first == "form"


@pytest.mark.parametrize("name", ["certificate.md", "junit.xml", "results.sarif", "test-result.json"])
def test_a_report_that_says_something_else_is_found(certificate: Certificate, name: str) -> None:
    directory = certificate("failing")
    (directory / name).write_text((directory / name).read_text().replace("fail", "pass"))
    seal(directory, None)
    broken(verify(directory, HERE), "reports", f"{name} is not what follows")


def test_a_report_of_other_code_is_a_note(certificate: Certificate) -> None:
    directory = certificate("passing")
    (directory / "certificate.md").write_text("other words")
    seal(directory, None)
    report = verify(directory, replace(HERE, code_digest="sha256:other"))
    assert report.intact
    assert any("certificate.md" in note for note in report.notes)
    broken(verify(directory, replace(HERE, code_digest="sha256:other", about="sha256:other")), "code", "other code")


def test_a_history_that_is_no_history_is_named(certificate: Certificate) -> None:
    directory = certificate("passing")
    (directory / "histories" / "deployment.jsonl").write_text("{}\n")
    seal(directory, None)
    broken(verify(directory, HERE), "histories", "line 1")


ODD: dict[str, Callable[[dict[str, Any]], object]] = {
    "what changed is a number": lambda c: c["predicate"].update(since=3),
    "a story of other fields": lambda c: c["predicate"].update(stories=[{"claim": "C7.2"}]),
    "a time without a zone": lambda c: c["predicate"].update(finished_at="2026-11-25T12:00:00"),
    "a claim that nobody knows": lambda c: claim_of(c).update(id="C9.9"),
    "no environment": lambda c: c["predicate"].update(environment=None),
    "a waiver without an owner": lambda c: c["predicate"].update(waivers=[{"claim": "C7.2", "state": "used"}]),
}


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_read_does_not_hold(certificate: Certificate, name: str) -> None:
    directory = certificate("passing")
    file = directory / "certificate.json"
    made = json.loads(file.read_text())
    ODD[name](made)
    file.write_text(as_text(made))
    seal(directory, None)
    report = verify(directory, HERE)
    assert not report.intact
    assert report.broken


def test_a_certificate_of_another_digest_than_the_one_that_was_noted_is_found(certificate: Certificate) -> None:
    directory = certificate("passing")
    noted = (directory / "digest.txt").read_text().strip()
    assert verify(directory, demands(digest=noted)).intact
    rewritten(directory, lambda c: c["predicate"].update(seed=7))
    broken(verify(directory, demands(digest=noted)), "digest", f"not {noted}")


def test_an_expired_certificate_does_not_hold(certificate: Certificate) -> None:
    directory = certificate("passing")
    last = NOW + timedelta(days=30)
    assert verify(directory, replace(HERE, now=last - timedelta(seconds=1))).intact
    broken(verify(directory, replace(HERE, now=last)), "expiry", "it expired at")


def test_a_certificate_from_the_future_does_not_hold(certificate: Certificate) -> None:
    broken(verify(certificate("passing"), replace(HERE, now=NOW - timedelta(hours=1))), "expiry", "yet to come")


def test_the_next_release_ends_a_certificate(certificate: Certificate) -> None:
    broken(verify(certificate("passing"), replace(HERE, release="0.2.0")), "expiry", "this is release 0.2.0")


def test_only_passed_will_do_where_that_is_demanded(certificate: Certificate) -> None:
    broken(verify(certificate("passing"), demands(require_passed=True)), "result", "WARNED")


def test_what_is_said_for_machines_names_the_first_thing_that_does_not_hold(certificate: Certificate) -> None:
    directory = certificate("passing")
    (directory / "junit.xml").unlink()
    told = verify(directory, HERE).to_json()
    assert told["intact"] is False
    assert told["first"].startswith("files: junit.xml is missing")
    assert [check["held"] for check in told["checks"]] == [True, True, False]
