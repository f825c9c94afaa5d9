"""Levels of pressure: how hard the process works as a share of its budgets, and who is therefore not served.

``LevelMachine`` is I/O-free: utilisation in, level out. ``Sampler`` feeds it in the background; a request only looks.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from enum import IntEnum
from typing import Literal

from signal_service.config.settings import Budgets, Levels
from signal_service.context import Priority
from signal_service.seams import EmitEvent, Reading

Cause = Literal["in_flight", "memory", "cpu", "loop_lag"]
log = logging.getLogger(__name__)

ROUNDING = 1e-9
"""0.95 - 0.10 is not 0.85 in binary; a utilisation exactly on the line counts as below it."""


BEATS = 5
"""Short sleeps per sample, to measure the loop's lag."""


class Level(IntEnum):
    """How much pressure there is."""

    NONE = 0
    LIGHT = 1
    MODERATE = 2
    HEAVY = 3

    @property
    def label(self) -> str:
        """Its name in events, answers and metrics."""
        return self.name.lower()


LOWEST_SERVED: Mapping[Level, frozenset[Priority]] = {
    Level.NONE: frozenset({"critical", "high", "normal", "low"}),
    Level.LIGHT: frozenset({"critical", "high", "normal"}),
    Level.MODERATE: frozenset({"critical", "high", "normal"}),
    Level.HEAVY: frozenset({"critical"}),
}
"""Who is served at a level; at moderate they are served from the cache only."""


class LevelMachine:
    """Enters a level at its threshold; leaves it after ``hold_s`` at ``margin`` or more below that threshold."""

    def __init__(self, settings: Levels, monotonic: Callable[[], float], emit: EmitEvent) -> None:
        self._monotonic = monotonic
        self._emit = emit
        self._entered = dict.fromkeys((Level.LIGHT, Level.MODERATE, Level.HEAVY), False)
        self._calm_since: dict[Level, float | None] = dict.fromkeys(self._entered)
        self.level = Level.NONE
        self.utilisation = 0.0
        self.apply(settings)

    def apply(self, settings: Levels) -> None:
        """New thresholds from the next update on; the present level is kept until then."""
        self._settings = settings
        self._thresholds = {
            Level.LIGHT: settings.light,
            Level.MODERATE: settings.moderate,
            Level.HEAVY: settings.heavy,
        }

    def update(self, utilisation: float, cause: Cause) -> Level:
        """Take in a utilisation (1.0 is the whole budget) and what it is due to; returns the level from now on."""
        now = self._monotonic()
        self.utilisation = utilisation
        for level, threshold in self._thresholds.items():
            if utilisation >= threshold:
                self._entered[level], self._calm_since[level] = True, None
            elif utilisation > threshold - self._settings.margin + ROUNDING:
                self._calm_since[level] = None
            elif self._entered[level]:
                since = self._calm_since[level]
                if since is None:
                    self._calm_since[level] = since = now
                if now - since >= self._settings.hold_s - ROUNDING:
                    self._entered[level] = False
        new = max((level for level, entered in self._entered.items() if entered), default=Level.NONE)
        if new is not self.level:
            old, self.level = self.level, new
            self._emit("level", old=old.label, new=new.label, utilisation=round(utilisation, 4), cause=cause)
        return new

    def retry_after_s(self) -> float:
        """When it is worth asking again at the earliest: the level cannot be left before that."""
        return max(1.0, self._settings.hold_s)

    def refuses(self, priority: Priority) -> bool:
        """True when a request of that priority is shed at the present level."""
        return self.level is not Level.NONE and priority not in LOWEST_SERVED[self.level]


class Sampler:
    """Measures utilisation every ``sample_s`` and feeds the machine.

    CPU is averaged over the whole window, with what lies before the first sample counted as idle: else the work of
    starting would be taken for pressure.
    """

    def __init__(
        self,
        machine: LevelMachine,
        sample: Callable[[], Reading],
        in_flight_share: Callable[[], float],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        emit: EmitEvent,
    ) -> None:
        self._machine = machine
        self._sample = sample
        self._in_flight_share = in_flight_share
        self._monotonic = monotonic
        self._sleep = sleep
        self._emit = emit
        self._cpu: deque[tuple[float, float, float]] = deque()  # end, length in s, share
        self.reading = Reading(rss_bytes=0, memory_limit_bytes=None, cpu_share=0.0, fds=0)
        self.shares: dict[Cause, float] = {"in_flight": 0.0, "memory": 0.0, "cpu": 0.0, "loop_lag": 0.0}

    async def run(self, current: Callable[[], tuple[Budgets, Levels]]) -> None:
        """Sample until cancelled; a sample that fails is logged and the next one tried."""
        self._sample()  # the first CPU figure of a process covers nothing
        before = self._monotonic()
        while True:
            budgets, levels = current()
            lag_s = await self._longest_lag_s(levels.sample_s / BEATS)
            now = self._monotonic()
            try:
                self.take(budgets, lag_s * 1000, now, now - before)
            except Exception:
                # Without samples the level would freeze: go on.
                log.warning("a resource sample failed", exc_info=True)
            before = now

    async def _longest_lag_s(self, beat_s: float) -> float:
        """How much too late the latest of ``BEATS`` short sleeps woke: one long sleep would sleep through a stall."""
        lag_s = 0.0
        for _ in range(BEATS):
            began = self._monotonic()
            await self._sleep(beat_s)
            lag_s = max(lag_s, self._monotonic() - began - beat_s)
        return lag_s

    def take(self, budgets: Budgets, lag_ms: float, now: float, length_s: float) -> Level:
        """One sample of ``length_s`` seconds that ended at ``now``."""
        self.reading = reading = self._sample()
        if lag_ms > budgets.loop_lag_ms / 10:
            self._emit("loop_lag", lag_ms=round(lag_ms, 3))
        memory_bytes = memory_budget_bytes(budgets, reading)
        self.shares = {
            "in_flight": self._in_flight_share(),
            "memory": reading.rss_bytes / memory_bytes,
            "cpu": self._cpu_average(reading.cpu_share, now, length_s, budgets.cpu_window_s) / budgets.cpu_share,
            "loop_lag": lag_ms / budgets.loop_lag_ms,
        }
        cause = max(self.shares, key=lambda name: self.shares[name])
        return self._machine.update(self.shares[cause], cause)

    def _cpu_average(self, share: float, now: float, length_s: float, window_s: float) -> float:
        self._cpu.append((now, length_s, share))
        begin = now - window_s
        while self._cpu and self._cpu[0][0] <= begin:
            self._cpu.popleft()
        return sum(part * (min(length, end - begin)) for end, length, part in self._cpu) / window_s


def memory_budget_bytes(budgets: Budgets, reading: Reading) -> int:
    """The budget, or the container's limit where that is lower."""
    budget = budgets.memory_mb * 1024 * 1024
    return budget if reading.memory_limit_bytes is None else min(budget, reading.memory_limit_bytes)
