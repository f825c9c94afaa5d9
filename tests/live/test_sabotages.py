"""Every shipped mutant makes its claim fail, through the command that a user runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hardening.mutants.catalogue import mutants
from hardening.mutants.mutant import Mutant

pytestmark = pytest.mark.live

EVERY_TIME = {
    *("no_rate_limit", "permit_kept_on_cancellation", "no_lock_per_key", "exception_texts_unredacted"),
    *("half_open_lets_all_through", "reload_mutates_in_place"),
}
"""Proven in every test run; the others by ``tox -e proof``, since all of them take minutes."""


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(one, id=name, marks=() if name in EVERY_TIME else pytest.mark.proof)
        for name, one in mutants().items()
        if one.world != "load"
    ],
)
@pytest.mark.timeout(200)
def test_the_mutant_makes_its_claim_fail(mutant: Mutant, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "hardening.commands.cli", "certify", "--out", str(tmp_path), "--json"]
    argv += ["--only", mutant.shown_by, "--sabotage", mutant.name]
    argv += ["--world", mutant.world, "--budget-s", "20"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 1, done.stderr[-2000:]
    claims = {claim["id"]: claim for claim in json.loads(done.stdout)["predicate"]["claims"]}
    assert claims[mutant.claim]["verdict"] == "FAIL"
    assert claims[mutant.claim]["evidence"]
