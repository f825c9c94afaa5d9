"""The ``hardening`` command line: bad input is one clear line and exit code 2; help shows an example."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.commands.cli import hardening


def run(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "hardening.commands.cli", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["certify"], "--out"),
        (["certify", "--out", "x", "--seed", "-1"], "--seed"),
        (["certify", "--out", "x", "--claims", "C9"], "--claims is 'C9', allowed: C1"),
        (["certify", "--out", "x", "--only", "nothing"], "--only is 'nothing', allowed: alert-outage"),
        (
            ["certify", "--out", "x", "--sabotage", "nowhere"],
            "--sabotage is 'nowhere', allowed: a mutant or FILE.py:NAME",
        ),
        (["certify", "--out", "x", "--allow-unknown", "missing.txt"], "--allow-unknown is 'missing.txt'"),
        (["certify", "--out", "x", "--candles", "missing.csv"], "--candles is 'missing.csv'"),
        (["serve", "--port", "99999"], "--port"),
        (["serve", "--env-file", "nowhere/x.env"], "--env-file is 'nowhere/x.env', allowed: a file in a directory"),
        (["nonsense"], "nonsense"),
    ],
)
def test_bad_input_is_named_and_exits_2(words: list[str], said: str, tmp_path: Path) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_that_is_a_file_is_refused_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "precious"
    out.write_text("kept")
    done = run("certify", "--out", str(out))
    assert done.returncode == 2
    assert "allowed: a directory" in done.stderr
    assert out.read_text() == "kept"


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_started() -> None:
    done = run("certify", "--out", "/proc/certificate")
    assert done.returncode == 2
    assert "--out is '/proc/certificate', allowed: a directory that can be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_in_which_another_certify_is_at_work_is_refused(tmp_path: Path) -> None:
    lock = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("certify", "--out", str(tmp_path))
    finally:
        os.close(lock)
    assert done.returncode == 2
    assert "where another certify is at work" in done.stderr


@pytest.mark.parametrize("name", sorted(hardening.commands))
def test_the_help_of_each_command_ends_with_an_example(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert "xample" in done.stdout
    assert f"hardening {name}" in done.stdout


def test_the_thin_front_hands_everything_on() -> None:
    script = Path(__file__).parents[2] / "scripts" / "validate_production_hardening.py"
    done = subprocess.run(
        [sys.executable, str(script), "--claims", "C9"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "--claims is 'C9'" in done.stderr
