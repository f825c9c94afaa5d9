"""What admission counts: permits in flight, and requests accepted in a sliding window.

Nobody waits for a permit; it is there or the request is refused. Without waiters there is no hand-over, and so no
moment at which a cancelled waiter could take a permit to its grave. The window is exact, where a bucket would let a
burst through on top of its limit. Times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from signal_service.seams import EmitEvent

Pool = Literal["main", "critical"]
Why = Literal["ok", "error", "timeout", "cancelled", "disconnect"]


class Permit:
    """The right of one request to be in flight; given back once, however often that is asked for."""

    __slots__ = ("_held", "_permits", "pool")

    def __init__(self, permits: Permits, pool: Pool) -> None:
        self._permits = permits
        self._held = True
        self.pool = pool

    def give_back(self, why: Why) -> None:
        """Give it back; the second time does nothing."""
        if self._held:
            self._held = False
            self._permits._returned(self.pool, why)  # noqa: SLF001 - one unit of two classes


class Permits:
    """The main pool, and beside it a reserve that only critical routes may use."""

    def __init__(self, main: int, reserve: int, emit: EmitEvent) -> None:
        self._limits: dict[Pool, int] = {"main": main, "critical": reserve}
        self._held: dict[Pool, int] = {"main": 0, "critical": 0}
        self._emit = emit

    def available(self, *, critical: bool) -> Pool | None:
        """The pool that has a permit now: a critical request tries the reserve first, so the main pool stays whole."""
        if critical and self._held["critical"] < self._limits["critical"]:
            return "critical"
        return "main" if self._held["main"] < self._limits["main"] else None

    def take(self, *, critical: bool) -> Permit | None:
        """Take one, or None when there is none."""
        pool = self.available(critical=critical)
        if pool is None:
            return None
        self._held[pool] += 1
        self._emit("permit_taken", pool=pool, in_flight=self._held[pool])
        return Permit(self, pool)

    def _returned(self, pool: Pool, why: Why) -> None:
        self._held[pool] -= 1
        assert self._held[pool] >= 0, "a permit came back that was never taken"
        self._emit("permit_returned", pool=pool, in_flight=self._held[pool], why=why)

    def in_flight(self, pool: Pool = "main") -> int:
        """How many of that pool are out."""
        return self._held[pool]

    def share(self) -> float:
        """The main pool's use as a share of its size."""
        return self._held["main"] / self._limits["main"]

    def resize(self, main: int, reserve: int) -> None:
        """New sizes from now on; what is out stays out until it is given back."""
        self._limits = {"main": main, "critical": reserve}


class RateWindow:
    """The admission times of the last ``window_s`` seconds, at most ``capacity`` of them.

    Two steps, ``wait_s`` and ``record``, so that a caller can take slot and permit together or neither.
    """

    def __init__(self, capacity: int, window_s: float) -> None:
        self._capacity = capacity
        self._window_s = window_s
        self._times: deque[float] = deque()

    def wait_s(self, now: float) -> float:
        """Seconds until a slot is free; 0.0 when one is free at ``now``."""
        times = self._times
        while times and times[0] + self._window_s <= now:
            times.popleft()
        excess = len(times) - self._capacity
        if excess < 0:
            return 0.0
        # After a reload to a smaller capacity more than one has to leave before a slot is free.
        return times[excess] + self._window_s - now

    def record(self, now: float) -> int:
        """Take a slot at ``now``; returns how many the window holds with it.

        Only after ``wait_s(now)`` said 0.0: taking a slot that is not there is a bug of ours.
        """
        assert len(self._times) < self._capacity, "a rate slot was taken that was not free"
        self._times.append(now)
        return len(self._times)

    def resize(self, capacity: int, window_s: float) -> None:
        """New figures from now on; what was admitted before still counts."""
        self._capacity = capacity
        self._window_s = window_s

    def __len__(self) -> int:
        return len(self._times)
