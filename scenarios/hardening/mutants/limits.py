"""Limits that are off by one, on the wrong clock, or told to nobody."""

from __future__ import annotations

from typing import Any

from hardening.mutants.patching import put
from signal_service import app
from signal_service.admission.backpressure import LevelMachine
from signal_service.admission.budgets import Permit, Permits, Pool, Why
from signal_service.admission.rate_window import RateWindow
from signal_service.clients import breaker
from signal_service.clients.transport import Deadline
from signal_service.config.settings import Levels
from signal_service.observability.metrics import Metrics
from signal_service.seams import Seams


def one_slot_too_many() -> None:
    """``>`` for ``>=``: the window says no once it holds more than it may, not when it is full."""
    make, resize = RateWindow.__init__, RateWindow.resize
    put(RateWindow, "__init__", lambda self, capacity, window_s: make(self, capacity + 1, window_s))
    put(RateWindow, "resize", lambda self, capacity, window_s: resize(self, capacity + 1, window_s))


def one_permit_too_many() -> None:
    """``<=`` for ``<`` where the pool is asked."""

    def available(self: Permits, *, critical: bool) -> Pool | None:
        if critical and self._held["critical"] <= self._limits["critical"]:
            return "critical"
        return "main" if self._held["main"] <= self._limits["main"] else None

    put(Permits, "available", available)


def critical_from_the_main_pool() -> None:
    """The reserve is configured and nobody draws on it: who watches the service waits in the line of everybody else."""
    available = Permits.available
    put(Permits, "available", lambda self, *, critical: available(self, critical=False))


def reserve_for_everybody() -> None:
    """When the main pool is empty there are still permits over there."""
    available = Permits.available

    def anything(self: Permits, *, critical: bool) -> Pool | None:
        return available(self, critical=critical) or available(self, critical=True)

    put(Permits, "available", anything)


def permit_kept_on_error() -> None:
    """A request that failed keeps its permit: the error path has no ``finally``."""
    give_back = Permit.give_back

    def forgetful(self: Permit, why: Why) -> None:
        if why != "error":
            give_back(self, why)

    put(Permit, "give_back", forgetful)


def retry_after_of_zero() -> None:
    """Who is shed may come back at once, and does."""
    put(LevelMachine, "retry_after_s", lambda self: 0.0)


def hysteresis_dropped() -> None:
    """A level is left the moment its threshold is no longer met, and entered again the moment after."""
    take = LevelMachine.apply

    def twitchy(self: LevelMachine, settings: Levels) -> None:
        take(self, settings.model_copy(update={"margin": 0.0, "hold_s": 0.0}))

    put(LevelMachine, "apply", twitchy)


def events_counted_twice() -> None:
    """The counters listen to the bus twice."""
    count = Metrics._count

    def twice(self: Metrics, *args: Any) -> None:
        count(self, *args)
        count(self, *args)

    put(Metrics, "_count", twice)


def sheds_counted_as_errors() -> None:
    """A refusal is an exception, and whoever counts exceptions counts it as a 500: shedding looks like breaking."""
    count = Metrics._count

    def as_errors(self: Metrics, event: str, request_id: str, fields: dict[str, Any]) -> None:
        refused = event == "request_done" and fields["status"] == 503
        count(self, event, request_id, {**fields, "status": 500} if refused else fields)

    put(Metrics, "_count", as_errors)


def deadline_per_read() -> None:
    """Each read gets the attempt's whole time anew, and nobody tells the call that its request is over."""
    begin = Deadline.begin_attempt

    def generous(self: Deadline, timeout_s: float) -> float:
        begin(self, timeout_s)
        return timeout_s

    put(Deadline, "begin_attempt", generous)
    put(Deadline, "attempt_left_s", property(lambda self: 8.0))
    put(Deadline, "abort", lambda self: None)


def _on_the_wall(made: list[Seams]) -> None:
    init = app.Service.__init__

    def remember(self: app.Service, settings: Any, source: Any, seams: Seams, **more: Any) -> None:
        made.append(seams)
        init(self, settings, source, seams, **more)

    put(app.Service, "__init__", remember)


def breakers_on_the_wall_clock() -> None:
    """An open breaker waits for a time of day: a jump of the clock opens it to the herd, or keeps it shut."""
    made: list[Seams] = []
    _on_the_wall(made)
    init = breaker.Breaker.__init__

    def by_the_wall(self: breaker.Breaker, name: str, settings: Any, _monotonic: Any, emit: Any) -> None:
        init(self, name, settings, made[-1].wall, emit)

    put(breaker.Breaker, "__init__", by_the_wall)


def window_on_the_wall_clock() -> None:
    """Admissions are stamped with the time of day: a jump of the clock empties the window, or freezes it."""
    made: list[Seams] = []
    _on_the_wall(made)
    wait, record = RateWindow.wait_s, RateWindow.record
    put(RateWindow, "wait_s", lambda self, now: max(0.0, wait(self, made[-1].wall())))
    put(RateWindow, "record", lambda self, now: record(self, made[-1].wall()))
