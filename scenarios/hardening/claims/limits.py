"""The limits that judges compare measurements with: those that a run had, read from its history.

A history's header carries the service's effective settings as a tree of the same names, so that a run with scaled
limits is judged by its own. What the header leaves out has the default in ``LIMITS``. Units stand last in names.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hardening.history.events import History

DOWNSTREAMS: tuple[str, ...] = ("ticker", "user", "alert", "comms")


def _downstream(failures: int, open_s: float, retries: int) -> Mapping[str, Any]:
    return {"breaker": {"failures": failures, "open_s": open_s, "probe_lease_s": 5.0}, "retries": retries}


LIMITS: Mapping[str, Any] = MappingProxyType(
    {
        "budgets": {
            "in_flight": 50,
            "critical_reserve": 5,
            "memory_mb": 512,
            "cpu_share": 0.85,
            "cpu_window_s": 5.0,
            "accepted_per_window": 300,
            "window_s": 60.0,
            "request_s": 5.0,
            "loop_lag_ms": 250.0,
        },
        "levels": {"sample_s": 0.25, "light": 0.70, "moderate": 0.85, "heavy": 0.95, "margin": 0.10, "hold_s": 5.0},
        "downstreams": {
            "ticker": _downstream(3, 60.0, 2),
            "user": _downstream(5, 45.0, 3),
            "alert": _downstream(2, 30.0, 2),
            "comms": _downstream(2, 30.0, 2),
        },
        "retry": {"base_s": 0.2, "cap_s": 2.0, "budget_share": 0.2, "budget_min": 3, "budget_window_s": 10.0},
        "startup": {"attempt_s": 5.0, "total_s": 60.0, "base_s": 0.5, "cap_s": 5.0},
        "drain": {"readiness_s": 1.0, "max_s": 10.0},
        "cache": {"ttl_s": 60.0, "stale_s": 300.0, "entries": 10_000},
        "recovery": {"extra_s": 10.0},
        "clients": {"head_s": 10.0, "body_s": 10.0, "body_bytes": 1_000_000, "connections": 200},
        "outbox": {"capacity": 10_000, "base_s": 0.5, "cap_s": 30.0, "claim_idle_s": 5.0},
    }
)

CLOCK_SLACK_S = 0.005
"""Two stamps of one process, taken a few statements apart."""

CROSSING_SLACK_S = 0.25
"""A message on its way between two processes of one machine that may be busy."""

GRACE_S = 0.1
"""What a request may take beyond its time (C2.4)."""


def limit(history: History, *path: str) -> float:
    """A limit at the start of the run, such as ``limit(history, "budgets", "in_flight")``.

    Raises:
        KeyError: when neither the header nor the defaults know it.
    """
    for tree in (history.header.settings, LIMITS):
        node: Any = tree
        for name in path:
            node = node.get(name) if isinstance(node, Mapping) else None
        if isinstance(node, int | float) and not isinstance(node, bool):
            return float(node)
    raise KeyError(".".join(path))


def largest(history: History, *path: str) -> float:
    """The largest value that a limit had in the run: a reload may have changed it."""
    return max(_in_force(history, path))


def smallest(history: History, *path: str) -> float:
    """The smallest value that a limit had in the run; see ``largest``."""
    return min(_in_force(history, path))


def _in_force(history: History, path: tuple[str, ...]) -> list[float]:
    """Every value of a limit: at the start, then those of ``settings`` events (``changed``)."""
    changed = [event.value.get("changed") for event in history.states("settings")]
    values = [one.get(".".join(path)) for one in changed if isinstance(one, Mapping)]
    return [limit(history, *path), *(float(value) for value in values if isinstance(value, int | float))]
