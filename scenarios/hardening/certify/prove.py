"""The proof that the checks can fail: each shipped sabotage is applied in a fresh process, and must turn red.

In the simulated world where it can show the break, in the live world where only real processes or real time can.
A sabotage counts as detected when a claim of its own component fails; the claim it names is what is looked for.
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
from hardening.certify.sim_worker import Task
from hardening.claims.claims import CLAIMS, judge_all
from hardening.claims.verdict import Outcome
from hardening.faults.run_directory import RunDirectory
from hardening.history.events import HistoryError, read
from hardening.mutants.catalogue import SABOTAGES, Sabotage
from hardening.worlds.live.processes import Child

SAMPLE_SHARE = 5
SCHEDULES_MAX = 24
SIMULATED_S_MAX = 40.0
LIVE_S_MAX = 180.0


@dataclass(slots=True)
class Proof:
    """What the proof came to: ``rows`` as the certificate carries them, ``problems`` a line each."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def chosen(extent: Literal["sample", "all"], seed: int) -> list[Sabotage]:
    """All sabotages, or a seeded fifth of them; in the order of the catalogue."""
    every = list(SABOTAGES.values())
    if extent == "all":
        return every
    count = -(-len(every) // SAMPLE_SHARE)
    picked = random.Random(f"sabotages-{seed}").sample(range(len(every)), count)
    return [every[i] for i in sorted(picked)]


async def prove(extent: Literal["sample", "all"], seed: int, commit: str, progress: Progress) -> Proof:
    """Try the sabotages, as many side by side as there are cores.

    Rows are in the order of the catalogue: ``{"name", "component", "detected", "by", "schedules", "seconds"}``.
    """
    sabotages = chosen(extent, seed)
    proof = Proof()
    rows: dict[str, dict[str, Any]] = {}
    gate = asyncio.Semaphore(cores())

    async def one(sabotage: Sabotage) -> None:
        async with gate:
            rows[sabotage.name] = row = await _try(sabotage, seed, commit, proof.problems)
        progress.sabotaged(row, len(rows), len(sabotages))

    async with asyncio.TaskGroup() as group:
        for sabotage in sabotages:
            group.create_task(one(sabotage), name=f"sabotage-{sabotage.name}")
    proof.rows = [rows[sabotage.name] for sabotage in sabotages]
    return proof


async def _try(sabotage: Sabotage, seed: int, commit: str, problems: list[str]) -> dict[str, Any]:
    began_s = time.monotonic()
    schedules, failed = 0, set[str]()
    with tempfile.TemporaryDirectory(prefix="hardening-proof-") as folder:
        if sabotage.world == "simulated":
            task = Task(
                out=folder,
                scenarios=(sabotage.scenario,),
                seed=seed,
                commit=commit,
                sabotage=sabotage.reference,
                budget_s=SIMULATED_S_MAX,
                schedules_max=SCHEDULES_MAX,
                told=False,
            )
            explored = await explore(task)
            schedules, failed = sum(explored.schedules.values()), explored.failed
            problems += [f"{sabotage.name}: {text}" for text in explored.problems if not failed]
        else:
            schedules, failed = 1, await _live(sabotage, seed, Path(folder))
    component = CLAIMS[sabotage.claim].component
    named = sorted(claim for claim in failed if CLAIMS[claim].component == component)
    return {
        "name": sabotage.name,
        "component": component,
        "detected": bool(named),
        "by": named or sorted(failed),
        "schedules": schedules,
        "seconds": round(time.monotonic() - began_s, 1),
    }


async def _live(sabotage: Sabotage, seed: int, folder: Path) -> set[str]:
    """The claims that fail when the live scenario runs against the sabotage, by the command that a user runs."""
    argv = [
        sys.executable,
        "-m",
        "hardening.commands.cli",
        "certify",
        "--out",
        str(folder),
        "--world",
        "live",
        "--json",
    ]
    argv += ["--only", sabotage.scenario, "--sabotage", sabotage.reference, "--seed", str(seed)]
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
