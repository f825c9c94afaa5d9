"""One search on several processes: each takes a shard, and the results are merged.

The workers are fresh interpreters that load the program by its reference, so nothing of the parent leaks into them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from hardening.simulator.search.counterexample import merge
from hardening.simulator.search.search import Shard


class WorkerError(RuntimeError):
    """A worker ended without a result.

    Attributes:
        exit_code: of the worker: 2 usage, 4 the program broke the rules.
        said: its last words.
    """

    def __init__(self, exit_code: int, said: str) -> None:
        super().__init__(said or f"a worker ended with {exit_code}")
        self.exit_code = exit_code
        self.said = said


def explore_with_workers(reference: str, workers: int, shard: Shard, options: list[str]) -> dict[str, Any]:
    """Split ``shard`` over ``workers`` processes and merge what they report.

    Args:
        reference: ``FILE.py:function``.
        workers: how many processes.
        shard: the part of the whole search that is this machine's.
        options: further words of the command line (``--runs``, ``--seed`` ...).

    Raises:
        WorkerError: when one of them could not run the program.
    """
    command = [sys.executable, "-m", "hardening.commands.explore", reference, "--json", *options]
    # Worker w of machine i of n takes every (n * workers)-th number, so that no two take the same.
    parts = [f"{shard.index + worker * shard.count}/{shard.count * workers}" for worker in range(workers)]
    running = [
        subprocess.Popen([*command, "--shard", part], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for part in parts
    ]
    reports = []
    try:
        for process in running:
            out, err = process.communicate()
            if process.returncode not in (0, 1):
                raise WorkerError(process.returncode, (err or out).strip())
            reports.append(json.loads(out))
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
    return merge(reports)
