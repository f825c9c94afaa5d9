"""Explores scenarios in worker processes of the simulated world.

In: tasks for ``hardening.sessions.sim_worker``. Out: ``Explored``, what all of them found; a worker that dies is a
line of its ``problems``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hardening.certificate.statement import Story
from hardening.faults.run_directory import RunDirectory
from hardening.sessions.sim_worker import Task
from hardening.worlds.live.processes import Child

STOP_S_MAX = 5.0


@dataclass(slots=True)
class Explored:
    """What the simulated world came to.

    Attributes:
        schedules: schedules run, by scenario.
        settled: claims that passed in some schedule.
        failed: claims that failed.
        effective: fault kinds that did something.
        stories: failures, shrunk and put into words.
        problems: what went wrong with the harness, a line each.
    """

    schedules: dict[str, int] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    effective: set[str] = field(default_factory=set)
    stories: list[Story] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, run: Mapping[str, Any]) -> None:
        """Take one line of a worker."""
        name = str(run["scenario"])
        self.schedules[name] = int(run["schedules"])
        self.settled |= set(run["settled"])
        self.effective |= set(run["effective"])
        if "failed" not in run:
            return
        claim, where = str(run["failed"]), f"simulated {name}, schedule {run['schedule']}"
        self.failed |= set(run["claims"])
        if run["problem"] or not claim:
            self.problems.append(f"{where}: {run['problem'] or 'it did not come to its end'}")
        replay = f"hardening replay {run['session']}"
        self.stories.append(Story(claim, name, str(run["story"]), str(run["lane_svg"]), replay))


async def explore(task: Task, on_run: Callable[[Mapping[str, Any]], None] = lambda _run: None) -> Explored:
    """Run one worker to its end; a worker that dies is a problem of the harness."""
    found = Explored()
    errors: list[str] = []

    def take(line: str) -> None:
        if not line.startswith("{"):
            errors.append(line)
            return
        run = json.loads(line)
        found.add(run)
        on_run(run)

    with RunDirectory() as directory:
        requests = directory.path / "requests.jsonl"
        requests.write_text(json.dumps({"explore": asdict(task)}) + "\n", encoding="utf-8")
        argv = [sys.executable, "-m", "hardening.sessions.sim_worker", str(requests)]
        child = Child("simulation", argv, directory, {}, take)
        await child.start()
        try:
            code = await child.wait(None)
        finally:
            await child.stop(STOP_S_MAX)
    if code:
        last = errors[-1] if errors else "it said nothing"
        found.problems.append(f"the simulation ended with exit code {code}: {last}")
    return found


def shares(names: Sequence[str], workers: int) -> list[tuple[str, ...]]:
    """The names dealt out to so many workers; none gets an empty share."""
    return [share for share in (tuple(names[i::workers]) for i in range(workers)) if share]


async def explore_all(
    tasks: Sequence[Task], on_run: Callable[[Mapping[str, Any]], None] = lambda _run: None
) -> Explored:
    """Run workers side by side and join what they found."""
    whole = Explored()
    for part in await asyncio.gather(*(explore(task, on_run) for task in tasks)):
        whole.schedules |= part.schedules
        for name in ("settled", "failed", "effective"):
            getattr(whole, name).update(getattr(part, name))
        whole.stories += part.stories
        whole.problems += part.problems
    return whole


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
