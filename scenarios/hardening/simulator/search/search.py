"""The search: many seeded schedules of one program until one fails, then the smallest plan that still does.

Run 0 is the default schedule. Run ``i`` depends on the seed and ``i`` alone, so any split of the numbers over
processes and machines finds the same failures, and the lowest number wins.
"""

from __future__ import annotations

import gc
import platform
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hardening.simulator.adapters.stdlib import Sandbox
from hardening.simulator.core.choices import Choices, SeededChoices, SparseChoices
from hardening.simulator.core.plan import Bounds, Decision, Plan, PlanError
from hardening.simulator.core.trace import Trace, name_of
from hardening.simulator.search.counterexample import Counterexample, Exploration
from hardening.simulator.search.isolated import isolated
from hardening.simulator.search.run import Outcome, run_once, run_traced
from hardening.simulator.search.shrink import Attempt, shrink

COLLECT_EVERY_RUNS = 500

SMALL = 2
"""Plans of so few decisions are not tried to be bettered."""

PYTHON = ".".join(platform.python_version_tuple()[:2])


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` (from 1) of ``count`` of a search."""

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise PlanError("shard", f"{self.index}/{self.count}", "i/n with 1 <= i <= n")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``.

        Raises:
            PlanError: when it is none.
        """
        left, _, right = text.partition("/")
        if not (left.isdigit() and right.isdigit()):
            raise PlanError("shard", text, "i/n with 1 <= i <= n")
        return cls(int(left), int(right))

    def numbers(self, runs: int) -> Iterator[int]:
        """The run numbers of this part."""
        return iter(range(self.index - 1, runs, self.count))


@dataclass(slots=True)
class Search:
    """One search over one program.

    Attributes:
        program: an ``async def`` without arguments.
        bounds: limits that every run keeps to.
        seed: from which all schedules follow.
        clients: name patterns of tasks that may be cancelled.
        reorder: whether ready callbacks may change places.
        shrink_runs_max: how many runs shrinking may take; 0 leaves the plan as found.
        collect_every_runs: how often the cyclic collector runs, between two runs.
        isolate: whether each run has a process of its own.
        seconds: real seconds after which no further schedule is begun.
    """

    program: Callable[[], Any]
    box: Sandbox
    bounds: Bounds
    seed: int
    clients: tuple[str, ...] = ()
    reorder: bool = False
    shrink_runs_max: int = 400
    collect_every_runs: int = COLLECT_EVERY_RUNS
    isolate: bool = False
    seconds: float | None = None
    _span: int = field(default=0, init=False)
    _first: Outcome | None = field(default=None, init=False)

    def run(self, runs: int, shard: Shard, known: Iterable[Plan] = ()) -> Exploration:
        """Try the known plans, then the numbers of the shard, until a schedule fails."""
        report = Exploration(name_of_program(self.program), self.seed)
        began_s = time.process_time()
        found = self._known(known, report) or self._numbers(shard.numbers(runs), report)
        if found is not None:
            report.counterexample = self._explain(*found)
        report.cpu_s = time.process_time() - began_s
        return report

    def _known(self, known: Iterable[Plan], report: Exploration) -> tuple[Outcome, int] | None:
        for plan in known:
            outcome = self._run(Choices(replace(plan, bounds=self.bounds)))
            report.count(outcome)
            if outcome.error is not None:
                report.from_corpus = True
                return outcome, -1
        return None

    def _numbers(self, numbers: Iterator[int], report: Exploration) -> tuple[Outcome, int] | None:
        began_s = self.box.monotonic()
        self._default(report)
        done = 0
        for number in numbers:
            outcome = self._try(number, report)
            if outcome.error is not None:
                return outcome, number
            done += 1
            if self.seconds is not None and self.box.monotonic() - began_s >= self.seconds:
                break
            if not done % self.collect_every_runs:
                gc.collect()
        if not done:
            report.count(self._default(report))
        return None

    def one(self, number: int, report: Exploration, *, explain: bool = True) -> bool:
        """Run schedule ``number`` alone, for a search that goes on later; True when it failed (and was explained)."""
        outcome = self._try(number, report)
        if outcome.error is not None and explain:
            report.counterexample = self._explain(outcome, number)
        return outcome.error is not None

    def again(self, plan: Plan, report: Exploration) -> bool:
        """Run one known plan alone; True when it failed and was explained."""
        found = self._known([plan], report)
        if found is not None:
            report.counterexample = self._explain(*found)
        return found is not None

    def _default(self, report: Exploration) -> Outcome:
        """The default schedule, run once: how many steps it takes is what cancellations are spread over."""
        if self._first is None:
            first = self._first = self._run(Choices(Plan()), look_back=True)
            self._span = first.steps + max(4, first.steps // 4)
            report.leftovers, report.lost = first.leftovers, first.lost
        return self._first

    def _try(self, number: int, report: Exploration) -> Outcome:
        outcome = self._default(report)
        if number:
            rng = random.Random((self.seed << 40) + number)
            choices = SeededChoices(rng, self.clients, self._span, reorder=self.reorder)
            outcome = self._run(choices)
        report.count(outcome)
        return outcome

    def _explain(self, outcome: Outcome, number: int) -> Counterexample:
        """Shrink the failure, run it twice with a trace, and say what is known of it."""
        found = outcome.decisions
        key = outcome.key
        tries = 0

        def attempt(decisions: tuple[Decision, ...]) -> tuple[Decision, ...] | None:
            nonlocal tries
            tries += 1
            again = self._run(Choices(Plan(decisions)))
            return again.decisions if again.key == key else None

        decisions = found
        if self.shrink_runs_max:
            decisions = shrink(found, attempt, runs_max=self.shrink_runs_max)
            if len(decisions) > SMALL:
                decisions = self._sparser(decisions, outcome, attempt)
        plan = Plan(decisions, self.bounds)
        (final, trace), (second, retrace) = self._traced(plan), self._traced(plan)
        repeats = final.key == key == second.key and trace.digest() == retrace.digest()
        if final.error is None:
            final.error = outcome.error
        return Counterexample(
            exception=final.error,  # type: ignore[arg-type]
            plan=replace(plan, digest=trace.digest(), python=PYTHON),
            seed=self.seed,
            run=number,
            trace=trace,
            found_decisions=len(found),
            shrink_runs=tries,
            repeats=repeats,
        )

    def _sparser(self, best: tuple[Decision, ...], outcome: Outcome, attempt: Attempt) -> tuple[Decision, ...]:
        """Look for the same failure among schedules that hardly deviate; the smallest plan stays."""
        drawn = max(1, sum(outcome.choices.drawn.values()))
        cancels = sum(decision.kind == "cancel" for decision in best)
        if any(decision.kind == "first" for decision in best):
            return best
        rng = random.Random()
        for number in range(self.shrink_runs_max // 2):
            rng.seed((self.seed << 40) - number - 1)
            known = frozenset((d.who, d.index) for d in best if d.kind == "draw") if number % 2 else frozenset()
            share = 0.0 if known else min(1.0, (number % 3) * 1.2 / drawn)
            few = 2.5 / max(1, len(known))
            choices = SparseChoices(rng, self.clients, self._span, share, min(cancels, 1 + number % 2), known, few)
            again = self._run(choices)
            if again.key == outcome.key:
                smaller = shrink(again.decisions, attempt, runs_max=self.shrink_runs_max // 4)
                best = min(best, smaller, key=len)
                if len(best) <= SMALL:
                    break
        return best

    def _traced(self, plan: Plan) -> tuple[Outcome, Trace]:
        def run() -> tuple[Outcome, Trace | None]:
            return run_traced(self.program, Choices(plan), self.bounds, self.box)

        outcome, trace = isolated(run) if self.isolate else run()
        assert trace is not None
        return outcome, trace

    def _run(self, choices: Choices, *, look_back: bool = False) -> Outcome:
        def run() -> tuple[Outcome, Trace | None]:
            return run_once(self.program, choices, self.bounds, self.box, look_back=look_back), None

        return (isolated(run) if self.isolate else run())[0]


def name_of_program(program: Any) -> str:
    """A program's name, for people."""
    return name_of(program)
