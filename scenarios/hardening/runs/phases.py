"""The phases that every run has, in whatever world: steady state, faults under load, and what may cut it short."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from redis.exceptions import RedisError

from hardening.catalogue.scenario import Scenario
from hardening.faults.base import Effect, Fault, FaultError, HealError
from hardening.faults.schedule import run_schedule
from hardening.faults.targets import Listener
from hardening.faults.toxiproxy import ToxiproxyError
from hardening.history.events import History, Recorder
from hardening.worlds.live.processes import ProcessError
from hardening.worlds.shared.client import Client

OnPhase = Callable[[str], None]
"""Called with the name of each phase when it begins."""


def no_phase(_phase: str) -> None:
    """Ignore phases."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a scenario left: its history, and (empty when there was none) the problem that cut it short."""

    history: History
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Trip:
    """Why a run is cut short; ``hurry``: go straight to the end, somebody waits for it."""

    reason: str
    hurry: bool = False


class Guard(Protocol):
    """Watches a run from outside and may cut it short; whatever is broken then heals at once."""

    def attach(self, recorder: Recorder, now: Callable[[], float]) -> None:
        """Given the recorder and the clock of the run before anything happens."""

    def refusal(self) -> str:
        """Asked after the steady state was measured: why nothing may be broken, else empty."""

    async def tripped(self) -> Trip:
        """Returns when the run is to be cut short."""


async def endured(body: Callable[[], Awaitable[None]]) -> str:
    """Await ``body``; trouble of the harness ends it and is said (empty: there was none), not raised."""
    problem = ""
    try:
        await body()
    except* (ProcessError, HealError, FaultError, ToxiproxyError, RedisError, OSError, TimeoutError) as group:
        problem = "; ".join(f"{type(error).__name__}: {error}" for error in _leaves(group))
    return problem


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


class Arena(Protocol):
    """As much of a world as the phases touch."""

    recorder: Recorder
    client: Client

    def now(self) -> float:
        """Seconds since the run began."""

    def target(self, protocol: str, name: str) -> object:
        """See ``hardening.faults.targets.World``."""


class Phases:
    """The phases of one run; each is a mark in the history."""

    def __init__(self, world: Arena, scenario: Scenario, on_phase: OnPhase, guard: Guard | None = None) -> None:
        self.world = world
        self.scenario = scenario
        self._on_phase = on_phase
        self._guard = guard
        self._breaking: list[asyncio.Task[Any]] = []
        self._stopped = asyncio.Event() if guard is not None else None
        self._hurried = asyncio.Event() if guard is not None else None
        if guard is not None:
            guard.attach(world.recorder, world.now)

    def phase(self, name: str, **more: str) -> None:
        """The next phase begins."""
        self._on_phase(name)
        self.world.recorder.add(self.world.now(), "harness", "state", "phase", {"phase": name, **more})

    @property
    def hurry(self) -> bool:
        """True once somebody waits for the end."""
        return self._hurried is not None and self._hurried.is_set()

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Inside, the guard may cut the run short: what is broken heals, nothing more is asked."""
        watching = asyncio.create_task(self._watch(self._guard), name="guard") if self._guard is not None else None
        try:
            yield
        finally:
            if watching is not None:
                watching.cancel()
                # A guard that broke is no guard: whatever it raised is raised here.
                with contextlib.suppress(asyncio.CancelledError):
                    await watching

    async def _watch(self, guard: Guard) -> None:
        trip = await guard.tripped()
        self._abort(trip)
        for task in self._breaking:
            task.cancel()

    def _abort(self, trip: Trip) -> None:
        assert self._hurried is not None
        assert self._stopped is not None
        self.phase("aborted", reason=trip.reason)
        self._stopped.set()
        if trip.hurry:
            self._hurried.set()

    def may_begin(self) -> bool:
        """False when there is no steady state that a fault could disturb, or somebody stopped it by now."""
        if self._guard is None or self._stopped is None:
            return True
        why = "" if self._stopped.is_set() else self._guard.refusal()
        if why:
            self._abort(Trip(why, hurry=True))
        return not self._stopped.is_set()

    async def steady(self, name: str) -> None:
        """Ask what is asked when nothing is broken."""
        self.phase(name)
        await self.world.client.run(self.scenario.steady, self._hurried)

    def beside(self) -> list[Coroutine[Any, Any, None]]:
        """What happens beside faults and workload."""
        return []

    async def break_it(self) -> None:
        """Faults and workload, until both have ended; everything is healed when this returns."""
        self.phase("faults")
        with contextlib.suppress(FaultError):  # where it listens now is where clients knock once it has been killed
            listener = self.world.target("listener", "service")
            if isinstance(listener, Listener):
                listener.address()
        async with asyncio.TaskGroup() as group:
            faults = group.create_task(run_schedule(self.scenario.schedule, self.world, observe=self.fault))
            group.create_task(self.world.client.run(self.scenario.workload, self._stopped))
            self._breaking = [faults, *(group.create_task(work) for work in self.beside())]

    def fault(self, what: str, fault_id: str, fault: Fault, effect: Effect | None, details: Mapping[str, Any]) -> None:
        """A fault was injected, or (with its effect) healed."""
        value: dict[str, Any] = {"kind": fault.kind, "target": fault.target}
        if effect is None:
            value["parameters"] = fault.to_json()
        else:
            value |= {"bit": effect.bit, "bite": dict(effect.counts), "verified": True}
        self.world.recorder.add(self.world.now(), "harness", "fault", what, value, fault_id)
        for key, kind in details.get("entries", {}).items():
            planted = {"probe": "planted_entry", "key": key, "kind": kind}
            self.world.recorder.add(self.world.now(), "harness", "state", "probe", planted, fault_id)
