"""The simulated part of a certification, in a process of its own: the simulator patches what a process has one of.

``python -m hardening.certify.sim_worker TASK.json`` reads what is asked of it (``Task``), applies the sabotage if there
is one, runs every scenario under its default schedule and then under more of them, round by round, until its time
is up. Each run is one JSON line on standard output; histories and failing sessions are files in ``out``.
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

from hardening.catalogue.selection import SimScenario, simulated_scenarios
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import History
from hardening.runs.runner import spec_of
from hardening.runs.simulated import BOUNDS, CLIENTS, Simulation, plan_of
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

HARNESS = 4
SESSIONS = "sessions"


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of a worker.

    Attributes:
        out: directory for histories and sessions.
        scenarios: names, in order.
        seed: everything is drawn from it.
        commit: of the code that runs.
        sabotage: the mutant (a name or ``FILE.py:NAME``), empty for the sound service.
        candles: path of a CSV for the ticker.
        budget_s: wall seconds; each scenario's default schedule is run even beyond.
        schedules_max: schedules for each scenario at most.
        shrink_runs: how many runs shrinking a failure may take.
        told: a failure is shrunk, run again and put into words; else it is only said which claims failed.
        until: stop as soon as this claim has failed.
        prefix: of the names of what is written.
        regressions: files of adopted sessions of the simulated world, replayed before anything else.
        niceness: how far it steps back for the processes beside it, which live in real time.
    """

    out: str
    scenarios: tuple[str, ...]
    seed: int = 0
    commit: str = "unknown"
    sabotage: str = ""
    candles: str = ""
    budget_s: float = 30.0
    schedules_max: int = 1_000_000
    shrink_runs: int = 30
    told: bool = True
    until: str = ""
    prefix: str = "sim-"
    regressions: tuple[str, ...] = ()
    niceness: int = 0

    def dumps(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def loads(cls, text: str) -> Task:
        """Read it back."""
        data = json.loads(text)
        lists = {name: tuple(data[name]) for name in ("scenarios", "regressions")}
        return cls(**{**data, **lists})


@dataclass(slots=True)
class Explored:
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
    bitten: dict[str, bool] = field(default_factory=dict)
    seen: int = 0
    failed: list[str] = field(default_factory=list)
    is_over: bool = False
    plan: Plan | None = None

    def saw(self, history: History, verdicts: tuple[Verdict, ...]) -> None:
        """Told of each run."""
        fresh = {verdict.claim for verdict in verdicts if verdict.outcome is Outcome.PASS} - self.settled
        self.failed = [verdict.claim for verdict in verdicts if verdict.outcome is Outcome.FAIL]
        if not self.kept or (fresh and not self.failed):
            self.kept.append((history, self.seen))
        self.settled |= fresh
        for event in history.select("fault", "heal"):
            kind = str(event.value["kind"])
            self.bitten[kind] = self.bitten.get(kind, False) or bool(event.value["bit"])
        self.seen += 1


class Worker:
    """Runs one task; ``write`` takes one JSON object for each run."""

    def __init__(self, task: Task, write: Callable[[Mapping[str, Any]], None], clock: Callable[[], float]) -> None:
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
            known = simulated_scenarios(self._task.seed)
            explored = {name: self._explored(name, known[name], box) for name in self._task.scenarios}
            for number in self._rounds():
                open_ones = [name for name, one in explored.items() if not one.is_over]
                if not open_ones:
                    break
                for name in open_ones:
                    if number and self._is_over():
                        break
                    self._run(name, explored[name], number)
                    if self._task.until and self._task.until in self._failed(explored.values()):
                        break
                else:
                    continue
                break
        for name, one in {**replayed, **explored}.items():
            self._store(name, one)

    def _rounds(self) -> Iterator[int]:
        for number in itertools.islice(itertools.count(), self._task.schedules_max):
            if number and self._is_over():
                return
            yield number

    def _is_over(self) -> bool:
        return self._clock() - self._began_s > self._task.budget_s

    def _failed(self, explored: Any) -> set[str]:
        return {str(getattr(one.report.counterexample.exception, "name", "")) for one in explored if one.report.found}

    def _explored(self, name: str, scenario: SimScenario, box: Sandbox) -> Explored:
        task = self._task
        spec = spec_of(scenario, RunContext(task.seed, task.commit, task.sabotage, task.candles), name)
        return self._under_search(name, scenario, spec, box)

    def _replayed(self, file: Path, box: Sandbox) -> tuple[str, Explored]:
        """A session that once failed, with the code of today; its name leads to its histories."""
        session = Session.load(file)
        context = RunContext(session.seed, self._task.commit, self._task.sabotage)
        spec = spec_of(session.program, context, session.scenario.name)
        name = f"regression-{session.name}"
        one = self._under_search(name, session.program, spec, box)
        one.plan = plan_of(session.plan)
        return name, one

    def _under_search(self, name: str, scenario: SimScenario, spec: WorldSpec, box: Sandbox) -> Explored:
        simulation = Simulation(scenario, spec)
        search = Search(simulation, box, BOUNDS, spec.context.seed, CLIENTS, shrink_runs_max=self._task.shrink_runs)
        one = Explored(simulation, search, Exploration(name, spec.context.seed))
        simulation.on_run = one.saw
        return one

    def _run(self, name: str, one: Explored, number: int) -> None:
        if one.plan is None:
            found = one.search.one(number, one.report, explain=self._task.told)
        else:
            found = one.search.again(one.plan, one.report)
        one.is_over = found
        gc.collect()
        value: dict[str, Any] = {
            "scenario": name,
            "schedules": one.report.runs,
            "settled": sorted(one.settled),
            "bitten": sorted(kind for kind, bit in one.bitten.items() if bit),
            "events": len(one.kept[0][0].events) if one.kept else 0,
            "seconds": round(self._clock() - self._began_s, 3),
        }
        if found:
            value |= self._failure(name, one) if self._task.told else self._in_short(one, number)
        self._write(value)

    def _in_short(self, one: Explored, number: int) -> dict[str, Any]:
        """Which claims failed, by the run that showed it."""
        run = one.simulation.run
        problem = "it did not come to its end" if run is None else run.problem
        told = {"problem": "" if one.failed else problem, "story": "", "lane_svg": "", "session": ""}
        return {"failed": "".join(one.failed[:1]), "claims": one.failed, "schedule": number, **told}

    def _failure(self, name: str, one: Explored) -> dict[str, Any]:
        """Shrunk already; run it once more, write it down, and say what it was."""
        counterexample = one.report.counterexample
        assert counterexample is not None
        # What shrinking tried must not come among the histories, and its last run is the failing one.
        one.simulation.on_run = lambda _history, _verdicts: None
        failure = failure_of(one.simulation, counterexample, f"{self._task.prefix}{name}-failed")
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

    def _store(self, name: str, one: Explored) -> None:
        folder = self._out / "histories"
        for position, (history, number) in enumerate(one.kept):
            extra = {"schedules": one.report.runs if not position else 1, "schedule": number}
            header = dataclasses.replace(history.header, extra={**history.header.extra, **extra})
            suffix = f"-{number}" if position else ""
            History(header, history.events).write(folder / f"{self._task.prefix}{name}{suffix}.jsonl")


def main() -> int:
    """Entry point; returns the exit code."""
    task = Task.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))

    def write(value: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()

    os.nice(task.niceness)
    try:
        if task.sabotage:
            load_sabotage(task.sabotage)()
        worker = Worker(task, write, time.monotonic)
        gc.freeze()  # modules stay: no collection needs to look at them again, and there is one after each run
        worker.work()
    except (SabotageError, RuleBrokenError) as error:
        sys.stderr.write(f"sim_worker: {type(error).__name__}: {error}\n")
        return HARNESS
    return 0


if __name__ == "__main__":
    sys.exit(main())
