"""Starts under difficulties, and the live jobs that are no scenario but have their place in the catalogue.

Out: start-up cases as data; times in seconds from the service's first attempt.
"""

from __future__ import annotations

from hardening.catalogue.pieces import listed
from hardening.catalogue.scenario import Program, StartupCase


@listed(takes_s=45.0)
def startup(_seed: int) -> Program:
    """Every start under difficulties, in the order in which they run."""
    critical = ("redis", "ticker", "user")
    cases = [StartupCase("absent", name) for name in critical]
    cases += [StartupCase("late", name, appear_after_s=0.9) for name in critical]
    cases += [StartupCase("absent", name) for name in ("alert", "comms")]
    cases += [StartupCase("hanging", "user"), StartupCase("sigterm", "redis", signal_after_s=0.4)]
    return tuple(cases)


@listed("simulated")
def startup_unscaled(_seed: int) -> Program:
    """Starts with the start-up time unscaled: 5 s an attempt, 60 s in all."""
    critical = ("redis", "ticker", "user")
    cases = [StartupCase("absent", name) for name in critical]
    cases += [StartupCase("late", name, appear_after_s=50.0) for name in critical]
    cases += [StartupCase("absent", name) for name in ("alert", "comms")]
    cases += [StartupCase("hanging", name) for name in ("ticker", "user")]
    cases.append(StartupCase("sigterm", "redis", signal_after_s=7.0))
    return tuple(cases)
