"""Which scenarios there are, in which world each runs, which show a claim, and how long a live one takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hardening.catalogue.live_catalogue import live_scenarios, startup_cases
from hardening.catalogue.scenario import Scenario, StartupCase
from hardening.catalogue.sim_catalogue import sim_scenarios, sim_startup_cases
from hardening.claims.claims import CLAIMS

SimScenario = Scenario | tuple[StartupCase, ...]

REAL_TIME_ONLY = frozenset({"hostile-lines"})
"""They measure what only real time can show."""

OVERHEAD_S = 6.0
"""What a live scenario takes beside its own phases: boot, probes, drain, end; measured on two busy cores."""

UNSCRIPTED_S: Mapping[str, float] = {"startup": 45.0, "deployment": 20.0, "gate": 15.0, "soak": 45.0}
"""Estimates of those that are no ``Scenario``, in seconds."""


def simulated_scenarios(seed: int) -> dict[str, SimScenario]:
    """Every scenario that the simulated world can run, by name, in the order in which they run."""
    found: dict[str, SimScenario] = {"startup": startup_cases()}
    found |= {one.name: one for one in live_scenarios(seed) if one.name not in REAL_TIME_ONLY}
    found |= {one.name: one for one in sim_scenarios(seed)}
    found["startup-unscaled"] = sim_startup_cases()
    return found


def live_names(seed: int) -> list[str]:
    """Every job of the live world, by name."""
    return ["deployment", "gate", "soak", "startup", *(one.name for one in live_scenarios(seed))]


def shows(claims: Iterable[str], names: Iterable[str]) -> list[str]:
    """Of the scenarios ``names`` those that exercise one of the claims by design."""
    wanted = {name for claim in claims for name in CLAIMS[claim].shown_by}
    return [name for name in names if name in wanted]


def estimate_s(scenario: Scenario) -> float:
    """About how long it takes in the live world, in seconds."""
    broken_s = max(scenario.workload.duration_s, scenario.schedule.last_heal_s)
    return 2 * scenario.steady.duration_s + broken_s + min(scenario.recovery_s, 3.0) + OVERHEAD_S
