"""A load run becomes evidence of a certificate: its budgets count, its claims are judged again from what was stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from load_driving import certify
from load_records import Record, write_raw, write_world

from hardening.certificate.conclude import Ran, Terms, clear, conclude
from hardening.certificate.provenance import Provenance, provenance, release
from hardening.certificate.verify import Demands, verify
from hardening.certify.load_evidence import LoadEvidenceError, adopt_load, read_load
from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome
from hardening.commands.certify import certify_command
from hardening.history.events import read
from hardening.load import budgets
from hardening.load.judge import judge_directory
from hardening.load.report import write_reports

CODE = Provenance("sha256:0011", "unknown")


def judged(directory: Path, admissions: int = 200, **extra: object) -> Path:
    """A judged run of the service whose code has that digest."""
    write_world(directory, admissions, **{"code_digest": CODE.code_digest, **extra})
    write_reports(judge_directory(directory, budgets.load()), directory)
    return directory


def certified(directory: Path, out: Path, code: Provenance = CODE) -> dict[str, object]:
    """The certificate, about C2.2 alone, that takes a run as evidence; exit code and rows of it."""
    clear(out)
    evidence = adopt_load(directory, out / "histories", code)
    ran = Ran(code=code, started_at=datetime.now(UTC).isoformat(timespec="seconds"), versions={}, loads=evidence.rows)
    return dict(conclude(out, ran, Terms(claims=("C2.2",))).certificate["predicate"])


def test_budgets_become_rows_and_the_history_is_copied_byte_for_byte_but_claims_are_not_taken_on_trust(
    tmp_path: Path,
) -> None:
    run, histories = judged(tmp_path / "run"), tmp_path / "histories"
    histories.mkdir()
    evidence = adopt_load(run, histories, CODE)
    assert (histories / f"{evidence.history}.jsonl").read_bytes() == (run / "load.jsonl").read_bytes()
    rows = {row["name"]: row for row in evidence.rows}
    assert rows["steady.rate.accepted"]["held"] is True
    assert rows["steady.rate.accepted"]["figure"] == 200
    assert rows["steady.in_flight.at_rest"]["required"] is True
    assert rows["steady.recovery.spike"]["required"] is False
    assert not [name for name in rows if "claim" in name]


def test_a_budget_that_was_missed_turns_the_certificate_red_and_verify_judges_its_claims_anew(tmp_path: Path) -> None:
    """The 301st within a minute: a missed budget, and C2.2 fails, then and whenever it is verified."""
    out = tmp_path / "out"
    stated = certified(judged(tmp_path / "run", 301), out)
    assert (stated["result"], stated["exit_code"]) == ("FAILED", 1)
    broken = {gate["gate"] for gate in stated["gates"] if not gate["held"]}
    assert {"loads", "claims"} <= broken
    report = verify(out, Demands(now=datetime.now(UTC), code_digest=CODE.code_digest, release=stated["release"]))
    assert report.intact, report
    assert report.certified_exit == 1
    assert "judged again: 1 FAIL" in json.dumps(report.to_json())


def test_a_missed_budget_alone_is_enough(tmp_path: Path) -> None:
    """The claims hold; the memory, a budget and no claim here, does not."""
    run = tmp_path / "run"
    write_world(run, 200, code_digest=CODE.code_digest)
    world = run / "world.jsonl"
    heavy = Record()
    heavy.sample(10.0, rss_mb=600.0)
    world.write_text(world.read_text() + heavy.history().dump().splitlines()[1] + "\n", encoding="utf-8")
    generous = tmp_path / "generous.toml"
    generous.write_text("[latency.signal]\np50_ms_max = 200.0\n", encoding="utf-8")
    write_reports(judge_directory(run, budgets.load(generous)), run)
    stated = certified(run, tmp_path / "out")
    assert stated["exit_code"] == 1
    assert [row["name"] for row in stated["load"] if row["verdict"] == "FAIL"] == ["steady.memory.rss"]
    assert stated["standing"]["failed"] == []


def test_a_history_that_was_altered_afterwards_is_refused(tmp_path: Path) -> None:
    run = judged(tmp_path / "run", 301)
    lines = (run / "load.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    admitted = max(number for number, line in enumerate(lines) if '"admitted"' in line)
    (run / "load.jsonl").write_text("".join(lines[:admitted] + lines[admitted + 1 :]), encoding="utf-8")
    with pytest.raises(LoadEvidenceError, match=r"is not the history that load.json was judged from"):
        read_load(run, CODE)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"code_digest": "sha256:ffff"}, "about other code"),
        ({"sabotage": "mine.py:broken"}, "broken on purpose"),
    ],
)
def test_a_run_of_other_code_or_of_a_service_broken_on_purpose_is_no_evidence(
    tmp_path: Path, extra: dict[str, object], said: str
) -> None:
    run = judged(tmp_path / "run", **extra)
    with pytest.raises(LoadEvidenceError, match=said):
        read_load(run, CODE)
    if "sabotage" in extra:  # unless that very sabotage is what the certificate is about
        assert read_load(run, CODE, str(extra["sabotage"]))


def test_a_run_against_a_service_elsewhere_is_no_evidence_about_this_code(tmp_path: Path) -> None:
    run = write_raw(tmp_path / "run", ("requests-0.jsonl", {}, []))
    (run / "requests-0.jsonl").write_text('{"type":"clock","boot_id":"here","mono_s":1.0,"wall_s":1.0}\n')
    write_reports(judge_directory(run, budgets.load()), run)
    with pytest.raises(LoadEvidenceError, match="nobody knows what code"):
        read_load(run, CODE)


def test_a_run_that_was_ended_early_is_no_evidence(tmp_path: Path) -> None:
    run = write_world(tmp_path / "run", 20, code_digest=CODE.code_digest)
    clock = '{"type":"clock","boot_id":"here","mono_s":100.0,"wall_s":1000.0}\n'
    (run / "observed.jsonl").write_text(clock + '{"type":"stopped","t_s":112.0,"why":"asked"}\n', encoding="utf-8")
    judgement = judge_directory(run, budgets.load())
    write_reports(judgement, run)
    assert "Ended early: after 12 s" in (run / "load.html").read_text(encoding="utf-8")
    with pytest.raises(LoadEvidenceError, match="ended early"):
        read_load(run, CODE)


def test_certify_refuses_what_cannot_be_before_it_starts(tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        done = CliRunner().invoke(certify_command, ["--out", str(tmp_path / "out"), *arguments])
        assert done.exit_code == 2, done.output
        return " ".join(done.output.split())

    missing = tmp_path / "none"
    assert f"--load-dir: {missing / 'load.json'} cannot be read" in said("--load-dir", str(missing))
    assert "--load-dir is 'x', allowed: only without --load" in said("--load", "steady", "--load-dir", "x")
    assert "--load is 'steady', allowed: only with --world both" in said("--load", "steady", "--world", "simulated")
    assert "--load-duration is 5 s, allowed: only with --load" in said("--load-duration", "5s")
    assert "'steady', 'burst'" in said("--load", "square")
    other = judged(tmp_path / "run")
    assert "is about other code (sha256:0011)" in said("--load-dir", str(other))
    assert not (tmp_path / "out").exists()


def test_certify_takes_a_run_that_missed_a_budget_and_is_red(tmp_path: Path) -> None:
    code, out = provenance(), tmp_path / "out"
    run = judged(tmp_path / "run", 301, code_digest=code.code_digest)
    few = ["--claims", "C2.2", "--world", "simulated", "--only", "slow-loads", "--budget-s", "1"]
    done = certify("--out", str(out), *few, "--load-dir", str(run))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "C2.2  FAIL" in done.stdout
    report = verify(out, Demands(now=datetime.now(UTC), code_digest=code.code_digest, release=release()))
    assert (report.intact, report.certified_exit) == (True, 1)


@pytest.mark.live
def test_certify_makes_a_run_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    few = ["--claims", "C2.2", "--only", "deployment"]
    done = certify("--out", str(out), *few, "--load", "steady", "--load-duration", "5s", "--json")
    stated = json.loads(done.stdout)["predicate"]
    assert not stated["problems"]
    rows = {row["name"]: row for row in stated["load"]}
    assert rows["steady.in_flight.at_rest"]["held"] is True
    assert rows["steady.errors.share"]["held"] is True
    histories = {one["scenario"]: one for one in stated["histories"]}
    assert histories["load-steady"]["world"] == "live"
    history = read(out / "histories" / "load-steady.jsonl")
    assert len(history.states("admitted")) > 10
    assert judge_all({"load": history}, ["C2.2"])[0].outcome is not Outcome.FAIL


def test_a_report_of_lists_in_lists_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "load.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(LoadEvidenceError, match="holds no intact load run"):
        read_load(tmp_path, CODE)
