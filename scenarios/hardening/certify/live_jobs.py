"""The live part of a certification: which scenarios must run, which may, and which the budget leaves out."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
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
from hardening.runs.phases import Run
from hardening.runs.runner import run_live, spec_of
from hardening.runs.soak import run_soak
from hardening.runs.startup import run_startups
from hardening.sessions.session import Session

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


@dataclass(frozen=True, slots=True)
class LiveTerms:
    """What all live jobs share: seed, commit, sabotage (a mutant), candles (path of a CSV)."""

    seed: int
    commit: str
    sabotage: str = ""
    candles: str = ""


def live_jobs(terms: LiveTerms, required: Callable[[str], bool], progress: Progress) -> list[LiveJob]:
    """Every job of the live world: the required ones first, then those most worth confirming."""

    def unscripted(name: str, run: Callable[[], Awaitable[Run]]) -> LiveJob:
        return LiveJob(name, run, UNSCRIPTED_S[name], required(name))

    def scripted(scenario: Scenario) -> LiveJob:
        spec = spec_of(scenario, seed=terms.seed, commit=terms.commit, sabotage=terms.sabotage, candles=terms.candles)

        def run() -> Awaitable[Run]:
            return run_live(scenario, spec, lambda phase: progress.phase(scenario.name, phase))

        return LiveJob(scenario.name, run, estimate_s(scenario), required(scenario.name))

    def deployments() -> Awaitable[Run]:
        return run_deployments(
            seed=terms.seed,
            commit=terms.commit,
            sabotage=terms.sabotage,
            on_phase=lambda phase: progress.phase("deployment", phase),
        )

    def startups() -> Awaitable[Run]:
        return run_startups(
            startup_cases(),
            seed=terms.seed,
            commit=terms.commit,
            sabotage=terms.sabotage,
            on_phase=lambda phase: progress.phase("startup", phase),
        )

    def gates() -> Awaitable[Run]:
        return run_gates(
            seed=terms.seed,
            commit=terms.commit,
            sabotage=terms.sabotage,
            on_phase=lambda phase: progress.phase("gate", phase),
        )

    def soak() -> Awaitable[Run]:
        return run_soak(
            seed=terms.seed,
            commit=terms.commit,
            sabotage=terms.sabotage,
            on_phase=lambda phase: progress.phase("soak", phase),
        )

    jobs = [
        unscripted("soak", soak),
        unscripted("deployment", deployments),
        unscripted("gate", gates),
        unscripted("startup", startups),
        *(scripted(scenario) for scenario in live_scenarios(terms.seed)),
    ]
    rank = {name: i for i, name in enumerate(FIRST)}
    return sorted(jobs, key=lambda job: (not job.required, rank.get(job.name, len(FIRST))))


def replay_job(session: Session, terms: LiveTerms, progress: Progress) -> LiveJob:
    """A session that once failed, run as it was with the code of today; whatever the budget."""
    name = f"regression-{session.name}"
    scenario = dataclasses.replace(session.scenario, name=name)

    def on_phase(phase: str) -> None:
        progress.phase(name, phase)

    def run() -> Awaitable[Run]:
        if session.startup:
            return run_startups(
                session.startup, seed=session.seed, commit=terms.commit, sabotage=terms.sabotage, on_phase=on_phase
            )
        spec = spec_of(scenario, seed=session.seed, commit=terms.commit, sabotage=terms.sabotage)
        return run_live(scenario, spec, on_phase)

    estimate = UNSCRIPTED_S["startup"] if session.startup else estimate_s(scenario)
    return LiveJob(name, run, estimate, required=True)


def seen_in(name: str, history: History) -> Seen:
    """What one history shows by itself; the certificate judges all of them together, once they are stored."""
    settled = [v.claim for v in judge_all({name: history}) if v.outcome is not Outcome.UNKNOWN]
    bitten = sorted({str(heal.value["kind"]) for heal in history.select("fault", "heal") if heal.value["bit"]})
    return Seen(len(history.events), tuple(settled), tuple(bitten))


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
