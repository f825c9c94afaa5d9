"""A harness that is killed leaves nothing that its next run does not find."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hardening.faults.run_directory import RunDirectory, sweep

pytestmark = pytest.mark.live


@pytest.fixture
def own_tmp() -> Iterator[str]:
    """A temporary directory of the test's own, with a name short enough for unix sockets: nobody else sweeps it."""
    with tempfile.TemporaryDirectory(prefix="left") as path:
        yield path


def test_the_next_sweep_kills_what_a_killed_harness_left(own_tmp: str) -> None:
    argv = [sys.executable, "-m", "hardening.commands.cli", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": own_tmp})
    assert process.stdout is not None
    facts = json.loads(process.stdout.readline())
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert [child for child in children if child.is_running()]
    cleaned = sweep(Path(own_tmp) / f"signal-hardening-{os.getuid()}")
    assert Path(facts["run_directory"]).name in cleaned.directories
    assert {owned.pid for owned in cleaned.killed} <= {child.pid for child in children}
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    process.stdout.close()


def test_a_live_sibling_is_not_touched(tmp_path: Path) -> None:
    with RunDirectory(tmp_path) as sibling:
        sibling.own(os.getpid(), "myself")
        assert sweep(tmp_path).directories == ()
        assert sibling.path.exists()


def test_a_recycled_pid_is_not_mistaken_for_ours(tmp_path: Path) -> None:
    dead = RunDirectory(tmp_path)
    (dead.path / "processes.jsonl").write_text(json.dumps({"pid": os.getpid(), "started_s": 1.0, "name": "x"}) + "\n")
    dead._lock.close()
    assert sweep(tmp_path).killed == ()
    assert not dead.path.exists()
