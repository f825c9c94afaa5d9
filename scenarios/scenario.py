"""A scenario as plain data: how the world is made, what is asked, what breaks and when.

Nothing here runs anything: ``scenarios.runner`` does, and the judge never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from faults.schedule import Schedule
from scenarios.judge.workload import Workload

End = Literal["term", "kill"]


@dataclass(frozen=True, slots=True)
class Reload:
    """A new configuration at a moment: settings laid over those in force, or text that is no configuration."""

    at_s: float
    settings: Mapping[str, Any] | str
    by: Literal["sighup", "file", "admin", "rollback"] = "sighup"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run to be judged.

    Attributes:
        name: its name in certificates and on the command line.
        summary: one line: what breaks under what load.
        settings: laid over the defaults of the service.
        steady: measured before the faults and again after recovery.
        workload: what is asked while faults run; its times count from the first fault's zero.
        schedule: the faults.
        reloads: configurations swapped while the workload runs.
        recovery_s: bound for the way back to steady state after the last heal.
        latency_s: how long each stand-in takes to answer.
        absent: stand-ins that are not there.
        durable: the store keeps what it acknowledged.
        term_at_s: send SIGTERM at this moment of the workload instead of after it (C6.1).
        plant: plant canaries in requests and in other people's error messages.
        environment: further variables for the service's process.
    """

    name: str
    summary: str
    steady: Workload = field(default_factory=Workload)
    workload: Workload = field(default_factory=Workload)
    schedule: Schedule = field(default_factory=Schedule)
    settings: Mapping[str, Any] = field(default_factory=dict)
    reloads: tuple[Reload, ...] = ()
    recovery_s: float = 15.0
    latency_s: Mapping[str, float] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    durable: bool = True
    term_at_s: float | None = None
    canaries: tuple[Mapping[str, str], ...] = ()
    keep: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StartupCase:
    """A start under difficulties: which stand-ins are missing at first, and when they appear.

    Attributes:
        name: its name; ``case`` of the recorded probe.
        absent: dependencies that are not there when the service starts (``redis`` too).
        appear_after_s: when they appear, ``None``: never.
        settings: laid over the defaults; the start-up times are shortened in the live world.
        signal_after_s: send SIGTERM so long after the start.
        hang: the absent ones accept connections and never answer.
    """

    name: str
    summary: str
    absent: tuple[str, ...]
    appear_after_s: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    signal_after_s: float | None = None
    hang: bool = False
