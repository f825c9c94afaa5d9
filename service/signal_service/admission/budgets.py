"""Permits: how many requests may be in flight. Nobody waits for one; it is there or the request is refused.

Without waiters there is no hand-over, and so no moment at which a cancelled waiter could take a permit to its grave.
"""

from __future__ import annotations

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
