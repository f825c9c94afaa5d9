"""``hardening chaos`` before anything is touched: bad input is one line, a plan is a plan."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hardening.commands.chaos import chaos_command
from hardening.faults.run_directory import default_root
from hardening.sessions.chaos.ingredients import PROFILES

NOBODY = "http://127.0.0.1:9"


def invoke(*words: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(chaos_command, list(words))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "bad-luck"], "'bad-luck' is not one of"),
        (["--duration", "1s"], "--duration is 1 s, allowed: 8s or more"),
        (["--duration", "soon"], "'soon' is no duration"),
        (["--schedule", "missing.json"], "schedule file is 'missing.json', allowed: a readable file"),
        (["--toxiproxy", NOBODY], "--toxiproxy is 'http://127.0.0.1:9', allowed: only with --target URL"),
        (["--redis", "redis://x"], "allowed: only with --target URL"),
        (["--ask", "/x"], "allowed: only with --target URL"),
        (["--target", NOBODY], "--toxiproxy is missing"),
        (["--target", "ftp://x", "--toxiproxy", NOBODY], "--target is 'ftp://x', allowed: http://HOST:PORT"),
        (["--target", "http://x/deep", "--toxiproxy", NOBODY], "without a path"),
        (["--target", NOBODY, "--toxiproxy", "x"], "--toxiproxy is 'x', allowed: http://HOST:PORT"),
        (["--target", NOBODY, "--toxiproxy", NOBODY], "allowed: one that answers"),
        (["--target", NOBODY, "--toxiproxy", NOBODY, "--link", "mars=x"], "--link is 'mars=x', allowed: redis=PROXY"),
        (["--target", NOBODY, "--toxiproxy", NOBODY, "--api-key-env", "NO_SUCH"], "allowed: the name of a variable"),
        (["--target", NOBODY, "--toxiproxy", NOBODY, "--ask", "x"], "--ask is 'x', allowed: a path"),
        (["--target", NOBODY, "--toxiproxy", NOBODY, "--sabotage", "a.py:b"], "allowed: only without --target"),
        (["--sabotage", "nowhere"], "--sabotage is 'nowhere', allowed: a mutant or FILE.py:NAME"),
        (["--rate", "0"], "--rate"),
        (["--abort-errors", "2"], "--abort-errors"),
    ],
)
def test_bad_input_is_one_line_and_exits_2(words: list[str], said: str, tmp_path: Path) -> None:
    done = invoke(*words, "--out", str(tmp_path / "s"))
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert not (tmp_path / "s").exists()


def written(folder: Path, *faults: tuple[float, float, dict[str, object]]) -> str:
    path = folder / "mine.json"
    path.write_text(json.dumps([{"at_s": at_s, "for_s": for_s, "fault": fault} for at_s, for_s, fault in faults]))
    return str(path)


def test_a_schedule_longer_than_the_session_is_refused(tmp_path: Path) -> None:
    done = invoke("--schedule", written(tmp_path, (1, 30, {"kind": "redis_killed"})), "--duration", "20s")
    assert done.exit_code == 2
    assert "--duration is 20 s, allowed: 31 s (the last heal) or more" in done.output


def test_a_schedule_and_a_profile_exclude_each_other(tmp_path: Path) -> None:
    done = invoke("--schedule", written(tmp_path, (1, 2, {"kind": "redis_killed"})), "--profile", "clock")
    assert done.exit_code == 2
    assert "exclude each other" in done.output


def test_a_fault_that_the_world_cannot_do_exits_3_before_anything_is_touched(tmp_path: Path) -> None:
    done = invoke("--schedule", written(tmp_path, (1, 2, {"kind": "network_partition"})), "--out", str(tmp_path / "s"))
    assert done.exit_code == 3
    assert "schedule[0].fault.kind is 'network_partition', but it needs a world with a hosts" in done.output
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_dry_run_prints_the_plan_and_touches_nothing(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    words = ["--dry-run", "--profile", profile, "--seed", "4", "--duration", "60s", "--out", str(tmp_path / "s")]
    plan, again = invoke(*words, "--json"), invoke(*words, "--json")
    assert plan.exit_code == 0
    assert plan.output == again.output
    told = json.loads(plan.output)
    assert told["duration_s"] == 60
    lines = invoke(*words).output.splitlines()
    assert len(lines) == 4 + len(told["schedule"])
    for entry in told["schedule"]:
        assert any(entry["fault"]["kind"] in line and f"{entry['at_s']:.1f}" in line for line in lines)
    assert not (tmp_path / "s").exists()
    assert not default_root().exists()


def test_a_schedule_of_ones_own_is_the_plan(tmp_path: Path) -> None:
    file = written(tmp_path, (3, 2, {"kind": "redis_killed"}), (1, 1, {"kind": "net_down", "target": "user"}))
    told = json.loads(invoke("--dry-run", "--schedule", file, "--json").output)
    assert [entry["fault"]["kind"] for entry in told["schedule"]] == ["net_down", "redis_killed"]
    assert told["name"] == "mine"
    assert told["duration_s"] == 8
