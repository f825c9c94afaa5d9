"""The simulated world in a process of its own: the simulator patches what a process has one of.

``python -m hardening.sessions.sim_worker [REQUESTS.jsonl]`` takes one JSON object a line, from the file or from
standard input, and answers in JSON lines on standard output:

- ``{"explore": TASK}``: every scenario runs under its default schedule and then under more of them, round by round,
  until the task's wall seconds are over; one line for each run. Histories and failing sessions are files in ``out``.
- ``{"run": {"session": SESSION, "history": PATH}}``: one session runs under its own schedule; its history is written,
  one line says ``{"problem", "trace_digest", "plan"}``.

A mutant is applied with the first request that names it, so one process serves one mutant. The exit code is 4 when it
cannot be loaded or when something left the sandbox; the last line on standard error says why.
"""

from __future__ import annotations

import dataclasses
import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hardening.catalogue.scenario import Program
from hardening.catalogue.selection import simulated_scenarios
from hardening.claims.verdict import Exit, Outcome, Verdict
from hardening.history.events import History
from hardening.runs.runner import spec_of
from hardening.runs.simulated import BOUNDS, CLIENTS, Simulation, plan_of, run_simulated
from hardening.sessions.session import Session
from hardening.sessions.sim_failure import failure_of
from hardening.simulator.adapters.stdlib import Sandbox
from hardening.simulator.core.errors import RuleBrokenError
from hardening.simulator.core.plan import Plan
from hardening.simulator.search.counterexample import Exploration
from hardening.simulator.search.sandbox import sandbox
from hardening.simulator.search.search import Search
from hardening.worlds.live.launcher import SabotageError, load_sabotage
from hardening.worlds.spec import RunContext, WorldSpec

SESSIONS = "sessions"
PREFIX = "sim-"
"""Of the names of histories and sessions."""

Write = Callable[[Mapping[str, Any]], None]
"""Takes one JSON object of the answer."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be explored.

    Attributes:
        out: directory for histories and sessions.
        scenarios: names, in order.
        context: seed, commit, mutant, candles.
        budget_s: wall seconds; each scenario's default schedule is run even beyond.
        schedules_max: schedules for each scenario at most.
        shrink_runs: how many runs shrinking a failure may take.
        explain: a failure is shrunk, run again and put into words; else only the claims that failed are reported.
        regressions: files of adopted sessions of the simulated world, replayed before anything else.
        niceness: of the process, for the sake of processes beside it that live in real time.
    """

    out: str
    scenarios: tuple[str, ...]
    context: RunContext = field(default_factory=RunContext)
    budget_s: float = 30.0
    schedules_max: int = 1_000_000
    shrink_runs: int = 30
    explain: bool = True
    regressions: tuple[str, ...] = ()
    niceness: int = 0


_TASK = TypeAdapter(Task)


@dataclass(slots=True)
class UnderSearch:
    """One scenario under search: what its schedules showed so far.

    ``kept`` are the histories that will be stored: the default schedule's, and those that first settled a claim.
    ``failed`` are the claims of the last run that did not hold; ``plan`` is the one schedule of a session that is
    replayed.
    """

    simulation: Simulation
    search: Search
    report: Exploration
    settled: set[str] = field(default_factory=set)
    kept: list[tuple[History, int]] = field(default_factory=list)
    effective: dict[str, bool] = field(default_factory=dict)
    seen: int = 0
    failed: list[str] = field(default_factory=list)
    is_over: bool = False
    plan: Plan | None = None

    def saw(self, history: History, verdicts: tuple[Verdict, ...]) -> None:
        """Take in one run."""
        fresh = {verdict.claim for verdict in verdicts if verdict.outcome is Outcome.PASS} - self.settled
        self.failed = [verdict.claim for verdict in verdicts if verdict.outcome is Outcome.FAIL]
        if not self.kept or (fresh and not self.failed):
            self.kept.append((history, self.seen))
        self.settled |= fresh
        for event in history.select("fault", "heal"):
            kind = str(event.value["kind"])
            self.effective[kind] = self.effective.get(kind, False) or bool(event.value["bit"])
        self.seen += 1


class Exploring:
    """One task under way; ``write`` takes one JSON object for each run."""

    def __init__(self, task: Task, write: Write, clock: Callable[[], float]) -> None:
        self._task = task
        self._write = write
        self._clock = clock
        self._began_s = clock()
        self._out = Path(task.out)

    def work(self) -> None:
        """All of it."""
        with sandbox(BOUNDS) as box:
            replayed = dict(self._replayed(Path(file), box) for file in self._task.regressions)
            for name, one in replayed.items():
                self._run(name, one, 0)
            known = simulated_scenarios(self._task.context.seed)
            explored = {name: self._explored(name, known[name], box) for name in self._task.scenarios}
            for number, (name, one) in self._rounds(explored):
                if not one.is_over:
                    self._run(name, one, number)
        for name, one in {**replayed, **explored}.items():
            self._store(name, one)

    def _rounds(self, explored: Mapping[str, UnderSearch]) -> Iterator[tuple[int, tuple[str, UnderSearch]]]:
        """Round after round over what is explored, with the round's number, until all is over or the time is."""
        for number in itertools.islice(itertools.count(), self._task.schedules_max):
            if all(one.is_over for one in explored.values()):
                return
            for item in explored.items():
                if number and self._is_over():
                    return
                yield number, item

    def _is_over(self) -> bool:
        return self._clock() - self._began_s > self._task.budget_s

    def _explored(self, name: str, program: Program, box: Sandbox) -> UnderSearch:
        return self._under_search(name, program, spec_of(program, self._task.context, name), box)

    def _replayed(self, file: Path, box: Sandbox) -> tuple[str, UnderSearch]:
        """A session that once failed, with today's code; its name leads to its histories."""
        session = Session.load(file)
        context = dataclasses.replace(self._task.context, seed=session.seed, candles="")
        name = f"regression-{session.name}"
        one = self._under_search(name, session.program, spec_of(session.program, context, session.scenario.name), box)
        one.plan = plan_of(session.plan)
        return name, one

    def _under_search(self, name: str, program: Program, spec: WorldSpec, box: Sandbox) -> UnderSearch:
        simulation = Simulation(program, spec)
        search = Search(simulation, box, BOUNDS, spec.context.seed, CLIENTS, shrink_runs_max=self._task.shrink_runs)
        one = UnderSearch(simulation, search, Exploration(name, spec.context.seed))
        simulation.on_run = one.saw
        return one

    def _run(self, name: str, one: UnderSearch, number: int) -> None:
        if one.plan is None:
            found = one.search.one(number, one.report, explain=self._task.explain)
        else:
            found = one.search.again(one.plan, one.report)
        one.is_over = found
        gc.collect()
        value: dict[str, Any] = {
            "scenario": name,
            "schedules": one.report.runs,
            "settled": sorted(one.settled),
            "effective": sorted(kind for kind, bit in one.effective.items() if bit),
            "events": len(one.kept[0][0].events) if one.kept else 0,
            "seconds": round(self._clock() - self._began_s, 3),
        }
        if found:
            value |= self._failure(name, one) if self._task.explain else self._in_short(one, number)
        self._write(value)

    def _in_short(self, one: UnderSearch, number: int) -> dict[str, Any]:
        """Which claims failed, by the run that showed it."""
        run = one.simulation.run
        problem = "it did not come to its end" if run is None else run.problem
        nothing = {"problem": "" if one.failed else problem, "story": "", "lane_svg": "", "session": ""}
        return {"failed": "".join(one.failed[:1]), "claims": one.failed, "schedule": number, **nothing}

    def _failure(self, name: str, one: UnderSearch) -> dict[str, Any]:
        """Shrunk already; run it once more, write it down, and say what it was."""
        counterexample = one.report.counterexample
        assert counterexample is not None
        # What shrinking tried must not come among the histories, and its last run is the failing one.
        one.simulation.on_run = lambda _history, _verdicts: None
        failure = failure_of(one.simulation, counterexample, f"{PREFIX}{name}-failed")
        # A replayed session has no number of its own.
        number = max(0, counterexample.run)
        one.kept.append((failure.history, number))
        path = failure.store(self._out / SESSIONS)
        return {
            "failed": failure.claim,
            "claims": [judged.claim for judged in failure.session.failures],
            "problem": failure.session.problem,
            "schedule": number,
            "story": failure.text,
            "lane_svg": failure.lane_svg,
            "session": str(path.relative_to(self._out)),
            "decisions": len(counterexample.plan),
        }

    def _store(self, name: str, one: UnderSearch) -> None:
        folder = self._out / "histories"
        for position, (history, number) in enumerate(one.kept):
            extra = {"schedules": one.report.runs if not position else 1, "schedule": number}
            header = dataclasses.replace(history.header, extra={**history.header.extra, **extra})
            suffix = f"-{number}" if position else ""
            History(header, history.events).write(folder / f"{PREFIX}{name}{suffix}.jsonl")


def explore(task: Task, write: Write) -> None:
    """Explore, and write one line for each run."""
    os.nice(task.niceness)
    gc.freeze()  # modules stay: no collection needs to look at them again, and there is one after each run
    Exploring(task, write, time.monotonic).work()


def run_session(session: Session, history: Path, write: Write) -> None:
    """Run one session under its plan (the default schedule without one)."""
    done = run_simulated(
        session.program, spec_of(session.program, session.context, session.scenario.name), plan_of(session.plan)
    )
    done.history.write(history)
    write({"problem": done.problem, "trace_digest": done.trace_digest, "plan": done.plan.to_json()})
    gc.collect()


def answer(request: Mapping[str, Any], apply: Callable[[str], None], write: Write) -> None:
    """Do what a request asks for; ``apply`` takes its mutant first."""
    if "explore" in request:
        task = _TASK.validate_python(request["explore"])
        apply(task.context.sabotage)
        explore(task, write)
    else:
        session = Session.from_json(request["run"]["session"])
        apply(session.sabotage)
        run_session(session, Path(request["run"]["history"]), write)


def main() -> int:
    """Answer every request; returns the exit code."""
    applied: list[str] = []

    def apply(mutant: str) -> None:
        if not applied:
            applied.append(mutant)
            if mutant:
                load_sabotage(mutant)()
        elif applied != [mutant]:
            raise SabotageError(f"--sabotage is {mutant!r}, allowed: {applied[0]!r}, which this process runs already")

    def write(value: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()

    try:
        with Path(sys.argv[1]).open(encoding="utf-8") if len(sys.argv) > 1 else sys.stdin as requests:
            for line in requests:
                answer(json.loads(line), apply, write)
    except (SabotageError, RuleBrokenError) as error:
        sys.stderr.write(f"sim_worker: {type(error).__name__}: {error}\n")
        return Exit.HARNESS
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
