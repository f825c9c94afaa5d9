"""A load run as its judges see it: requests, scrapes, samples, and disturbances by faults and by the machine.

In comes a history, out come plain values (seconds since the run began); pure, and it judges nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hardening.claims.c6_recovery import bound_s
from hardening.claims.views import CRITICAL_OPERATIONS, PRODUCT_OPERATIONS, Broken, faults, lives, overlaps
from hardening.history.events import Event, History
from hardening.load.plan import Plan

RATE_LIMITED, UNAVAILABLE, ACCEPTED = 429, 503, 202
TYPE_PREFIX = "urn:signal-service:problem:"
BEFORE_ADMISSION = frozenset({"no-key", "scope", "rate", "shed", "busy", "connections", "slow", "too-large", "method"})
"""Problems of requests that took no rate slot."""
UNCLEAR = frozenset({400, 404, 405, 408, 413, 431})
"""Answers that may come from before the gate as well as from behind it."""
EXPECTED: Mapping[str, frozenset[int]] = {"alert": frozenset({ACCEPTED}), "ready": frozenset({200, UNAVAILABLE})}
"""Statuses of an answer that is what was asked for, by operation; of every other one it is 200."""
RUDE_ANSWERS = frozenset({400, 401, 403, 404, 405, 408, 413, 422, RATE_LIMITED, UNAVAILABLE})
MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """A request and its end. Times in seconds since the run began; latencies unrounded."""

    id: str
    persona: str
    operation: str
    priority: str
    intended_t: float
    begin_t: float
    end_t: float
    kind: str
    status: int
    error: str
    key: str
    value: Mapping[str, Any]

    @property
    def latency_s(self) -> float:
        """From when it was meant to start."""
        return self.end_t - self.intended_t

    @property
    def own_latency_s(self) -> float:
        """From when it really started."""
        return self.end_t - self.begin_t

    @property
    def problem(self) -> str:
        """The end of the problem's type, empty for none."""
        return str(self.value.get("problem", "")).removeprefix(TYPE_PREFIX)

    @property
    def critical(self) -> bool:
        """True for a critical route."""
        return self.operation in CRITICAL_OPERATIONS

    @property
    def refused(self) -> bool:
        """Turned away at the gate."""
        return self.status == RATE_LIMITED or (self.status == UNAVAILABLE and self.problem in BEFORE_ADMISSION)

    @property
    def left(self) -> bool:
        """The client itself went away."""
        return self.kind == "indeterminate" and self.error == "disconnected"

    @property
    def admitted(self) -> bool:
        """It certainly took a rate slot: a complete answer that is made behind the gate, of a product route."""
        return self.maybe_admitted and self.status > 0 and self.status not in UNCLEAR

    @property
    def maybe_admitted(self) -> bool:
        """It may have taken one."""
        product = self.operation in PRODUCT_OPERATIONS or self.operation == "rude"
        return product and self.problem not in BEFORE_ADMISSION

    @property
    def expected(self) -> bool:
        """It was answered with what it asked for."""
        allowed = RUDE_ANSWERS if self.operation == "rude" else EXPECTED.get(self.operation, frozenset({200}))
        return self.kind == "ok" and self.status in allowed

    @property
    def wrong(self) -> bool:
        """Neither served nor refused as it should be."""
        return not (self.left or self.expected or self.status in {RATE_LIMITED, UNAVAILABLE})

    @property
    def wait_s(self) -> float | None:
        """The wait that a refusal named."""
        wait = self.value.get("retry_after_s")
        return None if wait is None else float(wait)


@dataclass(frozen=True, slots=True)
class Scrape:
    """What ``/metrics`` said between two moments."""

    begin_t: float
    end_t: float
    series: Mapping[str, float]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank in an ascending sequence; raises IndexError for an empty one."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Run:
    """Everything that the judges of a load run ask for."""

    history: History

    @cached_property
    def plan(self) -> Plan:
        """What was to be done."""
        return Plan.from_json(self.history.header.extra["load"]["plan"])

    @cached_property
    def began_t(self) -> float:
        """When the load began."""
        return float(self.history.header.extra["load"]["began_s"])

    @property
    def ended_t(self) -> float:
        """When the last request was to be started."""
        return self.began_t + self.plan.duration_s

    @cached_property
    def sent(self) -> list[Sent]:
        """Every request with an end, by its beginning; those of the harness have no persona."""
        found = [_sent(invoke, end) for invoke, end in self.history.requests() if end is not None]
        return sorted(found, key=lambda one: one.begin_t)

    @cached_property
    def load(self) -> list[Sent]:
        """The requests of the load itself."""
        return [one for one in self.sent if one.persona and one.persona != "lone"]

    @cached_property
    def scrapes(self) -> list[Scrape]:
        """What ``/metrics`` said, in order."""
        found = []
        for event in self.history.states("probe", probe="metrics"):
            if isinstance(event.value.get("series"), Mapping) and "round_trip_s" in event.value:
                took_s = float(event.value["round_trip_s"])
                found.append(Scrape(event.t - took_s, event.t, event.value["series"]))
        return found

    @cached_property
    def rss(self) -> list[tuple[float, float]]:
        """(moment, bytes) as seen from outside, else as the service says itself."""
        outside = [(e.t, float(e.value["rss_bytes"])) for e in self.history.states("sample")]
        if outside:
            return outside
        own = [(s.end_t, s.series["signal_rss_bytes"]) for s in self.scrapes if "signal_rss_bytes" in s.series]
        return [(t, value) for t, value in own if value > 0]

    @cached_property
    def admissions(self) -> list[float]:
        """Moments of admission as the service logged them; empty where its log is not to be had."""
        return [event.t for event in self.history.states("admitted")]

    @cached_property
    def embedded(self) -> bool:
        """True when the service was booted for this run, so that nothing was asked of it before."""
        return self.plan.embedded

    @cached_property
    def broken(self) -> list[Broken]:
        """Faults injected meanwhile."""
        return faults(self.history)

    @cached_property
    def fault_spans(self) -> list[tuple[float, float]]:
        """From each injection until the service has to be well again."""
        extra_s = bound_s(self.history) if self.broken else 0.0
        return [(one.inject.t, one.healed_s + extra_s) for one in self.broken]

    def calm(self, one: Sent) -> bool:
        """True when no fault can be made answerable for how the request went."""
        return not overlaps(self.fault_spans, min(one.intended_t, one.begin_t), one.end_t)

    @cached_property
    def restarted(self) -> bool:
        """True when the service had more than one life: its counters began again."""
        return len(lives(self.history)) > 1

    @cached_property
    def aborted(self) -> str:
        """Why the run was ended early; empty when it was not."""
        found = self.history.states("probe", probe="aborted")
        return str(found[0].value["why"]) if found else ""

    @cached_property
    def stopped_s(self) -> float | None:
        """How long after its begin a person asked for its end; ``None`` when nobody did."""
        found = self.history.states("probe", probe="stopped")
        return found[0].t - self.began_t if found else None

    @cached_property
    def lags(self) -> dict[str, list[tuple[float, float]]]:
        """By how a worker's request ids begin: when that generator itself had no time, in order."""
        found: dict[str, list[tuple[float, float]]] = {}
        for event in self.history.states("probe", probe="generator_lag"):
            spans = found.setdefault(f"L{event.value['worker']}", [])
            spans += [(float(begin), float(end)) for begin, end in event.value["spans"]]
        return {name: sorted(spans) for name, spans in found.items()}

    @cached_property
    def disk_waits(self) -> list[tuple[float, float]]:
        """When the store may have waited for the disk of the machine, so that its callers waited too."""
        found = []
        for event in self.history.states("probe", probe="disk_waits"):
            found += [(float(begin), float(end)) for begin, end in event.value["spans"]]
        return sorted(found)

    @cached_property
    def disk_wait_ms(self) -> float:
        """The longest of those waits."""
        found = self.history.states("probe", probe="disk_waits")
        return max((float(event.value["longest_ms"]) for event in found), default=0.0)

    def held_up_s(self, one: Sent, since_t: float) -> float:
        """How long its generator had no time for a request after a moment: so much too long its latency may be."""
        spans = self.lags.get(one.id.partition("-")[0], [])
        first = bisect_left(spans, since_t, key=lambda span: span[1])
        found = 0.0
        for begin, end in spans[first:]:
            if begin >= one.end_t:
                break
            found += min(end, one.end_t) - max(begin, since_t)
        return found

    @cached_property
    def answered_at(self) -> list[float]:
        """When answers came, ascending."""
        return sorted(one.end_t for one in self.sent if one.status)

    def answered_before(self, t: float) -> int:
        """How many answers had come before a moment."""
        return bisect_left(self.answered_at, t)


def _sent(invoke: Event, end: Event) -> Sent:
    value = invoke.value
    return Sent(
        *(invoke.id, str(value.get("persona", "")), str(value["operation"]), str(value["priority"])),
        *(float(value.get("intended_t", invoke.t)), invoke.t, invoke.t + float(end.value["latency_s"]), end.type),
        *(int(end.value.get("status", 0)), str(end.value.get("error", "")), str(value.get("key", "valid"))),
        {**{k: value[k] for k in ("idempotency_key",) if k in value}, **end.value},
    )
