"""``hardening load`` refuses what cannot be before anything starts, and never does to others what was not asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hardening.commands import load as load_command
from hardening.commands.cli import hardening
from hardening.runs.load import LoadOptions, locustfile

HOST = ["--host", "http://127.0.0.1:9", "--api-key-env", "LOAD_TEST_KEY"]


def refused(*arguments: str, key: str = "sk_something-long") -> str:
    done = CliRunner().invoke(hardening, ["load", *arguments], env={"LOAD_TEST_KEY": key})
    assert done.exit_code == 2, done.output
    return " ".join(done.output.splitlines()[-1:])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--shape is missing, allowed: steady, burst"),
        (["--shape", "square"], "'steady', 'burst'"),
        (["--shape", "steady", "--duration", "soon"], "'soon' is no duration"),
        (["--shape", "steady", "--duration", "0s"], "--duration is 0 s, allowed: 1 s or more"),
        (["--shape", "steady", "--rate", "-1"], "-1"),
        (["--shape", "steady", "--schedule", "none.json"], "schedule file is 'none.json'"),
        (["--shape", "steady", "--settings", "none.json"], "--settings is 'none.json', allowed: a JSON file"),
        (["--shape", "steady", "--sabotage", "none.py:x"], "allowed: a file that exists"),
        (["--shape", "steady", "--budgets", "none.toml"], "budgets.file is 'none.toml', allowed: a readable file"),
        (["--shape", "steady", "--master"], "--master is given, allowed: only with --host"),
        (["--shape", "steady", "--rate", "nan"], "--rate is nan, allowed: a number from 0.01"),
        (
            ["--shape", "steady", "--api-key-env", "LOAD_TEST_KEY"],
            "--api-key-env is 'LOAD_TEST_KEY', allowed: only",
        ),
        (["--shape", "steady", "--operator-key-env", "X"], "--operator-key-env is 'X', allowed: only with --host"),
        (["--worker"], "--host is missing"),
        (["--shape", "steady", "--host", "staging"], "--host is 'staging', allowed: http://HOST"),
        (["--shape", "steady", "--host", "http://a:b@c"], "allowed: http://HOST"),
        (["--shape", "steady", "--host", "http://a"], "--api-key-env is missing"),
        (["--shape", "steady", "--host", "http://a", "--api-key-env", "NO_SUCH_ONE"], "--api-key-env is 'NO_SUCH_ONE'"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    assert said in refused(*arguments)


@pytest.mark.parametrize("what", ["--schedule", "--settings", "--sabotage"])
def test_no_fault_and_no_setting_ever_reaches_somebody_elses_service(what: str) -> None:
    assert "only without --host" in refused("--shape", "steady", *HOST, what, "f.json")


def test_rate_and_duration_against_a_host_are_capped() -> None:
    assert "the peak is 200 requests/s, allowed: 60" in refused("--shape", "burst", "--rate", "20", *HOST)
    assert "--duration is 3600 s, allowed: 600 s" in refused("--shape", "steady", "--duration", "1h", *HOST)


def test_one_flag_lifts_both_caps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[LoadOptions] = []

    def noted(options: LoadOptions, *, as_json: bool) -> str:
        planned.append(options)
        return "not really"

    monkeypatch.setattr(load_command, "_run", noted)
    far = ["--shape", "burst", "--rate", "20", "--duration", "1h", "--out", str(tmp_path), "--lift-caps", *HOST]
    done = CliRunner().invoke(hardening, ["load", *far], env={"LOAD_TEST_KEY": "sk_something-long"})
    assert done.exit_code == 4
    (options,) = planned
    assert (options.plan["rate_per_s"], options.plan["duration_s"]) == (20, 3600)
    assert not options.schedule.faults
    assert options.code is None


def test_a_directory_without_a_run_cannot_be_judged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(hardening, ["load", "judge", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds no load run: there is no plan.json" in capfd.readouterr().err


def test_settings_that_the_service_would_refuse_are_refused_before_anything_is_booted_or_lost(tmp_path: Path) -> None:
    settings, out = tmp_path / "settings.json", tmp_path / "results"
    out.mkdir()
    (out / "world.jsonl").write_text("of the run before", encoding="utf-8")
    settings.write_text('{"budgets": {"in_flight": -5}, "nope": 1}', encoding="utf-8")
    said = refused("--shape", "steady", "--settings", str(settings), "--out", str(out))
    assert "--settings: budgets.in_flight: " in said
    assert "nope: there is no such setting" in said
    assert (out / "world.jsonl").read_text(encoding="utf-8") == "of the run before"


def test_the_locustfile_is_named_for_plain_locust_wherever_it_is_installed() -> None:
    done = CliRunner().invoke(hardening, ["load", "--print-locustfile"])
    assert done.exit_code == 0
    assert Path(done.output.strip()) == locustfile()
    assert "LoadTestShape" in locustfile().read_text(encoding="utf-8")


def test_settings_of_lists_in_lists_are_refused_in_one_line(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text("[" * 100_000, encoding="utf-8")
    assert "allowed: a JSON file" in refused("--shape", "steady", "--settings", str(settings))
