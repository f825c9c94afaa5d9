"""A harness that is ended in the middle of a fault heals it first; one that is killed is healed by the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from hardening.faults.run_directory import sweep

pytestmark = [pytest.mark.live]

FAULTS = [
    {"kind": "redis_stopped"},
    {"kind": "memory_pressure", "held_mb": 16},
    {"kind": "clock_jump"},
    {"kind": "process_signal", "signal": "STOP"},
]
HARNESS = Path(__file__).with_name("harness_process.py")


def start(root: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    path = os.pathsep.join([str(HARNESS.parent), str(Path.cwd())])
    process = subprocess.Popen(
        [sys.executable, str(HARNESS), str(root), json.dumps(FAULTS)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_harness_ended_by_a_signal_heals_first_and_leaves_nothing(short_path: Path, number: int) -> None:
    process, said = start(short_path)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines == [{"healed": True, "bit": [True] * len(FAULTS)}, {"signal": number}]
    assert not [pid for pid in said["pids"] if psutil.pid_exists(pid)]
    assert not Path(said["run"]).exists()


def test_a_second_signal_does_not_interrupt_the_healing(short_path: Path) -> None:
    process, said = start(short_path)
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert json.loads(out.splitlines()[0])["healed"]
    assert not Path(said["run"]).exists()


def test_a_killed_harness_leaves_no_process_and_its_directory_goes_with_the_next_sweep(short_path: Path) -> None:
    process, said = start(short_path)
    assert all(psutil.pid_exists(pid) for pid in said["pids"])
    children = [psutil.Process(pid) for pid in said["pids"]]
    process.kill()
    process.communicate(timeout=10)
    _, still = psutil.wait_procs(children, timeout=2)
    assert not [child for child in still if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert Path(said["run"]).exists()
    sweep(short_path)
    assert not Path(said["run"]).exists()
