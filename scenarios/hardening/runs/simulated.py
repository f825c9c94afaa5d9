"""Runs a scenario in the simulated world: one schedule exactly, or many until the judge says that a claim fails.

A scenario is a program for the simulator: it fails when a verdict of its history is FAIL, so that search, shrinking
and replay work on it as on any other program. What ran is kept as histories for the certificate.
"""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardening.catalogue.scenario import Program, Scenario
from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import History
from hardening.runs.phases import Run
from hardening.runs.runner import run_on
from hardening.runs.startup import run_startups_on
from hardening.simulator.core.choices import Choices
from hardening.simulator.core.errors import ViolationError
from hardening.simulator.core.plan import Bounds, Plan
from hardening.simulator.core.trace import Trace
from hardening.simulator.search.counterexample import Exploration
from hardening.simulator.search.run import run_traced
from hardening.simulator.search.sandbox import sandbox
from hardening.simulator.search.search import Search, Shard
from hardening.worlds.simulated.world import SimWorld
from hardening.worlds.spec import WorldSpec

BOUNDS = Bounds(max_virtual_s=20_000.0, max_steps=50_000_000)
CLIENTS = ("client-*",)
"""Tasks that a schedule may cancel: a client that is cancelled hangs up."""

SHRINK_RUNS = 60
STARTUP_TOTAL_S = 60.0
COLLECT_EVERY_RUNS = 8
"""A run leaves some megabytes of cycles (an application, its routes); they go between runs, never within one."""


class ClaimFailedError(ViolationError):
    """The judge found a claim broken; ``name`` is the claim, ``verdict`` says why."""

    def __init__(self, verdict: Verdict, virtual_s: float) -> None:
        super().__init__(verdict.claim, "always", virtual_s, 0, verdict.reason)
        self.verdict = verdict


class WorldProblemError(AssertionError):
    """The run was cut short: the service did not come up, a fault did not heal, an event lacked fields."""


PHASES = ("steady", "faults", "healed", "recovery", "quiet", "shutdown")


def incomplete(scenario: Program, history: History) -> str:
    """What a run that came to its end lacks: a phase, or tidiness; empty when nothing."""
    left = [thing for event in history.states("leftovers") for thing in event.value["found"]]
    if left:
        return f"left behind: {', '.join(map(str, left))}"
    phases = tuple(str(event.value["phase"]) for event in history.states("phase"))
    if isinstance(scenario, Scenario) and scenario.term_at_s is None and scenario.steady.operations:
        return "" if phases == PHASES else f"its phases were {', '.join(phases)}"
    return ""


@dataclass(slots=True)
class Simulation:
    """A scenario as a program; call it inside the simulator.

    Attributes:
        scenario: what runs: a scenario, or starts under difficulties.
        spec: how the world is made.
        claims: those that are judged; None: all.
        run: what the last run left.
        verdicts: and what the judge said of it.
        on_run: called with history and verdicts after each run.
    """

    scenario: Program
    spec: WorldSpec
    claims: Sequence[str] | None = None
    run: Run | None = None
    verdicts: tuple[Verdict, ...] = ()
    on_run: Callable[[History, tuple[Verdict, ...]], None] = lambda _history, _verdicts: None

    async def __call__(self) -> None:
        """Run it once.

        Raises:
            ClaimFailedError: the first claim that failed.
            WorldProblemError: when it did not come to its end.
        """
        world = SimWorld(self.spec)
        try:
            if isinstance(self.scenario, Scenario):
                self.run = await run_on(world, self.scenario)
            else:
                self.run = await run_startups_on(world, self.scenario, STARTUP_TOTAL_S)
        finally:
            world.dispose()
        history = self.run.history
        self.verdicts = tuple(judge_all({self.spec.scenario: history}, self.claims))
        self.on_run(history, self.verdicts)
        for verdict in self.verdicts:
            if verdict.outcome is Outcome.FAIL:
                raise ClaimFailedError(verdict, world.now())
        if problem := self.run.problem or incomplete(self.scenario, history):
            raise WorldProblemError(problem)


def plan_of(stored: Mapping[str, Any] | None) -> Plan:
    """The schedule that a session holds; the default one where it holds none.

    Raises:
        PlanError: when it is no plan.
    """
    return Plan((), BOUNDS) if stored is None else Plan.from_json(stored)


@dataclass(frozen=True, slots=True)
class SimOutcome:
    """One schedule that was run.

    Attributes:
        history: what was recorded.
        verdicts: what the judge said.
        plan: the schedule, with the digest of its trace.
        trace: what happened, step by step.
        problem: what cut the run short, else empty.
        error: what it failed with, None when it passed.
    """

    history: History
    verdicts: tuple[Verdict, ...]
    plan: Plan
    trace: Trace
    problem: str
    error: BaseException | None

    @property
    def failed(self) -> str:
        """The first claim that failed; empty when none did."""
        return next((verdict.claim for verdict in self.verdicts if verdict.outcome is Outcome.FAIL), "")

    @property
    def trace_digest(self) -> str:
        """Equal for equal runs."""
        return self.trace.digest()


@contextlib.contextmanager
def swept() -> Iterator[None]:
    """Sweep up what simulated processes left, in silence: one that was killed had no time to close anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            yield
        finally:
            gc.collect()


def run_simulated(
    scenario: Program,
    spec: WorldSpec,
    plan: Plan | None = None,
    claims: Sequence[str] | None = None,
) -> SimOutcome:
    """Run exactly one schedule, traced; the default one without a plan.

    Raises:
        RuleBrokenError: when something reached for the real world.
    """
    chosen = plan or Plan((), BOUNDS)
    simulation = Simulation(scenario, spec, claims)
    with swept(), sandbox(chosen.bounds) as box:
        outcome, trace = run_traced(simulation, Choices(chosen), chosen.bounds, box)
    if simulation.run is None:
        assert outcome.error is not None
        raise outcome.error
    ran = Plan(outcome.decisions, chosen.bounds, trace.digest())
    return SimOutcome(simulation.run.history, simulation.verdicts, ran, trace, simulation.run.problem, outcome.error)


def explore_scenario(
    simulation: Simulation,
    *,
    runs: int,
    seed: int,
    known: Sequence[Plan] = (),
    shard: Shard | None = None,
    shrink_runs_max: int = SHRINK_RUNS,
) -> Exploration:
    """Run a scenario under many schedules until a claim fails; the failing schedule comes back shrunk.

    Args:
        simulation: the scenario.
        runs: schedules at most; run 0 is the default schedule.
        seed: all schedules follow from it.
        known: plans that failed before; tried first.
        shard: part of the search.
        shrink_runs_max: how many runs shrinking may take.
    """
    with swept(), sandbox(BOUNDS) as box:
        search = Search(
            simulation,
            box,
            BOUNDS,
            seed,
            CLIENTS,
            shrink_runs_max=shrink_runs_max,
            collect_every_runs=COLLECT_EVERY_RUNS,
        )
        report = search.run(runs, shard or Shard(), known)
    if report.counterexample is not None:
        report.counterexample.program = simulation.spec.scenario
    return report
