"""The main job: run the scenarios in both worlds, store their histories, judge what was stored, certify.

The simulated world shows most claims, unscaled and under many schedules, in seconds; it runs in processes of its
own. The live world confirms with real processes what the budget allows, and shows what nothing else can.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hardening.catalogue.selection import live_only, simulated_scenarios
from hardening.certificate.baseline import Baseline
from hardening.certificate.conclude import Judged, Outcome, Ran, Terms, clear, conclude, utc
from hardening.certificate.provenance import Provenance, provenance
from hardening.certificate.waivers import Waiver
from hardening.certify.live_jobs import LiveJob, LiveRuns, live_jobs, replay_job
from hardening.certify.load_evidence import LoadEvidence, LoadEvidenceError, adopt_load, gather_load, nothing_from
from hardening.certify.progress import Progress
from hardening.certify.prove import Proof, prove
from hardening.certify.sim_jobs import Explored, cores, explore_all, shares
from hardening.claims.claims import CLAIMS
from hardening.claims.verdict import Outcome as Verdicts
from hardening.claims.verdict import Verdict
from hardening.faults.run_directory import sweep
from hardening.sessions.sim_worker import Task
from hardening.sessions.store import Stored
from hardening.worlds.live.world import versions
from hardening.worlds.spec import RunContext

BUDGET_S = 60.0
SIMULATED_SHARE = 0.45
"""Of the budget, while the live world runs beside it."""
STEPS_BACK = 10
"""Niceness of the simulated world beside the live one: virtual time is in no hurry, and the soak takes longest."""
CONCLUDE_S = 8.0
"""Of the budget: for reading and judging what was stored. What may be left out must have ended before."""

World = Literal["both", "simulated", "live"]
Extent = Literal["none", "sample", "all"]


@dataclass(frozen=True, slots=True)
class CertifyOptions:
    """What the command line asks for.

    Attributes:
        out: directory of the certificate.
        context: seed, mutant and candles; the job itself says which commit runs.
        allowed_unknown: claims that may be UNKNOWN.
        claims: only these; empty: all.
        only: only these scenarios; empty: all.
        world: where they run.
        budget_s: wall seconds that it may take; what must run runs even beyond.
        prove: how many of the shipped mutants are tried as well.
        waivers: claims excused, by whom and until when.
        sign_key: signs the certificate.
        baseline: an older certificate to compare with.
        regressions: adopted sessions, replayed before anything else.
        load: shape of a load run to be made as well, empty for none.
        load_duration_s: how long that run starts requests; ``None`` for the shape's own.
        load_dir: a judged load run to take as evidence instead.
    """

    out: Path
    context: RunContext = field(default_factory=RunContext)
    allowed_unknown: frozenset[str] = frozenset()
    claims: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    world: World = "both"
    budget_s: float = BUDGET_S
    prove: Extent = "none"
    waivers: tuple[Waiver, ...] = ()
    sign_key: Ed25519PrivateKey | None = None
    baseline: Baseline | None = None
    regressions: tuple[Stored, ...] = ()
    load: str = ""
    load_duration_s: float | None = None
    load_dir: Path | None = None

    def wants(self, name: str) -> bool:
        """Whether a scenario was asked for, by name or because it shows a claim that was."""
        if self.only:
            return name in self.only
        return not self.claims or any(name in CLAIMS[claim].shown_by for claim in self.claims)

    def replayed(self, world: Literal["simulated", "live"]) -> list[Stored]:
        """The regressions of a world that are asked for: all, or those in which a claim failed that was."""
        if self.only or self.world not in {"both", world}:
            return []
        claims = set(self.claims)
        here = [stored for stored in self.regressions if stored.session.world == world]
        return [one for one in here if not claims or claims & {judged.claim for judged in one.session.failures}]


async def certify(options: CertifyOptions, progress: Progress | None = None) -> Outcome:
    """Run everything and write the certificate, its reports and ``histories/`` into ``options.out``.

    A scenario whose world does not come up or does not heal leaves what it recorded, and a problem in the
    certificate: what it would have shown stays UNKNOWN, or fails if the record already shows a failure.
    """
    job = _Certification(options, progress or Progress())
    return await job.run()


@dataclass(slots=True)
class _Certification:
    options: CertifyOptions
    progress: Progress
    began_s: float = field(default_factory=time.monotonic)
    code: Provenance = field(default_factory=provenance)

    @property
    def context(self) -> RunContext:
        """What all runs share."""
        return replace(self.options.context, commit=self.code.commit)

    async def run(self) -> Outcome:
        options = self.options
        sweep()
        started_at = utc()
        histories = options.out / "histories"
        clear(options.out)
        live = LiveRuns(histories, self.progress, time.monotonic, options.budget_s - CONCLUDE_S, self.began_s)
        async with asyncio.TaskGroup() as group:
            exploring = group.create_task(self._explore(), name="simulated")
            group.create_task(self._live(live), name="live")
        explored = exploring.result()
        load = await self._load(histories)
        judged = await self._again(live, Judged.of(options.out, options.claims))
        proof = await self._prove()
        problems = [f"{name}: {text}" for name, text in sorted(live.problems.items())]
        problems += [f"load: {load.problem}"] if load.problem else []
        ran = Ran(
            code=self.code,
            started_at=started_at,
            versions=versions(),
            seed=options.context.seed,
            sabotage=options.context.sabotage,
            problems=[*problems, *explored.problems, *proof.problems],
            sabotages=proof.rows,
            loads=load.rows,
            stories=explored.stories,
        )
        partial = bool(options.only) or options.world != "both"
        terms = Terms(
            options.allowed_unknown,
            options.claims,
            partial=partial,
            waivers=options.waivers,
            sign_key=options.sign_key,
            baseline=options.baseline,
        )
        return conclude(options.out, ran, terms, judged=judged)

    async def _explore(self) -> Explored:
        options = self.options
        if options.world == "live":
            return Explored()
        names = [name for name in simulated_scenarios(options.context.seed) if options.wants(name)]
        alone = options.world == "simulated"
        workers = cores() if alone else 1
        budget_s = options.budget_s * (0.85 if alone else SIMULATED_SHARE)
        again = [str(stored.path.resolve()) for stored in options.replayed("simulated")]
        dealt = shares(names, workers) or ([()] if again else [])
        tasks = [
            Task(
                out=str(options.out),
                scenarios=share,
                regressions=tuple(again[number :: len(dealt)]),
                context=self.context,
                budget_s=budget_s,
                niceness=0 if alone else STEPS_BACK,
            )
            for number, share in enumerate(dealt)
        ]
        return await explore_all(tasks, self.progress.explored)

    async def _live(self, live: LiveRuns) -> None:
        jobs = self._live_jobs()
        if jobs:
            await live.run(jobs)

    def _live_jobs(self) -> list[LiveJob]:
        options = self.options
        if options.world == "simulated":
            return []

        def required(name: str) -> bool:
            return options.world == "live" or bool(options.only) or name in live_only()

        again = [replay_job(stored.session, self.context, self.progress) for stored in options.replayed("live")]
        return again + [job for job in live_jobs(self.context, required, self.progress) if options.wants(job.name)]

    async def _load(self, histories: Path) -> LoadEvidence:
        """Alone, when all else has ended: what it measures is time."""
        options = self.options
        if options.load_dir:
            try:
                return adopt_load(options.load_dir, histories, self.code)
            except LoadEvidenceError as error:  # it was whole when the command began
                return nothing_from("load", str(error))
        if not options.load:
            return LoadEvidence()
        name = f"load-{options.load}"
        found = await gather_load(
            histories,
            options.load,
            self.code,
            seed=options.context.seed,
            duration_s=options.load_duration_s,
            sabotage=options.context.sabotage,
            on_phase=lambda phase: self.progress.phase(name, phase),
        )
        held = sum(row["held"] is True for row in found.rows)
        self.progress.loaded(name, found.problem or f"{held} of {len(found.rows)} budgets held")
        return found

    async def _again(self, live: LiveRuns, judged: Judged) -> Judged:
        """Run once more what a busy machine swallowed: more evidence may settle an UNKNOWN, and never hides a FAIL."""
        names = self._not_exercised(judged.verdicts)
        jobs = [job for job in self._live_jobs() if job.name in names]
        if not jobs:
            return judged
        again = LiveRuns(live.out, self.progress, time.monotonic, float("inf"), self.began_s)
        await again.run(jobs, "-again")
        live.problems |= again.problems
        return Judged.of(self.options.out, self.options.claims)

    def _not_exercised(self, verdicts: Sequence[Verdict]) -> set[str]:
        """Scenarios of claims that are UNKNOWN, may not be, and are shown by one."""
        options = self.options
        if options.only or options.context.sabotage or options.world == "simulated":
            return set()
        unknown = [verdict.claim for verdict in verdicts if verdict.outcome is Verdicts.UNKNOWN]
        return {name for claim in unknown if claim not in options.allowed_unknown for name in CLAIMS[claim].shown_by}

    async def _prove(self) -> Proof:
        if self.options.prove == "none":
            return Proof()
        return await prove(self.options.prove, self.options.context.seed, self.code.commit, self.progress)
