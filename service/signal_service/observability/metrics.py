"""The counters: fed by the events, kept in plain dictionaries, put into words for Prometheus when it asks.

Labels are bounded: routes, names and reasons of closed tables, never a user, a symbol or a key. Under heavy pressure
only what an operator needs to see the pressure is recorded (``ESSENTIAL``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from signal_service.observability.events import EventBus

COUNTED: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "request_done": ("signal_requests", "Requests answered", ("route", "status")),
    "admitted": ("signal_admitted", "Requests accepted by admission", ("priority",)),
    "rejected": ("signal_rejected", "Requests refused", ("reason",)),
    "shed": ("signal_shed", "Requests shed under pressure", ("level", "priority")),
    "level": ("signal_level_changes", "Changes of the pressure level", ("old", "new")),
    "breaker": ("signal_breaker_changes", "Changes of a circuit breaker", ("name", "new")),
    "permit_returned": ("signal_permits_returned", "Permits given back", ("pool", "why")),
    "call": ("signal_downstream_calls", "Calls to downstreams, with their retries", ("name", "outcome")),
    "cache": ("signal_cache_events", "What the cache did", ("event",)),
    "outbox": ("signal_outbox_events", "What the outbox did", ("event",)),
    "reload": ("signal_reloads", "Configuration reloads", ("outcome",)),
    "audit": ("signal_audit_events", "Failures and recoveries of the audit log", ("event",)),
    "redis": ("signal_redis_events", "Losses and recoveries of Redis", ("event",)),
    "client": ("signal_client_events", "Downstream clients built and closed", ("event",)),
    "metrics_mode": ("signal_metrics_mode_changes", "Changes of what is recorded", ("mode",)),
}
"""Event -> counter, its help, the fields that become labels."""

NAMES = ("ticker", "user", "alert", "comms")
FROM_ZERO: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "admitted": (("high", "normal", "low"),),
    "rejected": (("key", "scope", "rate", "permit", "too_large", "slow", "invalid", "connections"),),
    "shed": (("light", "moderate", "heavy"), ("high", "normal", "low")),
    "breaker": (NAMES, ("open", "half_open", "closed")),
    "outbox": (("accepted", "delivered", "attempt_failed", "dead", "full", "unavailable", "replayed", "conflict"),),
    "reload": (("applied", "refused", "rolled_back", "unchanged"),),
    "audit": (("failed", "back"),),
    "redis": (("lost", "back", "volatile"),),
}
"""Label values that are shown from the start: Prometheus sees no increase in a counter that begins with 1."""

ESSENTIAL = frozenset({"rejected", "shed", "level", "breaker", "outbox", "reload", "audit", "redis", "metrics_mode"})
SECONDS_LE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
CHILDREN_MAX = 256
"""Label sets of one counter; what comes beyond is counted under "other"."""

Gauge = Callable[[], float | Mapping[str, float]]
"""Reads a figure when Prometheus asks; a mapping becomes one child per name."""


class Metrics(Collector):
    """The counters of one service; each has its own registry, so two in one process do not mix."""

    def __init__(self, bus: EventBus, gauges: Mapping[str, tuple[str, Gauge]]) -> None:
        self._bus = bus
        self._gauges = gauges
        self._counts: dict[str, dict[tuple[str, ...], int]] = {
            event: dict.fromkeys(product(*FROM_ZERO[event]), 0) if event in FROM_ZERO else {} for event in COUNTED
        }
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self.mode = "full"
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self)
        bus.listen(tuple(COUNTED), self._count)
        bus.listen(("request_done",), self._time)
        bus.listen(("level",), self._throttle)

    def count(self, event: str, *labels: str) -> int:
        """How often ``event`` was counted, with these label values or, without any, in all."""
        counts = self._counts[event]
        return counts.get(labels, 0) if labels else sum(counts.values())

    def _count(self, event: str, _: str, fields: dict[str, Any]) -> None:
        if self.mode == "essential" and event not in ESSENTIAL:
            return
        counts = self._counts[event]
        labels = tuple([str(fields.get(name, "")) for name in COUNTED[event][2]])
        if labels not in counts and len(counts) >= CHILDREN_MAX:
            labels = ("other",) * len(labels)
        counts[labels] = counts.get(labels, 0) + 1

    def _time(self, _: str, __: str, fields: dict[str, Any]) -> None:
        if self.mode == "essential":
            return
        route = str(fields.get("route", ""))
        if route not in self._buckets and len(self._buckets) >= CHILDREN_MAX:
            route = "other"
        buckets = self._buckets.setdefault(route, [0] * (len(SECONDS_LE) + 1))
        buckets[bisect_left(SECONDS_LE, fields["duration_s"])] += 1
        self._seconds[route] = self._seconds.get(route, 0.0) + fields["duration_s"]

    def _throttle(self, _: str, __: str, fields: dict[str, Any]) -> None:
        mode = "essential" if fields["new"] == "heavy" else "full"
        if mode != self.mode:
            self.mode = mode
            self._bus("metrics_mode", mode=mode)

    def collect(self) -> Iterable[Metric]:
        """All of it for one scrape."""
        for event, (name, text, labels) in COUNTED.items():
            counter = CounterMetricFamily(name, text, labels=labels)
            for values, count in sorted(self._counts[event].items()):
                counter.add_metric(values, count)
            yield counter
        seconds = HistogramMetricFamily("signal_request_seconds", "Time to answer", labels=("route",))
        for route, buckets in sorted(self._buckets.items()):
            running, pairs = 0, []
            for edge, count in zip((*map(str, SECONDS_LE), "+Inf"), buckets, strict=True):
                running += count
                pairs.append((edge, running))
            seconds.add_metric((route,), pairs, self._seconds[route])
        yield seconds
        for name, (text, read) in self._gauges.items():
            value = read()
            gauge = GaugeMetricFamily(name, text, labels=("name",) if isinstance(value, Mapping) else ())
            for label, one in value.items() if isinstance(value, Mapping) else ():
                gauge.add_metric((label,), one)
            if not isinstance(value, Mapping):
                gauge.add_metric((), value)
            yield gauge

    def text(self) -> bytes:
        """The exposition for Prometheus."""
        return generate_latest(self.registry)
