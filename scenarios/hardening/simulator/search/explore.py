"""The front: ``explore`` a program under many schedules, ``replay`` one schedule exactly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from hardening.simulator.core.choices import Choices
from hardening.simulator.core.plan import Bounds, Plan
from hardening.simulator.core.trace import Trace, first_difference
from hardening.simulator.search.corpus import PlanStore
from hardening.simulator.search.counterexample import Counterexample, Exploration, Recording
from hardening.simulator.search.run import key_of, run_traced
from hardening.simulator.search.sandbox import sandbox
from hardening.simulator.search.search import PYTHON, Search, Shard, name_of_program

Patterns = str | Iterable[str] | None


def explore(
    program: Callable[[], Any],
    *,
    runs: int = 1000,
    seed: int | None = None,
    cancel: Patterns = None,
    latency: tuple[float, float] = (0.0005, 0.05),
    max_virtual_s: float = 3600.0,
    max_steps: int = 100_000,
    reorder: bool = False,
    leftovers: Literal["report", "fail"] = "report",
    lost: Literal["report", "fail"] = "report",
    clock: Literal["freeze", "loop"] = "freeze",
    corpus: PlanStore | None = None,
    shard: Shard | str = "1/1",
    shrink_runs_max: int = 400,
    cancel_until_s: float | None = None,
    isolate: bool = False,
    seconds: float | None = None,
) -> Exploration:
    """Run ``program`` under many schedules, a fresh loop for each, until one fails.

    Args:
        program: an ``async def`` without arguments; it fails by raising.
        runs: schedules at most; run 0 is the default schedule.
        seed: everything follows from it; None draws one.
        cancel: name pattern(s) of tasks that may be cancelled at any step (``"client*"``).
        latency: bounds of a packet's latency in seconds.
        max_virtual_s: virtual seconds after which a run is overdue.
        max_steps: callbacks after which a run is a livelock.
        reorder: let ready callbacks change places. asyncio documents their order, so correct code may fail.
        leftovers: whether tasks, timers, sockets and locks left at the end fail a run or are only reported.
        lost: the same for exceptions nobody looked at; a lost assertion always fails.
        clock: ``freeze`` covers ``datetime`` and early imports; ``loop`` covers the ``time`` module, and is quicker.
        corpus: stored plans; tried first, and a new failure is added.
        shard: part ``i/n`` of the search.
        shrink_runs_max: how many runs shrinking may take.
        cancel_until_s: virtual seconds after which nobody is cancelled, so that a program can check what is left.
        isolate: give each run a forked process, so that nothing lives on from one to the next.
        seconds: real seconds after which no further schedule is begun.

    Raises:
        RuleBrokenError: when the program reached for a real socket, thread, subprocess or wait.
        PlanError: when an argument can not be.
    """
    bounds = Bounds((latency[0], latency[1]), max_virtual_s, max_steps, leftovers, lost, clock, cancel_until_s)
    part = shard if isinstance(shard, Shard) else Shard.parse(shard)
    patterns = (cancel,) if isinstance(cancel, str) else tuple(cancel or ())
    chosen = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    name = name_of_program(program)
    known = corpus.plans(name) if corpus is not None else ()
    with sandbox(bounds) as box:
        search = Search(program, box, bounds, chosen, patterns, reorder, shrink_runs_max)
        search.isolate, search.seconds = isolate, seconds
        report = search.run(runs, part, known)
    if report.counterexample is not None:
        report.counterexample.program = name
        if corpus is not None:
            corpus.add(name, report.counterexample.plan)
    return report


@dataclass(frozen=True, slots=True)
class Replay:
    """How a replay went.

    Attributes:
        exception: what it failed with; None when it passed.
        trace: what happened.
        digest: of the trace.
        same_trace: whether the trace is the recorded one; None when none was recorded.
        difference: where they part, as one line; empty when they do not.
        result: what the program returned.
    """

    exception: BaseException | None
    trace: Trace
    digest: str
    same_trace: bool | None
    difference: str
    result: Any = None

    @property
    def failed(self) -> bool:
        """Whether the program failed again."""
        return self.exception is not None

    @property
    def key(self) -> tuple[str, str] | None:
        """Kind and place of the failure."""
        return None if self.exception is None else key_of(self.exception)


def replay(program: Callable[[], Any], plan: Plan | Recording | Counterexample | str) -> Replay:
    """Run ``program`` once under exactly this schedule, with a trace.

    Args:
        program: the same as was explored.
        plan: a plan, its one-line text, a stored recording or a counterexample.

    Raises:
        RuleBrokenError: when the program reached for the real world.
        PlanError: when the text is no plan.
    """
    lines: list[str] | None = None
    if isinstance(plan, Counterexample):
        plan = plan.recording()
    if isinstance(plan, Recording):
        lines, plan = list(plan.lines), plan.plan
    if isinstance(plan, str):
        plan = Plan.parse(plan)
    with sandbox(plan.bounds) as box:
        outcome, trace = run_traced(program, Choices(plan), plan.bounds, box)
    digest = trace.digest()
    same = digest == plan.digest if plan.digest else None
    difference = "" if same is not False else _difference(plan, lines, trace)
    return Replay(outcome.error, trace, digest, same, difference, outcome.result)


def _difference(plan: Plan, lines: list[str] | None, trace: Trace) -> str:
    other = f" (recorded on Python {plan.python}, this is {PYTHON})" if plan.python not in ("", PYTHON) else ""
    if lines is None:
        return f"the digest differs{other}; the recorded trace is not at hand, so not where"
    return first_difference(lines, trace.lines()) + other
