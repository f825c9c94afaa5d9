"""Mutants of C2: permits, the rate window, levels, deadlines, memory, counters, slow clients."""

from __future__ import annotations

from typing import Any

from hardening.mutants.mutant import breaks, put
from signal_service.admission.backpressure import Cause, Level, LevelMachine
from signal_service.admission.limits import Permit, Permits, Pool, RateWindow, Why
from signal_service.admission.middleware import Exchange, Gate, Receive
from signal_service.app import Service
from signal_service.clients.transport import Deadline
from signal_service.config.settings import ClientLimits, Levels
from signal_service.context import RequestContext
from signal_service.edge.lifecycle import GuardedProtocol
from signal_service.observability.metrics import Metrics
from signal_service.problems import Problem
from signal_service.store.cache import Cache


@breaks("C2.1", shown_by="cancelled-herd")
def permit_kept_on_cancellation() -> None:
    """A request gives its permit back after an answer, but not after its client hung up: a missing ``finally``."""
    give_back = Permit.give_back

    def forgetful(self: Permit, why: Why) -> None:
        if why not in {"cancelled", "disconnect"}:
            give_back(self, why)

    put(Permit, "give_back", forgetful)


@breaks("C2.1", shown_by="cancelled-herd")
def one_permit_too_many() -> None:
    """``<=`` for ``<``: each pool hands out one permit too many."""

    def available(self: Permits, *, critical: bool) -> Pool | None:
        if critical and self._held["critical"] <= self._limits["critical"]:
            return "critical"
        return "main" if self._held["main"] <= self._limits["main"] else None

    put(Permits, "available", available)


@breaks("C2.1", shown_by="deadline")
def permit_kept_on_error() -> None:
    """A request that failed keeps its permit: the error path has no ``finally``."""
    give_back = Permit.give_back

    def forgetful(self: Permit, why: Why) -> None:
        if why != "error":
            give_back(self, why)

    put(Permit, "give_back", forgetful)


@breaks("C2.1", shown_by="cancelled-herd")
def critical_from_the_main_pool() -> None:
    """The reserve is configured but never used: health checks wait behind product requests."""
    available = Permits.available
    put(Permits, "available", lambda self, *, critical: available(self, critical=False))


@breaks("C2.1", shown_by="cancelled-herd")
def reserve_for_everybody() -> None:
    """When the main pool is empty, product requests take permits of the critical reserve."""
    available = Permits.available

    def anything(self: Permits, *, critical: bool) -> Pool | None:
        return available(self, critical=critical) or available(self, critical=True)

    put(Permits, "available", anything)


@breaks("C2.2", shown_by="burst")
def no_rate_limit() -> None:
    """The rate window never refuses."""

    def record(self: RateWindow, now: float) -> int:
        self._times.append(now)
        return len(self._times)

    put(RateWindow, "wait_s", lambda self, now: 0.0)
    put(RateWindow, "record", record)


@breaks("C2.2", shown_by="burst")
def one_slot_too_many() -> None:
    """``>`` for ``>=``: the window refuses once it holds more than it may, not when it is full."""
    make, resize = RateWindow.__init__, RateWindow.resize
    put(RateWindow, "__init__", lambda self, capacity, window_s: make(self, capacity + 1, window_s))
    put(RateWindow, "resize", lambda self, capacity, window_s: resize(self, capacity + 1, window_s))


@breaks("C2.2", shown_by="permits-and-slots")
def busy_costs_a_slot() -> None:
    """The rate slot is taken before the permit, and is not given back when there is no permit."""
    admit = Gate._admit

    def greedy(self: Gate, context: RequestContext) -> Permit:
        try:
            return admit(self, context)
        except Problem as problem:
            if problem.kind == "busy" and context.priority != "critical":
                self._window.record(self._monotonic())
            raise

    put(Gate, "_admit", greedy)


@breaks("C2.2", shown_by="permits-and-slots")
def shed_costs_a_slot() -> None:
    """Work that is shed has already taken a rate slot."""
    shed = Gate._shed

    def counted(self: Gate, context: RequestContext) -> None:
        try:
            shed(self, context)
        except Problem:
            now = self._monotonic()
            if self._window.wait_s(now) == 0:
                self._window.record(now)
            raise

    put(Gate, "_shed", counted)


@breaks("C2.2", shown_by="rate-minutes")
def reload_empties_the_window() -> None:
    """A reload empties the rate window: what was accepted before is forgotten."""
    resize = RateWindow.resize

    def emptied(self: RateWindow, capacity: int, window_s: float) -> None:
        resize(self, capacity, window_s)
        self._times.clear()

    put(RateWindow, "resize", emptied)


@breaks("C2.3", shown_by="pressure")
def nothing_is_shed() -> None:
    """Levels are computed, logged and shown, but nothing is shed."""
    put(LevelMachine, "refuses", lambda self, priority: False)


@breaks("C2.3", shown_by="pressure")
def retry_after_of_zero() -> None:
    """Shed clients are told to retry at once."""
    put(LevelMachine, "retry_after_s", lambda self: 0.0)


@breaks("C2.3", shown_by="pressure")
def hysteresis_dropped() -> None:
    """A level is left as soon as its threshold is no longer met, and entered again right after."""
    take = LevelMachine.apply

    def twitchy(self: LevelMachine, settings: Levels) -> None:
        take(self, settings.model_copy(update={"margin": 0.0, "hold_s": 0.0}))

    put(LevelMachine, "apply", twitchy)


def _ignore(ignored: Cause) -> None:
    update = LevelMachine.update

    def ignoring(self: LevelMachine, utilisation: float, cause: Cause) -> Level:
        return update(self, 0.0 if cause == ignored else utilisation, cause)

    put(LevelMachine, "update", ignoring)


@breaks("C2.3", shown_by="levels")
def memory_ignored() -> None:
    """Memory use never raises the level."""
    _ignore("memory")


@breaks("C2.3", shown_by="levels")
def processor_ignored() -> None:
    """Processor use never raises the level."""
    _ignore("cpu")


@breaks("C2.3", shown_by="levels")
def lag_ignored() -> None:
    """Loop lag never raises the level."""
    _ignore("loop_lag")


@breaks("C2.3", shown_by="levels")
def moderate_still_loads() -> None:
    """At the moderate level the ticker is still called: cache-only mode was forgotten in the route."""

    async def candles(self: Service, symbol: str, timeframe: str) -> Any:
        return await self.history.get(symbol, timeframe)

    put(Service, "candles", candles)


@breaks("C2.3", shown_by="burst")
def critical_held_to_the_rate() -> None:
    """Critical requests are refused once product requests have used the rate up."""
    admit = Gate._admit

    def strict(self: Gate, context: RequestContext) -> Permit:
        wait_s = self._window.wait_s(self._monotonic())
        if wait_s > 0:
            self._reject("rate", context, 429, wait_s)
            raise Problem("rate", retry_after_s=wait_s)
        return admit(self, context)

    put(Gate, "_admit", strict)


@breaks("C2.4", shown_by="deadline")
def no_deadline() -> None:
    """Only each read has a time limit: an answer that drips keeps its request open without end."""
    serve = Gate._serve

    async def patient(self: Gate, exchange: Any, receive: Any, permit: Permit, request_s: float) -> None:
        await serve(self, exchange, receive, permit, 3600.0)

    put(Gate, "_serve", patient)
    put(Deadline, "left_s", property(lambda self: 3600.0))


@breaks("C2.4", shown_by="deadline")
def deadline_per_read() -> None:
    """Each read gets the attempt's whole time, and a call goes on after its request has ended."""
    begin = Deadline.begin_attempt

    def generous(self: Deadline, timeout_s: float) -> float:
        begin(self, timeout_s)
        return timeout_s

    put(Deadline, "begin_attempt", generous)
    put(Deadline, "attempt_left_s", property(lambda self: 8.0))
    put(Deadline, "abort", lambda self: None)


@breaks("C2.5", shown_by="soak", world="live")
def cache_never_evicts() -> None:
    """The in-process cache has no bound on its entries."""

    def hoard(self: Cache[Any], key: str, entry: Any) -> None:
        self._forget(key)
        self._entries[key] = entry
        self._size_bytes += entry.size_bytes

    put(Cache, "_remember", hoard)


@breaks("C2.5", shown_by="soak", world="live")
def requests_remembered() -> None:
    """Each request is kept in a list "for the statistics": a small leak without end."""
    seen: list[Any] = []
    opened = Gate._open

    def remember(self: Gate, *args: Any) -> Any:
        exchange = opened(self, *args)
        seen.append(exchange)
        return exchange

    put(Gate, "_open", remember)


@breaks("C2.6", shown_by="pressure")
def sheds_not_counted() -> None:
    """A shed is logged, but not counted."""
    count = Metrics._count

    def forgetful(self: Metrics, event: str, request_id: str, fields: dict[str, Any]) -> None:
        if event != "shed":
            count(self, event, request_id, fields)

    put(Metrics, "_count", forgetful)


@breaks("C2.6", shown_by="pressure")
def events_counted_twice() -> None:
    """The counters listen to the bus twice."""
    count = Metrics._count

    def twice(self: Metrics, *args: Any) -> None:
        count(self, *args)
        count(self, *args)

    put(Metrics, "_count", twice)


@breaks("C2.6", shown_by="pressure")
def sheds_counted_as_errors() -> None:
    """A refusal is counted as a 500, so shedding looks like failing."""
    count = Metrics._count

    def as_errors(self: Metrics, event: str, request_id: str, fields: dict[str, Any]) -> None:
        refused = event == "request_done" and fields["status"] == 503
        count(self, event, request_id, {**fields, "status": 500} if refused else fields)

    put(Metrics, "_count", as_errors)


@breaks("C2.6", shown_by="pressure")
def metrics_never_restored() -> None:
    """Heavy pressure reduces the metrics to essentials, and they are never restored."""
    throttle = Metrics._throttle

    def one_way(self: Metrics, event: str, ident: str, fields: dict[str, Any]) -> None:
        if fields["new"] == "heavy":
            throttle(self, event, ident, fields)

    put(Metrics, "_throttle", one_way)


@breaks("C2.7", shown_by="rude-clients")
def slow_clients_never_cut() -> None:
    """A connection has no time limit for the head of a request."""
    put(GuardedProtocol, "_cut", lambda self: None)


@breaks("C2.7", shown_by="rude-unscaled")
def bodies_of_any_size() -> None:
    """Bodies have no size limit."""
    whole = Gate._whole_body

    async def patient(self: Gate, exchange: Exchange, receive: Receive, limits: ClientLimits) -> Receive:
        return await whole(self, exchange, receive, limits.model_copy(update={"body_bytes": 10**9}))

    put(Gate, "_whole_body", patient)


@breaks("C2.7", shown_by="rude-unscaled")
def bodies_read_under_a_permit() -> None:
    """The permit is taken before the body is read: a client that drips its body holds one of the fifty."""
    whole = Gate._whole_body

    async def holding(self: Gate, exchange: Exchange, receive: Receive, limits: ClientLimits) -> Receive:
        permit = self._permits.take(critical=False)
        try:
            return await whole(self, exchange, receive, limits)
        finally:
            if permit is not None:
                permit.give_back("ok")

    put(Gate, "_whole_body", holding)
