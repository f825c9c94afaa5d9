"""The live part of a certification: which scenarios must run, which may, and which the budget leaves out."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hardening.catalogue.live_catalogue import live_scenarios, startup_cases
from hardening.catalogue.scenario import Scenario
from hardening.catalogue.selection import UNSCRIPTED_S, estimate_s
from hardening.certify.progress import Progress, Seen
from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome
from hardening.history.events import History
from hardening.runs.deployment import run_deployments
from hardening.runs.gate import run_gates
from hardening.runs.phases import OnPhase, Run
from hardening.runs.runner import run_live
from hardening.runs.soak import run_soak
from hardening.runs.startup import run_program, run_startups
from hardening.sessions.session import Session
from hardening.worlds.spec import RunContext

AT_ONCE = 4
"""Scenarios that run side by side: they wait more than they compute, and two cores carry four."""

LIVE_ONLY = frozenset({"deployment", "gate", "hostile-lines", "soak"})
"""Their claims are shown by real processes or in real time alone, so they run whatever the budget."""

FIRST = ("service-killed", "redis-outage", "signals", "pressure", "ticker-outage", "cancelled-herd", "burst")
"""Confirmed first, when the budget does not allow all: where processes, kernels and clocks matter most."""


@dataclass(frozen=True, slots=True)
class LiveJob:
    """One job: what runs it, about how long it takes, and whether it runs whatever the budget."""

    name: str
    run: Callable[[], Awaitable[Run]]
    estimate_s: float
    required: bool


UNSCRIPTED: Mapping[str, Callable[[RunContext, OnPhase], Awaitable[Run]]] = {
    "soak": run_soak,
    "deployment": run_deployments,
    "gate": run_gates,
    "startup": lambda context, on_phase: run_startups(startup_cases(), context, on_phase),
}
"""Jobs that are no ``Scenario``."""


def live_jobs(context: RunContext, required: Callable[[str], bool], progress: Progress) -> list[LiveJob]:
    """Every job of the live world: the required ones first, then those most worth confirming."""

    def job(name: str, run: Callable[[RunContext, OnPhase], Awaitable[Run]], takes_s: float) -> LiveJob:
        return LiveJob(name, lambda: run(context, partial(progress.phase, name)), takes_s, required(name))

    jobs = [job(name, run, UNSCRIPTED_S[name]) for name, run in UNSCRIPTED.items()]
    jobs += [job(one.name, partial(run_live, one), estimate_s(one)) for one in live_scenarios(context.seed)]
    rank = {name: i for i, name in enumerate(FIRST)}
    return sorted(jobs, key=lambda job: (not job.required, rank.get(job.name, len(FIRST))))


def replay_job(session: Session, context: RunContext, progress: Progress) -> LiveJob:
    """A session that once failed, run as it was with today's code; whatever the budget."""
    name = f"regression-{session.name}"
    program = session.startup or dataclasses.replace(session.scenario, name=name)
    today = dataclasses.replace(context, seed=session.seed, candles="")

    def run() -> Awaitable[Run]:
        return run_program(program, today, partial(progress.phase, name))

    takes_s = estimate_s(program) if isinstance(program, Scenario) else UNSCRIPTED_S["startup"]
    return LiveJob(name, run, takes_s, required=True)


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
        progress: told of each.
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
