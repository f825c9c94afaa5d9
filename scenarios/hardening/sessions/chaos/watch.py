"""Watches a session while it runs: what is broken now, how it is answered, and whether it must be cut short.

Everything is derived from the events of the history as they are recorded; time is the run's own.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hardening.claims.views import SERVER_ERROR_MIN, percentile
from hardening.history.events import Event, Recorder
from hardening.runs.phases import Trip

LOOK_EVERY_S = 0.25
STEADY_ERROR_SHARE_MAX = 0.05
STEADY_REQUESTS_MIN = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """When a session is cut short.

    Attributes:
        error_share_max: of the requests of the last ``window_s``: server errors, lost and unanswered ones.
        latency_s_max: 95 of 100 requests of the last ``window_s`` must be answered within it.
        window_s: seconds looked back.
        requests_min: with fewer than this, nothing is concluded.
    """

    error_share_max: float = 0.9
    latency_s_max: float = 8.0
    window_s: float = 10.0
    requests_min: int = 20


@dataclass(frozen=True, slots=True)
class Answered:
    """How one request ended.

    Attributes:
        ended_s: when, on the run's clock.
        latency_s: as its client measured it.
        status: 0 for none.
    """

    ended_s: float
    latency_s: float
    status: int

    @property
    def bad(self) -> bool:
        """True for a server error and for no answer at all; a refusal with reason (4xx) is none."""
        return self.status == 0 or self.status >= SERVER_ERROR_MIN


@dataclass(frozen=True, slots=True)
class Held:
    """A fault that is there now."""

    kind: str
    target: str
    since_s: float


@dataclass(frozen=True, slots=True)
class Healed:
    """A fault that is gone, and whether it had an effect."""

    kind: str
    target: str
    bit: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """How a stretch of time was answered; latencies are ``None`` when nothing was."""

    requests: int
    error_share: float
    latency_s_p50: float | None
    latency_s_p99: float | None

    @classmethod
    def of(cls, answered: Iterable[Answered]) -> Figures:
        """Of all requests given."""
        rows = list(answered)
        latencies = [row.latency_s for row in rows if row.status]
        return cls(
            len(rows),
            round(sum(row.bad for row in rows) / len(rows), 4) if rows else 0.0,
            round(percentile(latencies, 0.5), 4) if latencies else None,
            round(percentile(latencies, 0.99), 4) if latencies else None,
        )


@dataclass(slots=True)
class Watch:
    """Implements ``phases.Guard``; the views read its attributes.

    Attributes:
        now: seconds since the run began; the run's own clock once it has begun.
        limits: when to cut short.
        phase: the phase that runs.
        phase_since_s: since when.
        held: faults that are there, by id.
        healed: faults that are gone, in order.
        level: of backpressure, as the service says; empty when it says nothing.
        breakers: by downstream, as the service says.
        answered: by phase.
        aborted: why it was cut short, else empty.
        recorder: of the run; ``None`` before it began.
        on_event: called with each event, after it was taken in.
    """

    now: Callable[[], float] = lambda: 0.0
    limits: Limits = field(default_factory=Limits)
    phase: str = "starting"
    phase_since_s: float = 0.0
    held: dict[str, Held] = field(default_factory=dict)
    healed: list[Healed] = field(default_factory=list)
    level: str = ""
    breakers: dict[str, str] = field(default_factory=dict)
    answered: dict[str, list[Answered]] = field(default_factory=dict)
    aborted: str = ""
    recorder: Recorder | None = None
    on_event: Callable[[Event], None] = lambda _event: None
    _pending: dict[str, float] = field(default_factory=dict)
    _recent: deque[Answered] = field(default_factory=deque)
    _stop: Trip | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self, reason: str) -> None:
        """Somebody wants it to end now."""
        if self._stop is None:
            self._stop = Trip(reason, hurry=True)
            self._changed.set()

    def attach(self, recorder: Recorder, now: Callable[[], float]) -> None:
        """See ``phases.Guard``."""
        self.recorder = recorder
        self.now = now
        recorder.observer = self.saw

    def saw(self, event: Event) -> None:
        """Take in one event as it is recorded."""
        if event.f == "request":
            self._request(event)
        elif event.type == "fault":
            self._fault(event)
        elif event.type == "state" and event.f == "phase":
            if event.value["phase"] == "aborted":
                self.aborted = str(event.value["reason"])
            else:
                self.phase, self.phase_since_s = str(event.value["phase"]), event.t
        elif event.type == "state" and event.f == "level":
            self.level = str(event.value["new"])
        elif event.type == "state" and event.f == "breaker":
            self.breakers[str(event.value["name"])] = str(event.value["new"])
        self.on_event(event)

    def _request(self, event: Event) -> None:
        if event.type == "invoke":
            self._pending[event.id] = event.t
            return
        self._pending.pop(event.id, None)
        if event.value.get("error") == "disconnected":
            return
        status = int(event.value["status"]) if event.type == "ok" else 0
        answered = Answered(event.t, float(event.value["latency_s"]), status)
        self.answered.setdefault(self.phase, []).append(answered)
        self._recent.append(answered)

    def _fault(self, event: Event) -> None:
        kind, target = str(event.value["kind"]), str(event.value["target"])
        if event.f == "inject":
            self.held[event.id] = Held(kind, target, event.t)
        else:
            self.held.pop(event.id, None)
            self.healed.append(Healed(kind, target, bool(event.value["bit"])))

    def recent(self) -> list[Answered]:
        """The requests that ended within the window; those still unanswered count as old as they are."""
        now = self.now()
        while self._recent and self._recent[0].ended_s < now - self.limits.window_s:
            self._recent.popleft()
        slow_s = self.limits.latency_s_max
        overdue = [Answered(now, now - began, 0) for began in self._pending.values() if now - began > slow_s]
        return [*self._recent, *overdue]

    def statuses(self) -> Counter[int]:
        """How often each status was answered, in all phases; 0 for none."""
        return Counter(row.status for rows in self.answered.values() for row in rows)

    def latencies_s(self, seconds: int) -> list[float | None]:
        """The slowest answer of each of the last seconds, oldest first; ``None`` where there was none."""
        now = self.now()
        found: list[float | None] = [None] * seconds
        for rows in self.answered.values():
            for row in reversed(rows):
                age = math.floor(now - row.ended_s)
                if age >= seconds:
                    break
                slot = seconds - 1 - max(0, age)
                found[slot] = max(found[slot] or 0.0, row.latency_s)
        return found

    def refusal(self) -> str:
        """See ``phases.Guard``: without a steady state there is nothing to disturb."""
        figures = Figures.of(self.answered.get("steady", []))
        if figures.requests < STEADY_REQUESTS_MIN:
            return f"no steady state: {figures.requests} requests ended, at least {STEADY_REQUESTS_MIN} are needed"
        if figures.error_share > STEADY_ERROR_SHARE_MAX:
            return f"no steady state: {figures.error_share:.0%} of {figures.requests} requests failed before any fault"
        return ""

    def exceeded(self) -> str:
        """Which limit is exceeded now, else empty."""
        rows = self.recent()
        if self.phase != "faults" or len(rows) < self.limits.requests_min:
            return ""
        span = f"{len(rows)} requests in {self.limits.window_s:g} s"
        share = sum(row.bad for row in rows) / len(rows)
        if share > self.limits.error_share_max:
            return f"error rate {share:.0%} is above {self.limits.error_share_max:.0%} ({span})"
        slow_s = percentile([row.latency_s for row in rows], 0.95)
        if slow_s > self.limits.latency_s_max:
            return f"latency p95 {slow_s:.2f} s is above {self.limits.latency_s_max:g} s ({span})"
        return ""

    async def tripped(self) -> Trip:
        """See ``phases.Guard``."""
        while self._stop is None:
            exceeded = self.exceeded()
            if exceeded:
                return Trip(exceeded)
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return self._stop
