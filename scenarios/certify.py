"""The main job: run the scenarios, store their histories, judge what was stored, write the certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from faults.run_directory import sweep
from scenarios.baseline import Baseline
from scenarios.conclude import Outcome, Ran, Terms, clear, conclude, utc
from scenarios.deployment_runner import run_deployments
from scenarios.gate_runner import run_gates
from scenarios.judge.claims import judge_all
from scenarios.judge.history import read
from scenarios.judge.verdict import Outcome as Verdicts
from scenarios.judge.waivers import Waiver
from scenarios.live_catalogue import SHOWN_BY, live_scenarios, startup_cases
from scenarios.provenance import Provenance, provenance
from scenarios.runner import Run, run_live, spec_of
from scenarios.scenario import Scenario
from scenarios.startup_runner import run_startups
from scenarios.worlds.live import versions

AT_ONCE = 4
"""Scenarios that run side by side: they wait more than they compute, and two cores carry four."""


@dataclass(frozen=True, slots=True)
class CertifyOptions:
    """What the command line asks for."""

    out: Path
    seed: int = 0
    allowed_unknown: frozenset[str] = frozenset()
    claims: tuple[str, ...] = ()
    sabotage: str = ""
    candles: str = ""
    only: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    sign_key: Ed25519PrivateKey | None = None
    baseline: Baseline | None = None


class Progress:
    """Told how the job goes; the command line draws it, everybody else ignores it."""

    def started(self, names: Sequence[str]) -> None:
        """The scenarios that will run."""

    def phase(self, scenario: str, phase: str) -> None:
        """A scenario entered a phase."""

    def finished(self, scenario: str, events: int, problem: str) -> None:
        """A scenario ended, with a problem or (empty) without."""


async def certify(options: CertifyOptions, progress: Progress | None = None) -> Outcome:
    """Run everything and write the certificate and ``histories/`` into ``options.out``.

    A scenario whose world does not come up or does not heal leaves what it recorded, and a problem in the
    certificate: what it would have shown stays UNKNOWN, or fails if the record already shows a failure.
    """
    progress = progress or Progress()
    sweep()
    started_at = utc()
    code = provenance()
    histories_dir = options.out / "histories"
    clear(options.out)
    jobs = _jobs(options, code, progress)
    problems: dict[str, str] = {}
    await _run_all(jobs, histories_dir, problems, progress)
    again = _not_exercised(options, histories_dir)
    if again:
        # A busy machine can swallow a premise. More evidence may turn UNKNOWN into a verdict, and never hides a FAIL.
        more = {f"{name}-again": jobs[name] for name in again}
        await _run_all(more, histories_dir, problems, progress)
    ran = Ran(
        code=code,
        started_at=started_at,
        versions=versions(),
        seed=options.seed,
        sabotage=options.sabotage,
        problems=[f"{name}: {text}" for name, text in sorted(problems.items())],
    )
    terms = Terms(
        options.allowed_unknown,
        options.claims,
        partial=bool(options.only),
        waivers=options.waivers,
        sign_key=options.sign_key,
        baseline=options.baseline,
    )
    return conclude(options.out, ran, terms)


async def _run_all(
    jobs: Mapping[str, Callable[[], Awaitable[Run]]], out: Path, problems: dict[str, str], progress: Progress
) -> None:
    """Run some side by side and store each history; problems are noted by name."""
    progress.started(list(jobs))
    gate = asyncio.Semaphore(AT_ONCE)

    async def run_one(name: str, job: Callable[[], Awaitable[Run]]) -> None:
        async with gate:
            run = await job()
            if run.problem:
                problems[name] = run.problem
            run.history.write(out / f"{name}.jsonl")
            progress.finished(name, len(run.history.events), run.problem)

    async with asyncio.TaskGroup() as group:
        for name, job in jobs.items():
            group.create_task(run_one(name, job), name=f"scenario-{name}")


def _not_exercised(options: CertifyOptions, out: Path) -> list[str]:
    """Scenarios to run once more: those of claims that are UNKNOWN, may not be, and are shown by one."""
    if options.only or options.sabotage:
        return []
    histories = {path.stem: read(path) for path in sorted(out.glob("*.jsonl"))}
    unknown = [v.claim for v in judge_all(histories, options.claims or None) if v.outcome is Verdicts.UNKNOWN]
    missing = [claim for claim in unknown if claim not in options.allowed_unknown and claim in SHOWN_BY]
    return sorted({SHOWN_BY[claim] for claim in missing})


def _jobs(options: CertifyOptions, code: Provenance, progress: Progress) -> dict[str, Callable[[], Awaitable[Run]]]:
    def live(scenario: Scenario) -> Callable[[], Awaitable[Run]]:
        spec = spec_of(
            scenario, seed=options.seed, commit=code.commit, sabotage=options.sabotage, candles=options.candles
        )
        return lambda: run_live(scenario, spec, lambda phase: progress.phase(scenario.name, phase))

    def startups() -> Awaitable[Run]:
        return run_startups(
            startup_cases(),
            seed=options.seed,
            commit=code.commit,
            sabotage=options.sabotage,
            on_phase=lambda phase: progress.phase("startup", phase),
        )

    def deployments() -> Awaitable[Run]:
        return run_deployments(
            seed=options.seed,
            commit=code.commit,
            sabotage=options.sabotage,
            on_phase=lambda phase: progress.phase("deployment", phase),
        )

    def gates() -> Awaitable[Run]:
        return run_gates(
            seed=options.seed,
            commit=code.commit,
            sabotage=options.sabotage,
            on_phase=lambda phase: progress.phase("gate", phase),
        )

    jobs: dict[str, Callable[[], Awaitable[Run]]] = {"startup": startups, "deployment": deployments, "gate": gates}
    jobs |= {scenario.name: live(scenario) for scenario in live_scenarios(options.seed)}
    return {name: job for name, job in jobs.items() if not options.only or name in options.only}
