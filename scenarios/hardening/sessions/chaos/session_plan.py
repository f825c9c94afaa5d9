"""The plan of a session: what will be asked, what will break and when, before anything is touched."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hardening.catalogue.scenario import Scenario
from hardening.faults.schedule import Schedule
from hardening.sessions.chaos.load import asked_load, session_load
from hardening.sessions.chaos.watch import Limits
from hardening.worlds.staging.world import StagingSpec

STEADY_S = 5.0
QUICK_BREAKER_S = 3.0
"""Open time of every breaker in a live session: each walks its whole way within minutes; the evidence states it."""

RECOVERY_S = 20.0
CLIENT_S = 1.2
"""Limit for head and body of a slow client: it is cut while the fault lasts."""

LIVE_SETTINGS: Mapping[str, Any] = {
    "clients": {"head_s": CLIENT_S, "body_s": CLIENT_S},
    "downstreams": {name: {"breaker": {"open_s": QUICK_BREAKER_S}} for name in ("ticker", "user", "alert", "comms")},
}


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """A session to be.

    Attributes:
        scenario: what is asked and what breaks.
        seed: it was drawn from.
        duration_s: of the phase with the faults.
        limits: when it is cut short.
        staging: the stack it runs on; ``None``: the live world.
        key_env: name of the variable that held the staging stack's key.
        sabotage: the mutant (a name or ``FILE.py:NAME``) for the live world.
    """

    scenario: Scenario
    seed: int
    duration_s: float
    limits: Limits = field(default_factory=Limits)
    staging: StagingSpec | None = None
    key_env: str = ""
    sabotage: str = ""

    def lines(self) -> list[str]:
        """The plan, a line each."""
        where = self.staging.url if self.staging else "the live world (our own service, Valkey and fake downstreams)"
        asked = len(self.scenario.workload.operations)
        lines = [
            f"session {self.scenario.name} on {where}, seed {self.seed}",
            (
                f"{STEADY_S:g} s steady state, {self.duration_s:g} s with {len(self.scenario.schedule.faults)} faults "
                f"and {asked} requests, recovery within {self.scenario.recovery_s:g} s, {STEADY_S:g} s quiet"
            ),
            (
                f"cut short above {self.limits.error_share_max:.0%} errors or a p95 of {self.limits.latency_s_max:g} s "
                f"within {self.limits.window_s:g} s"
            ),
            "  from s     to s  fault",
        ]
        for timed in self.scenario.schedule.faults:
            data = timed.fault.to_json()
            more = {
                name: value for name, value in data.items() if name not in {"kind", "target"} and value not in ("", {})
            }
            shown = " ".join(f"{name}={value}" for name, value in more.items())
            ends_s = timed.at_s + timed.for_s
            lines.append(f"{timed.at_s:8.1f} {ends_s:8.1f}  {timed.fault.kind} {timed.fault.target} {shown}".rstrip())
        return lines

    def to_json(self) -> dict[str, Any]:
        """The plan for a machine."""
        return {
            "name": self.scenario.name,
            "world": "target" if self.staging else "live",
            "target": self.staging.url if self.staging else None,
            "seed": self.seed,
            "duration_s": self.duration_s,
            "requests": len(self.scenario.workload.operations),
            "limits": {
                "error_share_max": self.limits.error_share_max,
                "latency_s_max": self.limits.latency_s_max,
                "window_s": self.limits.window_s,
            },
            "schedule": self.scenario.schedule.to_json(),
        }


def scenario_of(
    name: str,
    schedule: Schedule,
    *,
    seed: int,
    duration_s: float,
    per_s: float,
    ask: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> Scenario:
    """The scenario of a session: the same seed asks the same."""
    rng = random.Random(f"chaos-load-{name}-{seed}")
    if ask:
        steady = asked_load(rng, for_s=STEADY_S, per_s=max(per_s, 4.0), paths=ask)
        work = asked_load(rng, for_s=duration_s, per_s=per_s, paths=ask)
    else:
        steady = session_load(rng, for_s=STEADY_S, per_s=max(per_s, 4.0), mark="CALM", alerts=False)
        work = session_load(rng, for_s=duration_s, per_s=per_s, mark="CHAOS")
    return Scenario(
        name=name,
        summary=f"{len(schedule.faults)} faults in {duration_s:g} s under load",
        steady=steady,
        workload=work,
        schedule=schedule,
        settings=LIVE_SETTINGS if settings is None else settings,
        recovery_s=RECOVERY_S,
        named=any(timed.fault.kind == "dns_failure" for timed in schedule.faults),
    )


def session_name(scenario: str, seed: int, at: datetime) -> str:
    """Sorts by time, and says what it was."""
    return f"{at:%Y%m%d-%H%M%S}-{scenario}-s{seed}"
