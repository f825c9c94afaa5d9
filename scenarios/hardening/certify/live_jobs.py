"""The live part of a certification: which scenarios must run, which may, and which the budget leaves out."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hardening.catalogue.pieces import LAST
from hardening.catalogue.selection import JOBS, catalogue, estimate_s, live_scenarios
from hardening.certify.progress import Progress, Seen
from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome
from hardening.history.events import History
from hardening.runs.deployment import run_deployments
from hardening.runs.gate import run_gates
from hardening.runs.phases import OnPhase, Run
from hardening.runs.soak import run_soak
from hardening.runs.startup import run_program
from hardening.sessions.session import Session
from hardening.worlds.spec import RunContext

AT_ONCE = 4
"""Scenarios that run side by side: they wait more than they compute, and two cores carry four."""


@dataclass(frozen=True, slots=True)
class LiveJob:
    """One job: what runs it, about how long it takes, and whether it runs whatever the budget."""

    name: str
    run: Callable[[], Awaitable[Run]]
    estimate_s: float
    required: bool


RUNS: Mapping[str, Callable[[RunContext, OnPhase], Awaitable[Run]]] = {
    "soak": run_soak,
    "deployment": run_deployments,
    "gate": run_gates,
}
"""How the jobs run that are no scenario."""


def live_jobs(context: RunContext, required: Callable[[str], bool], progress: Progress) -> list[LiveJob]:
    """Every job of the live world: the required ones first, then those that are confirmed first, then the longest."""

    def job(name: str, run: Callable[[RunContext, OnPhase], Awaitable[Run]], takes_s: float) -> LiveJob:
        return LiveJob(name, lambda: run(context, partial(progress.phase, name)), takes_s, required(name))

    jobs = [job(name, run, JOBS[name]) for name, run in RUNS.items()]
    known = catalogue()
    for name, program in live_scenarios(context.seed).items():
        jobs.append(job(name, partial(run_program, program), estimate_s(program, known[name])))
    turn = {name: one.confirm for name, one in known.items()}
    return sorted(jobs, key=lambda job: (not job.required, turn.get(job.name, LAST), -job.estimate_s))


def replay_job(session: Session, context: RunContext, progress: Progress) -> LiveJob:
    """A session that once failed, run as it was with today's code; whatever the budget."""
    name = f"regression-{session.name}"
    program = session.startup or dataclasses.replace(session.scenario, name=name)
    today = dataclasses.replace(context, seed=session.seed, candles="")

    def run() -> Awaitable[Run]:
        return run_program(program, today, partial(progress.phase, name))

    return LiveJob(name, run, estimate_s(program), required=True)


def seen_in(name: str, history: History) -> Seen:
    """What one history shows by itself; the certificate judges all of them together, once they are stored."""
    settled = [v.claim for v in judge_all({name: history}) if v.outcome is not Outcome.UNKNOWN]
    effective = sorted({str(heal.value["kind"]) for heal in history.select("fault", "heal") if heal.value["bit"]})
    return Seen(len(history.events), tuple(settled), tuple(effective))


@dataclass(slots=True)
class LiveRuns:
    """Runs jobs some side by side, within a budget, and stores each history.

    Attributes:
        out: directory of the histories.
        progress: called with each.
        budget_s: wall seconds since ``began_s`` within which optional jobs must be expected to end.
        problems: by job, what cut it short.
        skipped: jobs for which no time was left.
    """

    out: Path
    progress: Progress
    clock: Callable[[], float]
    budget_s: float
    began_s: float
    at_once: int = AT_ONCE
    problems: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    async def run(self, jobs: Sequence[LiveJob], suffix: str = "") -> None:
        """All required ones, and of the others those that fit."""
        self.progress.started([job.name + suffix for job in jobs])
        waiting = iter(jobs)
        async with asyncio.TaskGroup() as group:
            for number in range(self.at_once):
                group.create_task(self._lane(waiting, suffix), name=f"lane-{number}")

    async def _lane(self, waiting: Iterator[LiveJob], suffix: str) -> None:
        for job in waiting:
            if not job.required and self.clock() - self.began_s + job.estimate_s > self.budget_s:
                self.skipped.append(job.name)
                self.progress.skipped(job.name + suffix)
                continue
            run = await job.run()
            name = job.name + suffix
            if run.problem:
                self.problems[name] = run.problem
            run.history.write(self.out / f"{name}.jsonl")
            self.progress.finished(name, run.problem, seen_in(name, run.history))
