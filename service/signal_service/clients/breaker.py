"""A circuit breaker: one transition table, no I/O.

Closed, it counts failed calls in a row. Open, it refuses. When its time is over, the next caller becomes the one
probe, under a lease; other calls are refused meanwhile. Every change of state, and every probe, begins a new
generation; an answer that belongs to an older one changes nothing. A call that was cancelled or shed is neither a
success nor a failure, so its ticket is released.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from signal_service.clients.errors import BreakerOpenError
from signal_service.config.settings import BreakerSettings
from signal_service.seams import EmitEvent

State = Literal["closed", "open", "half_open"]
Cause = Literal["failures", "elapsed", "probe_succeeded", "probe_failed"]

TRANSITIONS: dict[tuple[State, Cause], State] = {
    ("closed", "failures"): "open",
    ("open", "elapsed"): "half_open",
    ("half_open", "probe_succeeded"): "closed",
    ("half_open", "probe_failed"): "open",
}
"""The only legal steps; whatever is not here cannot happen."""


PROBE_HINT_S = 1.0
"""A call that is refused because of a probe may come back then: most probes end long before their lease."""


class Ticket:
    """Permission for one call. The first of ``success``, ``failure``, ``release`` counts, later ones do nothing."""

    __slots__ = ("_breaker", "generation", "probe")

    def __init__(self, breaker: Breaker, generation: int, probe: bool) -> None:
        self._breaker: Breaker | None = breaker
        self.generation = generation
        self.probe = probe

    @property
    def valid(self) -> bool:
        """False once the breaker has moved on: then no further attempt may be sent."""
        return self._breaker is not None and self._breaker.generation == self.generation

    def success(self) -> None:
        """The downstream answered."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None and breaker.generation == self.generation:
            breaker.failures = 0
            if self.probe:
                breaker.settle("success")

    def failure(self) -> None:
        """The call failed, its retries included."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None and breaker.generation == self.generation:
            breaker.failed(self.probe)

    def release(self) -> None:
        """Neither: cancelled, shed, or a 4xx; a probe gives its lease back."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None and self.probe and breaker.generation == self.generation:
            breaker.settle("released")


class Breaker:
    """The breaker of one downstream.

    Args:
        name: the downstream, for events and errors.
        settings: failures in a row that open it, seconds open, seconds of a probe's lease.
        monotonic: seconds.
        emit: takes the events ``breaker`` and ``breaker_probe``.
    """

    def __init__(self, name: str, settings: BreakerSettings, monotonic: Callable[[], float], emit: EmitEvent) -> None:
        self.name = name
        self.state: State = "closed"
        self.generation = 0
        self.failures = 0
        self._settings = settings
        self._monotonic = monotonic
        self._emit = emit
        self._until_s = 0.0  # open: when it may be probed; half open: when the probe's lease ends
        self._probing = False

    def apply(self, settings: BreakerSettings) -> None:
        """Take new settings; an opening under way keeps the time it was given."""
        self._settings = settings

    @property
    def wait_s(self) -> float:
        """Seconds until a call may be let through; 0 when one would be now."""
        if self.state == "closed" or (self.state == "half_open" and not self._probing):
            return 0.0
        return max(0.0, self._until_s - self._monotonic())

    def acquire(self) -> Ticket:
        """Permission for one call; every ticket must be settled.

        Raises:
            BreakerOpenError: open, or the one probe is under way.
        """
        if self.state == "closed":
            return Ticket(self, self.generation, False)
        wait_s = self.wait_s
        if wait_s > 0:
            raise BreakerOpenError(self.name, wait_s if self.state == "open" else min(wait_s, PROBE_HINT_S))
        if self.state == "open":
            self._move("elapsed")
        elif self._probing:
            self.settle("released")  # hung beyond its lease
        self.generation += 1
        self._probing = True
        self._until_s = self._monotonic() + self._settings.probe_lease_s
        self._emit("breaker_probe", name=self.name, event="granted", generation=self.generation)
        return Ticket(self, self.generation, True)

    def failed(self, probe: bool) -> None:
        """Count one failed call of this generation (called by tickets)."""
        self.failures += 1
        if probe:
            self.settle("failure")
        elif self.failures >= self._settings.failures:
            self._move("failures")

    def settle(self, outcome: Literal["success", "failure", "released"]) -> None:
        """End the probe (called by tickets)."""
        self._probing = False
        self._emit("breaker_probe", name=self.name, event=outcome, generation=self.generation)
        if outcome == "released":
            self.generation += 1  # whatever the hung probe says later is void
        else:
            self._move("probe_succeeded" if outcome == "success" else "probe_failed")

    def _move(self, cause: Cause) -> None:
        old, self.state = self.state, TRANSITIONS[self.state, cause]
        self.generation += 1
        self.failures = 0
        open_s = self._settings.open_s if self.state == "open" else 0.0
        self._until_s = self._monotonic() + open_s
        self._emit(
            "breaker",
            name=self.name,
            old=old,
            new=self.state,
            reason=cause,
            generation=self.generation,
            open_s=open_s,
        )
