"""Every gate is shown able to fail: a service broken on purpose turns its budget red in a run of under a minute."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from load_driving import hardening, scaled, verdicts

from hardening.mutants.catalogue import mutants

pytestmark = [pytest.mark.live, pytest.mark.proof, pytest.mark.timeout(150)]

BURST = ("--shape", "burst", "--rate", "3", "--duration", "10s", "--no-lone-client")
CASES = [("one_slot_too_many", "rate.accepted")] + [
    (one.name, one.claim) for one in mutants().values() if (one.world, one.shown_by) == ("load", "burst")
]


@pytest.mark.parametrize(("mutant", "budget"), CASES, ids=[case[0] for case in CASES])
def test_a_burst_on_the_mutant_turns_its_budget_red(mutant: str, budget: str, tmp_path: Path) -> None:
    broken = ["--sabotage", mutant, "--out", str(tmp_path / "out"), "--json"]
    done = hardening(*BURST, *scaled(tmp_path), *broken)
    assert done.returncode == 1, done.stderr[-2000:]
    found = verdicts(done)[budget]
    assert found["verdict"] == "FAIL", found
    assert found["reason"]


def test_a_client_alone_that_is_told_too_short_a_wait_is_turned_away_again(tmp_path: Path) -> None:
    broken = ["--sabotage", "retry_after_wrong", "--out", str(tmp_path / "out"), "--json"]
    done = hardening(*BURST[:-1], *scaled(tmp_path), *broken)
    assert verdicts(done)["lone_client.admitted"]["verdict"] == "FAIL"


def test_a_slow_tail_turns_p99_red_and_leaves_the_median_green(tmp_path: Path) -> None:
    broken = ["--sabotage", "slow_now_and_then", "--out", str(tmp_path / "out"), "--json"]
    options = ["--shape", "open", "--rate", "8", "--duration", "25s", "--no-lone-client"]
    done = hardening(*options, *scaled(tmp_path, 300, p99=1000), *broken)
    assert done.returncode == 1, done.stderr[-2000:]
    lines = verdicts(done)
    assert lines["latency.signal.p99"]["verdict"] == "FAIL", lines["latency.signal.p99"]
    assert lines["latency.signal.p50"]["verdict"] == "PASS"


def test_a_leak_of_a_kilobyte_a_request_turns_the_soak_red(tmp_path: Path) -> None:
    options = ["--shape", "soak", "--rate", "100", "--duration", "45s", "--no-lone-client"]
    broken = ["--sabotage", "leak_per_request", "--out", str(tmp_path / "out"), "--json"]
    done = hardening(*options, *scaled(tmp_path, 1_000_000), *broken)
    assert done.returncode == 1, done.stderr[-2000:]
    found = verdicts(done)["memory.per_request"]
    assert found["verdict"] == "FAIL", found


def test_the_same_burst_on_the_sound_service_is_green(tmp_path: Path) -> None:
    done = hardening(*BURST, *scaled(tmp_path), "--out", str(tmp_path / "out"), "--json")
    red = [one for one in json.loads(done.stdout)["budgets"] if one["verdict"] == "FAIL"]
    assert not red
    assert done.returncode == 0
