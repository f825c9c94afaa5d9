"""Every shipped load sabotage turns its budget red, in a run of less than a minute; the sound service keeps them all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scenarios.sabotage.load import LOAD_SABOTAGES, LoadSabotage

pytestmark = [pytest.mark.live, pytest.mark.timeout(200)]


def load(out: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    argv = [sys.executable, "-m", "scenarios.cli", "load", "--out", str(out), "--json", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    assert done.stdout.startswith("{"), done.stderr[-2000:]
    return done.returncode, json.loads(done.stdout)


@pytest.mark.proof
@pytest.mark.parametrize("sabotage", [pytest.param(one, id=name) for name, one in LOAD_SABOTAGES.items()])
def test_the_sabotage_turns_its_budget_red(sabotage: LoadSabotage, tmp_path: Path) -> None:
    code, said = load(tmp_path, "--sabotage", sabotage.reference, *sabotage.arguments)
    verdicts = {one["name"]: one["verdict"] for one in said["budgets"]}
    assert verdicts[sabotage.budget] == "FAIL"
    assert code == 1
