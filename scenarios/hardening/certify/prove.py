"""The proof that the checks can fail: each shipped mutant runs in a fresh process and must be detected.

In the simulated world where it can show the break, in the live world where only real processes or real time can.
A mutant counts as detected when a claim of its own component fails. Load mutants are shown by ``tox -e proof``.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hardening.certify.progress import Progress
from hardening.certify.sim_jobs import cores, explore
from hardening.claims.claims import CLAIMS, judge_all
from hardening.claims.verdict import Outcome
from hardening.faults.run_directory import RunDirectory
from hardening.history.events import HistoryError, read
from hardening.mutants.catalogue import mutants
from hardening.mutants.mutant import Mutant
from hardening.sessions.sim_worker import Task
from hardening.worlds.live.processes import Child
from hardening.worlds.spec import RunContext

SAMPLE_SHARE = 5
SCHEDULES_MAX = 24
SIMULATED_S_MAX = 40.0
LIVE_S_MAX = 180.0


@dataclass(slots=True)
class Proof:
    """What the proof came to: ``rows`` as the certificate carries them, ``problems`` a line each."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def chosen(extent: Literal["sample", "all"], seed: int) -> list[Mutant]:
    """All mutants that claims detect, or a seeded fifth of them; in the order of the catalogue."""
    every = [one for one in mutants().values() if one.world != "load"]
    if extent == "all":
        return every
    count = -(-len(every) // SAMPLE_SHARE)
    picked = random.Random(f"sabotages-{seed}").sample(range(len(every)), count)
    return [every[i] for i in sorted(picked)]


async def prove(extent: Literal["sample", "all"], seed: int, commit: str, progress: Progress) -> Proof:
    """Try the mutants, as many side by side as there are cores.

    Rows are in the order of the catalogue: ``{"name", "component", "detected", "by", "schedules", "seconds"}``.
    """
    tried = chosen(extent, seed)
    proof = Proof()
    rows: dict[str, dict[str, Any]] = {}
    gate = asyncio.Semaphore(cores())

    async def one(mutant: Mutant) -> None:
        async with gate:
            rows[mutant.name] = row = await _try(mutant, seed, commit, proof.problems)
        progress.sabotaged(row, len(rows), len(tried))

    async with asyncio.TaskGroup() as group:
        for mutant in tried:
            group.create_task(one(mutant), name=f"mutant-{mutant.name}")
    proof.rows = [rows[mutant.name] for mutant in tried]
    return proof


async def _try(mutant: Mutant, seed: int, commit: str, problems: list[str]) -> dict[str, Any]:
    began_s = time.monotonic()
    schedules, failed = 0, set[str]()
    with tempfile.TemporaryDirectory(prefix="hardening-proof-") as folder:
        if mutant.world == "simulated":
            task = Task(
                out=folder,
                scenarios=(mutant.shown_by,),
                context=RunContext(seed, commit, mutant.name),
                budget_s=SIMULATED_S_MAX,
                schedules_max=SCHEDULES_MAX,
                explain=False,
            )
            explored = await explore(task)
            schedules, failed = sum(explored.schedules.values()), explored.failed
            problems += [f"{mutant.name}: {text}" for text in explored.problems if not failed]
        else:
            schedules, failed = 1, await _live(mutant, seed, Path(folder))
    component = CLAIMS[mutant.claim].component
    named = sorted(claim for claim in failed if CLAIMS[claim].component == component)
    return {
        "name": mutant.name,
        "component": component,
        "detected": bool(named),
        "by": named or sorted(failed),
        "schedules": schedules,
        "seconds": round(time.monotonic() - began_s, 1),
    }


async def _live(mutant: Mutant, seed: int, folder: Path) -> set[str]:
    """The claims that fail when the live scenario runs against the mutant, by the command that a user runs."""
    words = ["certify", "--out", str(folder), "--world", "live", "--json", "--only", mutant.shown_by]
    words += ["--sabotage", mutant.name, "--seed", str(seed)]
    argv = [sys.executable, "-m", "hardening.commands.cli", *words]
    with RunDirectory() as directory:
        child = Child("sabotaged", argv, directory)
        await child.start()
        try:
            await child.wait(LIVE_S_MAX)
        except TimeoutError:
            return set()
        finally:
            await child.stop()
    return failed_in(folder / "histories")


def failed_in(histories: Path) -> set[str]:
    """The claims that fail by the stored histories of a directory."""
    found: Mapping[str, Any]
    try:
        found = {path.stem: read(path) for path in sorted(histories.glob("*.jsonl"))}
    except (OSError, HistoryError):
        return set()
    return {verdict.claim for verdict in judge_all(found) if verdict.outcome is Outcome.FAIL}
