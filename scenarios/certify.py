"""The main job: run the scenarios, store their histories, judge what was stored, write the certificate."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults.run_directory import sweep
from scenarios.deployment_runner import run_deployments
from scenarios.judge.certificate import Facts, HistoryFile, statement
from scenarios.judge.claims import CLAIMS, COMPONENTS, FIGURES, judge_all
from scenarios.judge.history import History, read
from scenarios.judge.verdict import Exit, Tally, Verdict
from scenarios.judge.verdict import Outcome as Verdicts
from scenarios.live_catalogue import SHOWN_BY, live_scenarios, startup_cases
from scenarios.phases import Run
from scenarios.provenance import Provenance, provenance
from scenarios.report.markdown import render
from scenarios.runner import run_live, spec_of
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


class Progress:
    """Told how the job goes; the command line draws it, everybody else ignores it."""

    def started(self, names: Sequence[str]) -> None:
        """The scenarios that will run."""

    def phase(self, scenario: str, phase: str) -> None:
        """A scenario entered a phase."""

    def finished(self, scenario: str, events: int, problem: str) -> None:
        """A scenario ended, with a problem or (empty) without."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the job came to."""

    certificate: Mapping[str, Any]
    verdicts: tuple[Verdict, ...]
    exit_code: Exit


async def certify(options: CertifyOptions, progress: Progress | None = None) -> Outcome:
    """Run everything and write ``certificate.json``, ``certificate.md`` and ``histories/`` into ``options.out``.

    A scenario whose world does not come up or does not heal leaves what it recorded, and a problem in the
    certificate: what it would have shown stays UNKNOWN, or fails if the record already shows a failure.
    """
    progress = progress or Progress()
    sweep()
    started_at = _utc()
    code = provenance()
    histories_dir = options.out / "histories"
    shutil.rmtree(histories_dir, ignore_errors=True)
    histories_dir.mkdir(parents=True)
    jobs = _jobs(options, code, progress)
    problems: dict[str, str] = {}
    await _run_all(jobs, histories_dir, problems, progress)
    again = _not_exercised(options, histories_dir)
    if again:
        # A busy machine can swallow a premise. More evidence may turn UNKNOWN into a verdict, and never hides a FAIL.
        more = {f"{name}-again": jobs[name] for name in again}
        await _run_all(more, histories_dir, problems, progress)
    return _conclude(options, code, started_at, [f"{name}: {text}" for name, text in sorted(problems.items())])


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

    jobs: dict[str, Callable[[], Awaitable[Run]]] = {"startup": startups, "deployment": deployments}
    jobs |= {scenario.name: live(scenario) for scenario in live_scenarios(options.seed)}
    return {name: job for name, job in jobs.items() if not options.only or name in options.only}


def _conclude(options: CertifyOptions, code: Provenance, started_at: str, problems: list[str]) -> Outcome:
    """Judge what was stored, not what is in memory: the certificate must be re-judgeable from its files."""
    files = sorted((options.out / "histories").glob("*.jsonl"))
    histories = {path.stem: read(path) for path in files}
    verdicts = tuple(judge_all(histories, options.claims or None))
    tally = Tally(
        allowed_unknown=options.allowed_unknown,
        subset=bool(options.claims and set(options.claims) < set(CLAIMS)) or bool(options.only),
        clean_commit=code.clean,
    )
    facts = Facts(
        seed=options.seed,
        commit=code.commit,
        code_digest=code.code_digest,
        settings={"figures": dict(FIGURES), "scenarios": {n: h.header.settings for n, h in histories.items()}},
        versions={**versions(), "toxiproxy": _toxiproxies(histories)},
        histories=[_file(path, histories[path.stem]) for path in files],
        started_at=started_at,
        finished_at=_utc(),
        sabotage=options.sabotage,
        problems=problems,
    )
    certificate = statement(verdicts, tally, facts)
    text = json.dumps(certificate, indent=2, sort_keys=True, ensure_ascii=False)
    (options.out / "certificate.json").write_text(text + "\n", encoding="utf-8")
    (options.out / "certificate.md").write_text(render(certificate, COMPONENTS), encoding="utf-8")
    exit_code = Exit(certificate["predicate"]["exit_code"])
    return Outcome(certificate, verdicts, exit_code)


def _toxiproxies(histories: Mapping[str, History]) -> str:
    """Which Toxiproxy ran: the real one or the embedded one, as each world found it."""
    kinds = {str(history.header.versions.get("toxiproxy", "none")) for history in histories.values()}
    return ", ".join(sorted(kinds)) or "none"


def _file(path: Path, history: History) -> HistoryFile:
    faults: dict[str, bool] = {}
    for event in history.select("fault", "heal"):
        kind = str(event.value["kind"])
        faults[kind] = faults.get(kind, False) or bool(event.value["bit"])
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    return HistoryFile(path.stem, f"histories/{path.name}", digest, history.header.world, len(history.events), faults)


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
