# ruff: noqa: ANN001 - programs under test are written as anybody would write them
"""The same seed gives the same trace: again, in another process, and under another hash seed."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

from generated_programs import generate

from hardening.simulator.core.choices import SeededChoices
from hardening.simulator.core.plan import Bounds
from hardening.simulator.search.run import run_traced
from hardening.simulator.search.sandbox import sandbox

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import test_determinism
print(test_determinism.digest_of_range(int(sys.argv[2]), int(sys.argv[3])))
"""


def digest(number, box):
    choices = SeededChoices(random.Random(number), (), 100, reorder=False)
    outcome, trace = run_traced(generate(number), choices, Bounds(max_virtual_s=1000, max_steps=20_000), box)
    return f"{number} {type(outcome.error).__name__} {trace.digest()}"


def digest_of_range(first, last):
    with sandbox(Bounds()) as box:
        lines = [digest(number, box) for number in range(first, last)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_generated_programs_repeat_exactly(scale):
    with sandbox(Bounds()) as box:
        for number in range(scale(100, 1000)):
            one, other = digest(number, box), digest(number, box)
            assert one == other
            assert "RuleBroken" not in one


def test_generated_programs_repeat_in_another_process_under_another_hash_seed(scale):
    last = scale(40, 1000)
    here = Path(__file__).parent
    seen = set()
    for hash_seed in ("1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", SCRIPT, str(here), "0", str(last)]
        done = subprocess.run(command, env=environment, cwd=here.parents[1], capture_output=True, text=True, check=True)
        seen.add(done.stdout.strip())
    assert len(seen) == 1


def test_different_seeds_give_different_traces():
    with sandbox(Bounds()) as box:
        seen = set()
        for seed in range(20):
            choices = SeededChoices(random.Random(seed), (), 100, reorder=False)
            seen.add(run_traced(generate(1), choices, Bounds(), box)[1].digest())
    assert len(seen) > 10
