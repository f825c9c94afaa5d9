"""Which scenarios there are, in which world each runs, and how long a live one takes.

Out: the catalogue by name, collected from its modules in their order; programs built from a seed. Times in seconds.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType

from hardening.catalogue import crowds, entries, leaks, operations, outages, starts
from hardening.catalogue.pieces import Entry
from hardening.catalogue.scenario import Program, Scenario

THEMES = (starts, outages, crowds, entries, operations, leaks)

JOBS: Mapping[str, float] = MappingProxyType({"deployment": 20.0, "gate": 15.0, "soak": 45.0})
"""Jobs of the live world that are no scenario, and about how long each takes; they run whatever the budget."""

OVERHEAD_S = 6.0
"""What a live scenario takes beside its own phases: boot, probes, drain, end; measured on two busy cores."""


@functools.cache
def catalogue() -> Mapping[str, Entry]:
    """Every scenario by name."""
    found = [one for theme in THEMES for one in vars(theme).values() if isinstance(one, Entry)]
    return MappingProxyType({one.name: one for one in found})


def simulated_scenarios(seed: int) -> dict[str, Program]:
    """Every scenario that the simulated world can run, by name, in the order in which they run."""
    return {name: one(seed) for name, one in catalogue().items() if one.where != "live"}


def live_scenarios(seed: int) -> dict[str, Program]:
    """Every scenario of the live world, by name."""
    return {name: one(seed) for name, one in catalogue().items() if one.where != "simulated"}


def live_only() -> frozenset[str]:
    """What only real processes and real time show: it runs whatever the budget."""
    return frozenset(JOBS) | {name for name, one in catalogue().items() if one.where == "live"}


def live_names() -> list[str]:
    """Every job of the live world, by name."""
    return [*JOBS, *(name for name, one in catalogue().items() if one.where != "simulated")]


def estimate_s(program: Program, entry: Entry | None = None) -> float:
    """About how long it takes in the live world, in seconds."""
    if entry is not None and entry.takes_s is not None:
        return entry.takes_s
    if not isinstance(program, Scenario):
        return OVERHEAD_S * len(program)
    broken_s = max(program.workload.duration_s, program.schedule.last_heal_s)
    return 2 * program.steady.duration_s + broken_s + min(program.recovery_s, 3.0) + OVERHEAD_S
