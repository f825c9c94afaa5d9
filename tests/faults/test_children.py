"""Children end with the harness that started them, whenever it is killed; a sweep finds what was never recorded."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hardening.faults.children import tied
from hardening.faults.run_directory import RUN_VARIABLE, RunDirectory, sweep

HARNESS = Path(__file__).with_name("tied_harness.py")
KILLS = 25


def carrying(path: str) -> list[int]:
    """Running processes whose environment names the run directory."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(RUN_VARIABLE) == path and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


@pytest.mark.live
def test_a_harness_killed_at_any_moment_leaves_no_process(short_path: Path) -> None:
    moments, left = random.Random(16), {}
    for number in range(KILLS):
        harness = subprocess.Popen([sys.executable, str(HARNESS), str(short_path)], stdout=subprocess.PIPE, text=True)
        assert harness.stdout is not None
        path = harness.stdout.readline().strip()
        time.sleep(moments.uniform(0.0, 0.3))
        harness.kill()
        harness.communicate()
        deadline = time.monotonic() + 2
        while (alive := carrying(path)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if alive:
            left[number] = alive
    assert not left
    assert len(sweep(short_path).directories) == KILLS


def test_a_child_that_was_never_written_down_is_found_by_the_sweep(short_path: Path) -> None:
    run = RunDirectory(short_path)
    child = subprocess.Popen(["sleep", "60"], **tied(run, "sleeper"), stdin=subprocess.DEVNULL)
    run._lock.close()  # what the kernel does when a harness is killed
    cleaned = sweep(short_path)
    assert [owned.pid for owned in cleaned.killed] == [child.pid]
    assert child.wait() == -9
    run.__exit__()


def test_what_a_run_forgot_ends_with_it(short_path: Path) -> None:
    with RunDirectory(short_path) as run:
        child = subprocess.Popen(["sleep", "60"], **tied(run, "sleeper"))
    assert child.wait() == -9


def test_a_child_keeps_the_environment_it_was_given(short_path: Path) -> None:
    with RunDirectory(short_path) as run:
        said = subprocess.run(["/usr/bin/env"], **tied(run, "env", {"A": "b"}), capture_output=True, check=True)
        assert sorted(said.stdout.decode().split()) == ["A=b", f"{RUN_VARIABLE}={run.path}"]
