"""A scenario as plain data: how the world is made, what is asked, what breaks and when.

Nothing here runs anything: ``hardening.runs.runner`` does, and the judge never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hardening.faults.schedule import Schedule
from hardening.history.workload import Workload

End = Literal["term", "kill"]


@dataclass(frozen=True, slots=True)
class Reload:
    """A new configuration at a moment: settings laid over those in force, or text that is no configuration.

    ``refused`` names what is wrong with one that must be refused; empty for one that may be taken.
    """

    at_s: float
    settings: Mapping[str, Any] | str
    by: Literal["sighup", "file", "admin", "rollback"] = "sighup"
    refused: str = ""


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
        latency_s: how long each fake downstream takes to answer.
        absent: fake downstreams that are not there.
        durable: the store keeps what it acknowledged.
        term_at_s: send SIGTERM at this moment of the workload instead of after it (C6.1).
        canaries: planted secrets, which may stand nowhere; ``keep``: harmless texts, which must stand unchanged.
        environment: further variables for the service's process.
        named: downstreams are known by name (``ticker.localhost``), so that names can fail to resolve.
        hostile_bytes: a library logs hostile lines of so many bytes while the loop's lag is watched.
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
    named: bool = False
    hostile_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StartupCase:
    """A start under difficulties.

    Attributes:
        case: ``absent`` (never there), ``late``, ``hanging`` (accepts and never answers), ``flapping`` (comes and goes,
            and stays in the end), ``sigterm``.
        dependency: which one: ``redis`` or a downstream.
        appear_after_s: when a late one appears; how long a flapping one is gone each time.
        signal_after_s: when SIGTERM is sent.
    """

    case: Literal["absent", "late", "hanging", "flapping", "sigterm"]
    dependency: str
    appear_after_s: float | None = None
    signal_after_s: float | None = None


Program = Scenario | tuple[StartupCase, ...]
"""What a world runs: a scenario, or starts under difficulties one after the other."""
