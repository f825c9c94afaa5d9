"""How many processes outlive a harness that is killed: ``serve``, ``chaos``, ``certify`` and ``pytest``, SIGKILLed.

``python -m benchmarks.killed_harness [--kills 25] [--seed 16]`` starts each of the four again and again, kills it after
a random while (from its spawn to some seconds into its work), waits two seconds without a sweep, and counts what still
runs of its descendants and of the processes that name its run directory. It prints a row for each command and exits 1
when anything is left. What is left is killed by its pid.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from hardening.faults.run_directory import RUN_VARIABLE

HARDENING = [sys.executable, "-m", "hardening.commands.cli"]
COMMANDS: dict[str, tuple[list[str], float]] = {
    "serve": ([*HARDENING, "serve", "--port", "0"], 8.0),
    "chaos": (
        [*HARDENING, "chaos", "--profile", "redis-storm", "--seed", "7", "--duration", "8s", "--out", "chaos"],
        9.0,
    ),
    "certify": ([*HARDENING, "certify", "--out", "certificate", "--claims", "C2.2,C5.5,C6.1"], 15.0),
    "pytest": ([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_world.py"], 12.0),
}
"""What is started, and how long after its spawn at most it is killed (seconds)."""
TEST = """
import asyncio
import pytest


@pytest.mark.asyncio
async def test_world(hardening_live_world, hardening_redis_server):
    await asyncio.sleep(30)
"""


def carrying(folder: Path) -> set[int]:
    """Running processes whose environment names a run directory below ``folder``."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            run = process.environ().get(RUN_VARIABLE, "")
            if run.startswith(str(folder)) and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def one(argv: list[str], after_s: float, folder: Path) -> tuple[int, list[str]]:
    """Start, kill after ``after_s`` seconds, wait; how many descendants there were, and which are left."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    harness = subprocess.Popen(argv, cwd=folder, env={**os.environ, "TMPDIR": str(folder)}, **quiet)
    time.sleep(after_s)
    family = psutil.Process(harness.pid).children(recursive=True) if harness.poll() is None else []
    harness.kill()
    harness.wait()
    deadline, left = time.monotonic() + 2, []
    while time.monotonic() < deadline:
        own = [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        left = sorted({child.pid for child in own} | carrying(folder))
        if not left:
            break
        time.sleep(0.05)
    names = []
    for pid in left:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            names.append(" ".join(process.cmdline()[:5]))
            process.kill()
    return len(family), names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=25, help="of each command")
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--only", choices=COMMANDS, action="append")
    chosen = parser.parse_args()
    moments, bad = random.Random(chosen.seed), 0
    for name in chosen.only or COMMANDS:
        argv, most_s = COMMANDS[name]
        family, left = 0, []
        for _ in range(chosen.kills):
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "test_world.py").write_text(TEST)
                children, names = one(argv, moments.uniform(0.05, most_s), Path(folder))
            family, left = family + children, left + names
        bad += len(left)
        print(
            f"{name:8} {chosen.kills} kills, {family} descendants then, {len(left)} left after 2 s", *left, flush=True
        )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    main()
