"""Every shipped sabotage turns its claim red, through the command that a user runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scenarios.sabotage.catalogue import SABOTAGES, Sabotage

pytestmark = pytest.mark.live


@pytest.mark.parametrize("sabotage", SABOTAGES.values(), ids=lambda sabotage: sabotage.name)
def test_the_sabotage_turns_its_claim_red(sabotage: Sabotage, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "scenarios.cli", "certify", "--out", str(tmp_path), "--json"]
    argv += ["--only", sabotage.scenario, "--sabotage", sabotage.reference]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 1, done.stderr[-2000:]
    claims = {claim["id"]: claim for claim in json.loads(done.stdout)["predicate"]["claims"]}
    assert claims[sabotage.claim]["verdict"] == "FAIL"
    assert claims[sabotage.claim]["evidence"]
