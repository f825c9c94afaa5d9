"""Certificates to be looked at, made once: a PASSED one from the judges' sound stories, and a small signed one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardening.certificate.conclude import HISTORIES, Ran, Terms, clear, conclude
from hardening.certificate.provenance import Provenance, provenance
from hardening.certificate.sample_certificates import SAMPLES, make
from hardening.certificate.signing import load_private_key, new_key_pair

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ``one.pem``, ``other.pem`` and their ``.pub``."""
    directory = tmp_path_factory.mktemp("keys")
    for name in ("one", "other"):
        private, public, _ = new_key_pair()
        (directory / f"{name}.pem").write_bytes(private)
        (directory / f"{name}.pem.pub").write_bytes(public)
    return directory


@pytest.fixture(scope="session")
def _originals(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Path:
    from judge_stories import SOUND

    root = tmp_path_factory.mktemp("certificates")
    clear(root / "passed")
    for claim, story in SOUND.items():
        story().history().write(root / "passed" / HISTORIES / f"{claim.lower().replace('.', '-')}.jsonl")
    code = Provenance(provenance().code_digest, "a" * 40)
    when = NOW.isoformat(timespec="seconds")
    conclude(root / "passed", Ran(code, when, {}), Terms(), finished_at=when)
    make(SAMPLES["passing"], root / "signed", code, NOW, key=load_private_key(keys / "one.pem", "--sign-key"))
    for kind, sample in SAMPLES.items():
        make(sample, root / kind, code, NOW)
    return root


@pytest.fixture
def certificate(_originals: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the directory of one kind of certificate, to be spoilt: ``passed``, ``signed``, or a sample's name."""

    def copied(kind: str) -> Path:
        return Path(shutil.copytree(_originals / kind, tmp_path / kind))

    return copied
