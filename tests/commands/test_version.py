"""``hardening --version``: version and commit, of a checkout by git, of a wheel by what it was built from."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import hardening.certificate.provenance as module
from hardening.certificate.provenance import built_commit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_version_and_commit_are_one_line(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "hardening.commands.cli", "--version"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    assert re.fullmatch(r"hardening \d+\.\d+\.\d+, commit (unknown|[0-9a-f]{40}(-dirty)?)\n", done.stdout)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel as it lies installed: one file of code, the commit, and the record of both."""
    code = tmp_path / "hardening" / "certificate" / "provenance.py"
    code.parent.mkdir(parents=True)
    code.write_text("x = 1\n")
    code.with_name("commit.txt").write_text(COMMIT + "\n")
    info = tmp_path / "signal_hardening-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: signal-hardening\nVersion: 0.1.0\n")
    record = "hardening/certificate/provenance.py,sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q,6\n"
    (info / "RECORD").write_text(record + "signal_hardening-0.1.0.dist-info/RECORD,,\n")
    monkeypatch.setattr(module, "__file__", str(code))
    monkeypatch.setattr(module.metadata, "files", lambda _: metadata.Distribution.at(info).files)
    return code


def test_an_installed_wheel_knows_the_commit_that_it_was_built_from(installed: Path) -> None:
    assert built_commit() == COMMIT


def test_a_wheel_that_was_altered_after_its_installation_has_no_known_commit(installed: Path) -> None:
    installed.write_text("x = 2\n")
    assert built_commit() == "unknown"


def test_a_wheel_that_states_no_commit_has_no_known_one(installed: Path) -> None:
    installed.with_name("commit.txt").unlink()
    assert built_commit() == "unknown"
