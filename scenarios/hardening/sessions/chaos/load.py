"""What is asked during a session: open arrivals, warm and cold symbols, every priority, alerts, health checks."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hardening.catalogue.pieces import SYMBOLS
from hardening.history.workload import Operation, Priority, Workload, alert, signal

COLD_SHARE = 0.4
"""Share of signals for a symbol that nobody asked for before: a cache would hide the downstreams from every fault."""

ALERT_EVERY_S = 2.0
KEYS: tuple[tuple[str, Priority], ...] = (("demo", "normal"), ("high", "high"), ("low", "low"))


def session_load(rng: random.Random, *, for_s: float, per_s: float, mark: str, alerts: bool = True) -> Workload:
    """Requests of our own service's users.

    Args:
        rng: draws times, symbols and users.
        for_s: seconds.
        per_s: signals a second (the service accepts 300 requests a minute).
        mark: names what only this load asks for: cold symbols and idempotency keys.
        alerts: post alerts as well.
    """
    operations = [Operation(float(s), "health", priority="critical") for s in range(int(for_s) + 1)]
    at_s, number = 0.0, 0
    while (at_s := at_s + rng.expovariate(per_s)) < for_s:
        number += 1
        cold = rng.random() < COLD_SHARE
        key, priority = rng.choice(KEYS)
        symbol = f"{mark}{number}" if cold else rng.choice(SYMBOLS)
        operations.append(signal(round(at_s, 3), symbol, key=key, priority=priority))
    posts = int(for_s / ALERT_EVERY_S) if alerts else 0
    operations += [
        alert(round(0.7 + i * ALERT_EVERY_S, 3), rng.choice(SYMBOLS), f"{mark}-{i}".lower()) for i in range(posts)
    ]
    return Workload.of(operations)


def asked_load(rng: random.Random, *, for_s: float, per_s: float, paths: Sequence[str]) -> Workload:
    """GETs of the given paths in turn, for a service that is not ours."""
    operations: list[Operation] = []
    at_s = 0.0
    while (at_s := at_s + rng.expovariate(per_s)) < for_s:
        path = paths[len(operations) % len(paths)]
        operations.append(Operation(round(at_s, 3), "signal", path=path, key="demo"))
    return Workload.of(operations)
