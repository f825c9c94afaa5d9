"""Figures over time: what the pictures of a load report are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtests.records import Record, Recorded, percentile
from scenarios.judge.history import History

BUCKETS_MAX = 240
MB = 1 << 20
SLOW_FACTOR = 3.0


@dataclass(slots=True)
class Bucket:
    """What began within one span of time: counts, and latencies of good answers in ms."""

    from_s: float
    accepted: int = 0
    shed: int = 0
    rejected: int = 0
    errors: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    def percentiles(self) -> tuple[float, float, float] | None:
        """p50, p95 and p99 in ms; None without an answer."""
        if not self.latencies_ms:
            return None
        return (
            percentile(self.latencies_ms, 0.5),
            percentile(self.latencies_ms, 0.95),
            percentile(self.latencies_ms, 0.99),
        )


@dataclass(frozen=True, slots=True)
class OverTime:
    """All series of a report; times in seconds since the first request."""

    width_s: float
    buckets: Sequence[Bucket]
    rss_mb: Sequence[tuple[float, float]]
    in_flight: Sequence[tuple[float, float]]
    faults: Sequence[tuple[float, float, str]]
    levels: Sequence[tuple[float, str]]


def over_time(run: Recorded, history: History | None) -> OverTime:
    """Everything by time, in at most ``BUCKETS_MAX`` buckets of whole seconds."""
    span_s = max(1.0, run.ended_s)
    width_s = max(1.0, -(-span_s // BUCKETS_MAX))
    buckets = [Bucket(i * width_s) for i in range(int(span_s // width_s) + 1)]
    for record in run.requests:
        _count(buckets[min(len(buckets) - 1, int(record.at_s // width_s))], record)
    if history is None:
        rss = [(s.at_s, s.series["signal_rss_bytes"] / MB) for s in run.scrapes if "signal_rss_bytes" in s.series]
        flights = [(s.at_s, s.total("signal_in_flight", pool="main")) for s in run.scrapes]
        return OverTime(width_s, buckets, rss, flights, [], [])
    shift_s = run.zero_s - float(history.header.extra["epoch_mono_s"])
    rss = [(e.t - shift_s, float(e.value["rss_bytes"]) / MB) for e in history.states("sample")]
    taken = [(e.t - shift_s, float(e.value["in_flight"])) for e in history.states("permit_taken", pool="main")]
    levels = [(e.t - shift_s, str(e.value["new"])) for e in history.states("level")]
    return OverTime(width_s, buckets, rss, _most(taken, width_s), _fault_spans(history, shift_s), levels)


def _count(bucket: Bucket, record: Record) -> None:
    if not record.product or record.left:
        return
    if record.accepted:
        bucket.accepted += 1
        bucket.latencies_ms.append(record.latency_s * 1000)
    elif record.status == 429:
        bucket.rejected += 1
    elif record.status == 503:
        bucket.shed += 1
    else:
        bucket.errors += 1


def _most(points: Sequence[tuple[float, float]], width_s: float) -> list[tuple[float, float]]:
    found: dict[int, float] = {}
    for t, value in points:
        found[int(t // width_s)] = max(found.get(int(t // width_s), 0.0), value)
    return [(bucket * width_s, value) for bucket, value in sorted(found.items())]


def _fault_spans(history: History, shift_s: float) -> list[tuple[float, float, str]]:
    began = {e.id: (e.t, f"{e.value['kind']} on {e.value['target']}") for e in history.select("fault", "inject")}
    spans = []
    for heal in history.select("fault", "heal"):
        if heal.id in began:
            t, name = began[heal.id]
            spans.append((t - shift_s, heal.t - shift_s, name))
    return spans


def knee(run: Recorded) -> dict[str, Any] | None:
    """Where it begins to refuse: the offered rate of the first ten seconds in which over 5 % were refused."""
    product = [record for record in run.requests if record.product and not record.left]
    width_s = 10.0
    for number in range(int(run.ended_s // width_s) + 1):
        inside = [r for r in product if number * width_s <= r.at_s < (number + 1) * width_s]
        refused = [r for r in inside if r.status in (429, 503)]
        if inside and len(refused) > 0.05 * len(inside):
            why = "rate" if sum(r.status == 429 for r in refused) * 2 >= len(refused) else "pressure"
            return {"offered_per_s": len(inside) / width_s, "at_s": number * width_s, "refused_for": why}
    return None
