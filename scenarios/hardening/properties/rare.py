"""Hypothesis properties over scenarios: no claim fails under any drawn workload, faults and interleaving.

``@rare(strategy)`` makes a property of a test. Hypothesis draws scenarios and seeds; the simulator searches a few
schedules of each. Both shrink a failure: first the scenario, then the schedule. It is a ``ScenarioFailedError`` whose
message says what was asked, what broke and what was observed, and ends with the line that replays its session file.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import given
from hypothesis.strategies import SearchStrategy

from hardening.catalogue.scenario import Scenario, StartupCase
from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import History
from hardening.properties.strategies import interleavings
from hardening.runs.runner import run_live, spec_of
from hardening.runs.simulated import BOUNDS, CLIENTS, SHRINK_RUNS, Simulation, swept
from hardening.sessions.sim_failure import failure_of
from hardening.simulator.adapters.stdlib import Sandbox
from hardening.simulator.core.plan import Plan
from hardening.simulator.search.counterexample import Counterexample
from hardening.simulator.search.sandbox import sandbox
from hardening.simulator.search.search import Search, Shard
from hardening.worlds.spec import RunContext

Drawn = Scenario | tuple[StartupCase, ...]
OnRun = Callable[[History, tuple[Verdict, ...]], None]

SESSIONS_VARIABLE = "HARDENING_SESSIONS"
SESSIONS = Path(".hardening/sessions")
"""The folder for the sessions of failures, unless the variable names another one."""

SHARD_VARIABLE = "HARDENING_SHARD"
SHRINK_CPU_S = 30.0
"""Processor time for shrinking a scenario; what is not tried by then does not count as a smaller failure."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How many scenarios one test draws, and how many schedules of each it runs."""

    examples: int
    schedules: int


CERTAIN_EXAMPLES = 100
EFFORTS = {"dev": Effort(4, 2), "ci": Effort(7, 2), "deep": Effort(2000, 16)}
"""By the name of the Hypothesis profile: seconds, minutes, hours."""


def effort() -> Effort:
    """The effort of the Hypothesis profile in force; a shard runs its share of the examples, from its own seed."""
    whole = EFFORTS.get(hypothesis.settings.get_current_profile_name(), EFFORTS["dev"])
    shard = Shard.parse(os.environ.get(SHARD_VARIABLE, "1/1"))
    return Effort(max(1, -(-whole.examples // shard.count)), whole.schedules)


class ScenarioFailedError(AssertionError):
    """A drawn scenario broke a claim or did not finish; the message describes it."""


@dataclass(slots=True)
class Trial:
    """One test's trial of the scenarios that Hypothesis draws for it.

    Attributes:
        name: of the test, and of its session file.
        box: the simulator's sandbox, entered once for all runs.
        schedules: of each scenario.
        met: claims that passed in some run, with the number of runs.
        runs: schedules run.
    """

    name: str
    box: Sandbox
    schedules: int
    on_run: OnRun = lambda _history, _verdicts: None
    met: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    _failed: dict[str, ScenarioFailedError] = field(default_factory=dict)
    _known: tuple[Plan, ...] = ()
    _smallest: tuple[Simulation, int] | None = None
    _since_s: float = 0.0

    def holds(self, drawn: Drawn, seed: int) -> None:
        """Run some schedules of a scenario; one that failed before fails again without a run.

        Raises:
            ScenarioFailedError: when one of them breaks a claim or is cut short.
        """
        mark = f"{seed} {drawn!r}"
        if mark in self._failed:
            self._smallest = self._failed[mark].args[1]
            raise self._failed[mark]
        if self._failed and time.process_time() - self._since_s > SHRINK_CPU_S:
            return
        simulation = Simulation(drawn, spec_of(drawn, RunContext(), self.name), on_run=self._ran)
        found = self._search(simulation, seed, 0)
        if found is None:
            return
        self._since_s = self._since_s or time.process_time()
        self._known = (found.plan,)
        self._smallest = (simulation, seed)
        self._failed[mark] = ScenarioFailedError(str(found.exception), self._smallest)
        raise self._failed[mark]

    def _search(self, simulation: Simulation, seed: int, shrink_runs: int) -> Counterexample | None:
        search = Search(simulation, self.box, BOUNDS, seed, CLIENTS, shrink_runs_max=shrink_runs)
        found = search.run(self.schedules, Shard(), self._known).counterexample
        gc.collect()
        return found

    def _ran(self, history: History, verdicts: tuple[Verdict, ...]) -> None:
        self.runs += 1
        for verdict in verdicts:
            if verdict.outcome is Outcome.PASS:
                self.met[verdict.claim] = self.met.get(verdict.claim, 0) + 1
        self.on_run(history, verdicts)

    def shrunk(self) -> Counterexample:
        """The smallest scenario's failure again, its schedule shrunk as well."""
        assert self._smallest is not None
        simulation, seed = self._smallest
        found = self._search(simulation, seed, SHRINK_RUNS)
        assert found is not None, "a failing scenario did not fail again: the simulation is not deterministic"
        return found

    def story(self, found: Counterexample) -> str:
        """Write the session of a failure; returns its description and the line that replays it."""
        assert self._smallest is not None
        failure = failure_of(self._smallest[0], found, self.name)
        path = failure.store(Path(os.environ.get(SESSIONS_VARIABLE, SESSIONS)))
        # The session holds the order of events; the message says what was asked, what broke and what was observed.
        words = failure.text.split("\n\n", 1)[0]
        if not failure.claim:
            words += f"\n{type(found.exception).__name__}: {found.exception}"
        away = f"{len(found.plan)} deviations from the default schedule" if len(found.plan) else "the default schedule"
        sure = "the same trace each time" if found.repeats else "NOT the same trace each time"
        return f"{words}\nunder:    {away}, {sure}\nreplay:   hardening replay {path}"


def rare(
    drawn: SearchStrategy[Any], *, exercises: Iterable[str] = ()
) -> Callable[[Callable[..., None]], Callable[[Any], None]]:
    """Make a property of a test: no claim fails in any drawn scenario.

    The test is called with the history and the verdicts of each run, for assertions of its own.

    Args:
        drawn: scenarios, or tuples of start-up cases.
        exercises: claims that must each have passed in some run, or the scenarios miss their purpose.
    """
    wanted = tuple(exercises)

    def decorate(test: Callable[..., None]) -> Callable[[Any], None]:
        name = test.__name__.removeprefix("test_").replace("_", "-")

        def run(self: Any) -> None:
            __tracebackhide__ = True
            tried = effort()
            with swept(), sandbox(BOUNDS) as box:
                gc.freeze()
                try:
                    _try(Trial(name, box, tried.schedules, lambda h, v: test(self, h, v)), drawn, tried, wanted)
                finally:
                    gc.unfreeze()

        run.__name__, run.__qualname__, run.__doc__ = test.__name__, test.__qualname__, test.__doc__
        run.__module__ = test.__module__
        return run

    return decorate


def _try(trial: Trial, drawn: SearchStrategy[Any], tried: Effort, wanted: Sequence[str]) -> None:
    __tracebackhide__ = True

    def holds(scenario: Drawn, seed: int) -> None:
        trial.holds(scenario, seed)

    # Hypothesis keeps examples and derandomises by the function's name.
    holds.__qualname__ = holds.__name__ = "holds_" + trial.name.replace("-", "_")
    looks = hypothesis.settings(max_examples=tried.examples, report_multiple_bugs=False, print_blob=False)
    try:
        looks(given(scenario=drawn, seed=interleavings())(holds))()
    except ScenarioFailedError:
        raise ScenarioFailedError(trial.story(trial.shrunk())) from None
    # A handful of random examples may miss a rare premise; examples that are always the same may not.
    certain = looks.derandomize or tried.examples >= CERTAIN_EXAMPLES
    missed = [claim for claim in wanted if claim not in trial.met] if certain else []
    assert not missed, f"{trial.name}: no run of {trial.runs} exercised {', '.join(missed)}; it exercised {trial.met}"


def confirm(scenario: Scenario, *, met: Iterable[str] = (), seed: int = 0) -> None:
    """Run one scenario in the live world: no claim fails, and the claims of ``met`` pass.

    On a busy machine a premise may not occur and a claim of ``met`` be UNKNOWN: then the scenario runs once more.

    Raises:
        ScenarioFailedError: naming claims, reasons and evidence.
    """
    for last in (False, True):
        run = asyncio.run(run_live(scenario, RunContext(seed)))
        verdicts = judge_all({scenario.name: run.history})
        failed = [v for v in verdicts if v.outcome is Outcome.FAIL]
        missed = [v for v in verdicts if v.claim in set(met) and v.outcome is Outcome.UNKNOWN]
        if failed or run.problem or (missed and last):
            lines = [f"{v.claim} {v.outcome.value}: {v.reason}" for v in (*failed, *missed)]
            evidence = [f"  {event}" for v in failed for event in v.evidence]
            raise ScenarioFailedError(
                "\n".join(filter(None, [f"{scenario.name}, live", run.problem, *lines, *evidence]))
            )
        if not missed:
            return
