"""Shrinks a failing session: the fewest faults, reloads, requests and decisions that still fail in the same way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hardening.catalogue.scenario import Scenario
from hardening.faults.schedule import Schedule, TimedFault
from hardening.history.workload import Operation, Workload
from hardening.sessions.runners import Runner, Tried
from hardening.sessions.session import Session
from hardening.simulator.search.shrink import Budget, fewest

Part = tuple[str, int]
"""What can be left out: (``fault``, ``reload``, ``request``, ``steady``, ``start`` or ``decision``; its place)."""

ORDER = ("decision", "fault", "reload", "start", "request", "steady")
"""Few and telling things first: each that goes makes the next runs shorter."""

EARLIEST_S = 0.1


class NotFailingError(ValueError):
    """The session that was to be shrunk does not fail."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest session that was found.

    Attributes:
        session: it; its verdicts are those of its last failing run.
        tried: that run.
        runs: how many it took.
        before: sizes of the session that was given, by kind of part.
        after: sizes of what is left.
    """

    session: Session
    tried: Tried
    runs: int
    before: Mapping[str, int]
    after: Mapping[str, int]

    def lines(self) -> list[str]:
        """What became of each kind of part."""
        names = {"fault": "faults", "decision": "decisions", "start": "starts"}
        shown = [name for name in ORDER if self.before[name]]
        sizes = [
            f"{names.get(n, n + ' requests' if n == 'steady' else n + 's')} {self.before[n]} -> {self.after[n]}"
            for n in shown
        ]
        return [f"{self.session.name}: {', '.join(sizes)} in {self.runs} runs"]


def parts_of(session: Session) -> dict[str, tuple[Part, ...]]:
    """Everything that can be left out, by kind."""
    scenario, plan = session.scenario, session.plan or {}
    sizes = {
        "decision": len(plan.get("decisions", ())),
        "fault": len(scenario.schedule.faults),
        "reload": len(scenario.reloads),
        "start": len(session.startup),
        "request": len(scenario.workload.operations),
        "steady": len(scenario.steady.operations),
    }
    return {kind: tuple((kind, place) for place in range(sizes[kind])) for kind in ORDER}


def only(session: Session, kept: Mapping[str, tuple[Part, ...]]) -> Session:
    """The session with nothing but the parts that are kept."""
    places = {kind: [place for _, place in parts] for kind, parts in kept.items()}
    scenario = session.scenario
    smaller = dataclasses.replace(
        scenario,
        schedule=Schedule(tuple(scenario.schedule.faults[i] for i in places["fault"])),
        reloads=tuple(scenario.reloads[i] for i in places["reload"]),
        workload=Workload(tuple(scenario.workload.operations[i] for i in places["request"])),
        steady=Workload(tuple(scenario.steady.operations[i] for i in places["steady"])),
    )
    starts = tuple(session.startup[i] for i in places["start"])
    return dataclasses.replace(session, scenario=smaller, startup=starts, plan=_plan(session, places["decision"]))


def _plan(session: Session, places: list[int]) -> Mapping[str, Any] | None:
    if session.plan is None:
        return None
    # The digest is that of another schedule now.
    rest = {name: value for name, value in session.plan.items() if name != "digest"}
    return {**rest, "decisions": [session.plan["decisions"][i] for i in places]} if "decisions" in rest else rest


@dataclass(slots=True)
class _Search:
    session: Session
    runner: Runner
    runs_max: int
    tries: int
    on_run: Callable[[int, Mapping[str, int], bool], None]
    kept: dict[str, tuple[Part, ...]] = field(default_factory=dict)
    best: Tried | None = None
    runs: int = 0

    def fails(self, candidate: Session) -> Tried | None:
        """Run it until it fails as the session did, at most ``tries`` times."""
        for _ in range(self.tries):
            if self.runs >= self.runs_max:
                return None
            self.runs += 1
            tried = self.runner.run(candidate)
            failed = tried.reproduces(self.session)
            self.on_run(self.runs, _sizes(parts_of(candidate)), failed)
            if failed:
                return tried
        return None

    def reduce(self, kind: str) -> None:
        """Leave out of one kind what can be left out."""

        def attempt(parts: tuple[Part, ...]) -> tuple[Part, ...] | None:
            if kind == "start" and not parts:
                return None  # without a start to watch it would be another kind of session
            tried = self.fails(only(self.session, {**self.kept, kind: parts}))
            if tried is None:
                return None
            self.best = tried
            return parts

        if self.kept[kind]:
            self.kept[kind] = fewest(self.kept[kind], Budget(attempt, self.runs_max))
            alone = self.kept[kind]
            if len(alone) == 1:
                self.kept[kind] = () if attempt(()) is not None else alone


def shrink(
    session: Session,
    runner: Runner,
    *,
    runs_max: int,
    tries: int = 1,
    on_run: Callable[[int, Mapping[str, int], bool], None] = lambda _run, _sizes, _failed: None,
) -> Shrunk:
    """Delta debugging over faults, reloads, requests and decisions, then everything moved to the beginning.

    Args:
        session: it fails.
        runner: runs candidates.
        runs_max: runs in all.
        tries: how often a candidate may be run before it counts as not failing (live failures come and go).
        on_run: called with each run: its number, the candidate's sizes, whether it failed.

    Raises:
        NotFailingError: when the session itself does not fail.
    """
    search = _Search(session, runner, runs_max, tries, on_run, kept=parts_of(session))
    search.best = search.fails(session)
    if search.best is None:
        raise NotFailingError(f"{session.name} did not fail in {search.runs} runs: there is nothing to shrink")
    for kind in ORDER:
        search.reduce(kind)
    smallest = only(session, search.kept)
    earlier = dataclasses.replace(smallest, scenario=moved_to_the_beginning(smallest.scenario))
    if earlier != smallest:
        tried = search.fails(earlier)
        if tried is not None:
            smallest, search.best = earlier, tried
    return _shrunk(session, smallest, search)


def _shrunk(session: Session, smallest: Session, search: _Search) -> Shrunk:
    best = search.best
    assert best is not None
    scenario = dataclasses.replace(smallest.scenario, summary=f"the smallest part of {session.name} that still fails")
    named = dataclasses.replace(
        smallest,
        scenario=scenario,
        name=f"{session.name}-shrunk",
        verdicts=best.verdicts,
        trace_digest=best.trace_digest,
        plan=best.plan if session.world == "simulated" else None,
        settings=best.history.header.settings,
        versions=best.history.header.versions,
        problem=best.problem,
        figures={"phases": best.figures()},
        aborted="",
    )
    return Shrunk(named, best, search.runs, _sizes(parts_of(session)), _sizes(parts_of(named)))


def _sizes(parts: Mapping[str, tuple[Part, ...]]) -> dict[str, int]:
    return {kind: len(found) for kind, found in parts.items()}


def moved_to_the_beginning(scenario: Scenario) -> Scenario:
    """The same without the idle time before the first fault, reload or request."""
    operations, faults, reloads = scenario.workload.operations, scenario.schedule.faults, scenario.reloads
    times = [*(o.at_s for o in operations), *(f.at_s for f in faults), *(r.at_s for r in reloads)]
    times += [scenario.term_at_s] if scenario.term_at_s is not None else []
    idle_s = round(min(times, default=0.0) - EARLIEST_S, 3)
    if idle_s <= 0:
        return scenario

    def earlier(at_s: float) -> float:
        return round(at_s - idle_s, 3)

    moved = (Operation(**{**_fields(one), "at_s": earlier(one.at_s)}) for one in operations)
    return dataclasses.replace(
        scenario,
        workload=Workload(tuple(moved)),
        schedule=Schedule(tuple(TimedFault(earlier(f.at_s), f.for_s, f.fault) for f in faults)),
        reloads=tuple(dataclasses.replace(reload, at_s=earlier(reload.at_s)) for reload in reloads),
        term_at_s=None if scenario.term_at_s is None else earlier(scenario.term_at_s),
    )


def _fields(operation: Operation) -> dict[str, Any]:
    return {spec.name: getattr(operation, spec.name) for spec in dataclasses.fields(operation)}
