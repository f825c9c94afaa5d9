"""The service's wall clock jumps or drifts; its monotonic clock is never touched.

In: an offset in seconds, or a rate; out: faults on the ``clock`` target. The effect is by how many seconds the clock
moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hardening.faults.base import Effect, Fault, FaultError, between
from hardening.faults.targets import Clock
from hardening.faults.waiting import healed

TRUE_S = 0.001
HEAL_S_MAX = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJump(Fault):
    """The wall clock stands ``offset_s`` off (below zero: in the past) and jumps back on heal."""

    kind: ClassVar[str] = "clock_jump"
    protocol: ClassVar[str] = "clock"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "let the service's wall clock jump, forward or back"
    signed: ClassVar[tuple[str, ...]] = ("offset_s",)
    slot = "clock"
    variants = ({"offset_s": 3600.0}, {"offset_s": -86400.0}, {"offset_s": 45.0})
    drawn = ({"offset_s": (61.0, -61.0, 3600.0, -86400.0)},)

    target: str = "service"
    offset_s: float = 3600.0

    def validate(self) -> None:
        """A jump that is one, within ten years."""
        between("offset_s", self.offset_s, -315_360_000, 315_360_000)
        if self.offset_s == 0:
            raise FaultError("fault.offset_s", self.offset_s, "a number of seconds other than 0")

    async def inject(self, target: Clock) -> object:
        """Jump; returns the offset that is then seen."""
        await target.jump(self.offset_s)
        return await target.offset()

    async def heal(self, target: Clock, token: object) -> Effect:
        """Jump back, and see it."""
        await target.jump(0.0)
        await healed(lambda: _is_true(target), HEAL_S_MAX, f"{self.target}'s wall clock is still off")
        return Effect({"clock_moved_s": abs(float(token)) if isinstance(token, float) else 0.0})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockDrift(Fault):
    """The wall clock runs ``rate`` times as fast (0: stands still, below 0: backwards); healing sets it right."""

    kind: ClassVar[str] = "clock_drift"
    protocol: ClassVar[str] = "clock"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "let the service's wall clock run fast, slow or backwards"
    slot = "clock"
    variants = ({"rate": 3.0}, {"rate": 0.0}, {"rate": -1.0})
    drawn = ({"rate": (0.5, 2.0, 10.0)},)

    target: str = "service"
    rate: float = 2.0

    def validate(self) -> None:
        """A rate that is off."""
        between("rate", self.rate, -1000, 1000)
        if self.rate == 1:
            raise FaultError("fault.rate", self.rate, "a number other than 1")

    async def inject(self, target: Clock) -> object:
        """Let it drift."""
        await target.drift(self.rate)
        return True

    async def heal(self, target: Clock, token: object) -> Effect:
        """See how far it went, then set it right, and see that."""
        moved_s = abs(await target.offset())
        await target.drift(1.0)
        await target.jump(0.0)
        await healed(lambda: _is_true(target), HEAL_S_MAX, f"{self.target}'s wall clock is still off")
        return Effect({"clock_moved_s": moved_s if token and moved_s > TRUE_S else 0.0})


async def _is_true(target: Clock) -> bool:
    return abs(await target.offset()) <= TRUE_S
