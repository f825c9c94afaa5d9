"""The service's event loop is blocked, once or repeatedly.

In: length and period of a stall in ms; out: a fault on the ``event_loop`` target. The effect is the number of stalls
and the lag in ms that the service itself measured; healing that does not bring the lag down is a ``HealError``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from hardening.faults.base import Effect, Fault, between
from hardening.faults.targets import EventLoop
from hardening.faults.waiting import end_task, healed

CALM_MS = 200.0
CALM_S_MAX = 10.0


@dataclass(slots=True)
class _Stalls:
    count: int = 0
    lag_ms_max: float = 0.0
    task: asyncio.Task[object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLoopStall(Fault):
    """Something blocks the loop for ``stall_ms``, once or every ``every_ms``, as a slow synchronous call does."""

    kind: ClassVar[str] = "event_loop_stall"
    protocol: ClassVar[str] = "event_loop"
    targets: ClassVar[tuple[str, ...]] = ("service",)
    summary: ClassVar[str] = "block the service's event loop"
    slot = "frozen"
    variants = ({"stall_ms": 400.0, "every_ms": 900.0}, {"stall_ms": 1500.0})
    drawn = ({"stall_ms": (100.0, 200.0, 300.0, 700.0)},)

    target: str = "service"
    stall_ms: float = 500.0
    every_ms: float = 0.0

    def validate(self) -> None:
        """Stalls that end, and leave the loop some time in between."""
        between("stall_ms", self.stall_ms, 1, 30_000)
        if self.every_ms:
            between("every_ms", self.every_ms, self.stall_ms, 600_000)

    async def inject(self, target: EventLoop) -> object:
        """Block it in the background: the harness goes on."""
        await target.lag_ms()
        stalls = _Stalls()
        stalls.task = asyncio.create_task(self._stall(target, stalls), name="event-loop-stall")
        return stalls

    async def _stall(self, target: EventLoop, stalls: _Stalls) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await target.stall(self.stall_ms / 1000)
            stalls.count += 1
            if not self.every_ms:
                return
            await asyncio.sleep(max(0.0, self.every_ms / 1000 - (loop.time() - began)))

    async def heal(self, target: EventLoop, token: object) -> Effect:
        """Start no further stall, wait for the running one, and until the loop answers quickly again."""
        if not isinstance(token, _Stalls):
            return Effect({"lag_ms": 0.0})
        if self.every_ms:
            await end_task(token.task)
        elif token.task is not None:
            await token.task
        lag_ms = await target.lag_ms()

        async def calm() -> bool:
            return await target.lag_ms() < CALM_MS

        await healed(calm, CALM_S_MAX, f"{self.target}'s event loop still lags by {CALM_MS:.0f} ms or more")
        # A loop that came back within half of the stall was not blocked by us.
        felt = lag_ms >= self.stall_ms / 2
        return Effect({"stalls": float(token.count), "lag_ms": round(lag_ms, 3)} if felt else {"lag_ms": 0.0})
