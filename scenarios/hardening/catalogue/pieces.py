"""What the scenarios of the catalogue are built from: symbols, steady load, schedules, and their registration.

In: a seed where something is drawn. Out: workloads and schedules as data, times in seconds. ``FaultError`` for a fault
that cannot be built.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hardening.catalogue.scenario import Program
from hardening.faults.schedule import Schedule
from hardening.history.workload import Workload, signal, steady

SYMBOLS = ("AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "TSLA")
BREAKERS_S = 60.0
"""The longest open time of the four breakers."""

Where = Literal["both", "simulated", "live"]
LAST = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One scenario of the catalogue; call it with a seed.

    Attributes:
        name: of the scenario; the maker's own with dashes.
        make: builds it.
        where: ``both`` worlds, ``simulated`` (minutes of virtual time), or ``live`` (what only real processes and real
            time can show: it runs whatever the budget).
        confirm: its turn in the live world, from 1, when the budget does not allow all; then the longest.
        takes_s: about how long it takes in the live world; ``None`` for what its own times say.
    """

    name: str
    make: Callable[[int], Program]
    where: Where = "both"
    confirm: int = LAST
    takes_s: float | None = None

    def __call__(self, seed: int) -> Program:
        """Build it."""
        return self.make(seed)


def listed(
    where: Where = "both", *, confirm: int = LAST, takes_s: float | None = None
) -> Callable[[Callable[[int], Program]], Entry]:
    """Put a maker into the catalogue; the arguments are those of ``Entry``."""
    return lambda make: Entry(make.__name__.replace("_", "-"), make, where, confirm, takes_s)


def schedule(*faults: tuple[float, float, dict[str, object]]) -> Schedule:
    """A schedule from ``(at_s, for_s, fault)``."""
    return Schedule.from_json([{"at_s": at_s, "for_s": for_s, "fault": fault} for at_s, for_s, fault in faults])


def calm(seed: int, name: str, for_s: float = 1.5, per_s: float = 6.0) -> Workload:
    """The steady load of a scenario, its own for each seed."""
    return steady(random.Random(f"{name}-{seed}"), for_s=for_s, per_s=per_s, symbols=SYMBOLS)


def every(gap_s: float, begin_s: float, end_s: float, symbols: tuple[str, ...] = SYMBOLS) -> Workload:
    """One signal every ``gap_s`` seconds, the symbols in turn."""
    count = int((end_s - begin_s) / gap_s)
    return Workload.of(signal(begin_s + i * gap_s, symbols[i % len(symbols)]) for i in range(count))
