"""Adopted sessions are replayed before anything else of a certification, and turn it red when they fail again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hardening.sessions.session import Session, stored_history

BELIEVED = '''
"""The bug that the adopted session once found: what comes from the store is believed, whatever its digest says."""

from signal_service.store import outbox_worker


def believed() -> None:
    outbox_worker.opened = lambda fields: fields.get(b"alert", b"").decode(errors="replace")
'''


def certify(out: Path, *words: str) -> tuple[int, str]:
    argv = [sys.executable, "-m", "hardening.commands.cli", "certify", "--out", str(out), "--world", "simulated"]
    done = subprocess.run([*argv, "--budget-s", "1", *words], capture_output=True, text=True, timeout=240, check=False)
    return done.returncode, done.stdout + done.stderr


def predicate(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "certificate.json").read_text())["predicate"])


def test_what_once_failed_is_part_of_the_evidence(tmp_path: Path) -> None:
    out = tmp_path / "certificate"
    code, said = certify(out, "--claims", "C6.2")
    assert code == 0, said
    assert (out / "histories" / "sim-regression-flipped-alert.jsonl").exists()
    assert predicate(out)["counts"]["FAIL"] == 0


def test_what_fails_again_is_told_with_a_session_that_replays_it(tmp_path: Path) -> None:
    sabotage = tmp_path / "believed.py"
    sabotage.write_text(BELIEVED)
    out = tmp_path / "certificate"
    code, said = certify(out, "--claims", "C6.2", "--sabotage", f"{sabotage}:believed")
    assert code == 1, said
    (story,) = [one for one in predicate(out)["stories"] if one["scenario"] == "regression-flipped-alert"]
    path = out / story["replay"].removeprefix("hardening replay ")
    session = Session.load(path)
    assert [judged.claim for judged in session.failures] == ["C6.2"]
    assert stored_history(session, path).select("fault", "heal")


def test_only_the_claims_that_are_asked_for_are_replayed(tmp_path: Path) -> None:
    out = tmp_path / "certificate"
    certify(out, "--claims", "C5.1")
    assert not list((out / "histories").glob("*regression*"))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (None, "--regressions is"),
        ({"broken.json": "{"}, "--regressions: session file"),
    ],
)
def test_a_directory_that_cannot_be_read_is_refused(tmp_path: Path, files: dict[str, str] | None, said: str) -> None:
    folder = tmp_path / "regressions"
    if files is not None:
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
    code, told = certify(tmp_path / "certificate", "--regressions", str(folder))
    assert code == 2
    assert said in told
    assert "Traceback" not in told
