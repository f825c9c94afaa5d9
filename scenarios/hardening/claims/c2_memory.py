"""C2.5: memory over a soak."""

from __future__ import annotations

from hardening.claims.claim import claim
from hardening.claims.limits import limit
from hardening.claims.trend import trend
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import probes
from hardening.history.events import Event, History

MB = 1024 * 1024
SAMPLES_MIN = 20
KEYS_MIN = 100_000
GROWTH_SHARE_MAX = 0.01
"""Of the budget: what a soak may add before its slope counts. A sound soak adds a fifth of it (allocators round)."""
DOUBT_SHARE_MAX = 0.03
"""Of the budget: when growth up to here cannot be ruled out, there is no verdict."""


@claim(
    "C2.5",
    "Memory",
    premise="The soak ran to its end and was sampled after warm-up.",
    shown_by=("soak",),
    needs=("sample",),
    limits=("budgets.memory_mb",),
)
def judge_memory(history: History) -> Verdict:
    """RSS stays under budget through a soak with a metrics flood and 100,000 keys, without an upward slope."""
    budget_bytes = limit(history, "budgets", "memory_mb") * MB
    samples = history.states("sample")
    marks = probes(history, "soak")
    begin = next((m for m in marks if m.value.get("phase") == "begin"), None)
    end = next((m for m in marks if m.value.get("phase") == "end"), None)
    if begin is None or end is None:
        return unknown("there was no soak", samples=len(samples))
    for sample in samples:
        if int(sample.value["rss_bytes"]) >= budget_bytes:
            return failed(1, f"RSS above {budget_bytes / MB:g} MB", [sample])
    for event in history.states("process", name="service", state="exited"):
        if begin.t <= event.t <= end.t:
            return failed(1, "the service ended in the soak", [begin, event])
    inside = [s for s in samples if begin.t <= s.t <= end.t]
    if len(inside) < SAMPLES_MIN:
        return unknown(f"fewer than {SAMPLES_MIN} samples in the soak", samples=len(inside))
    return _judge_slope(begin, end, inside, budget_bytes)


def _judge_slope(begin: Event, end: Event, inside: list[Event], budget_bytes: float) -> Verdict:
    points = [(s.t, float(s.value["rss_bytes"])) for s in inside]
    found = trend(points)
    span_s = points[-1][0] - points[0][0]
    keys, scrapes = int(end.value.get("distinct_keys", 0)), int(end.value.get("metrics_scrapes", 0))
    figures = {
        "samples": len(inside),
        "distinct_keys": keys,
        "metrics_scrapes": scrapes,
        "rss_max_mb": round(max(y for _, y in points) / MB, 1),
        "growth_mb": round(found.rise / MB, 2),
        "growth_least_mb": round(found.least / MB, 2),
        "growth_most_mb": round(found.most / MB, 2),
        "span_s": round(span_s, 1),
    }
    if found.persists and found.least > GROWTH_SHARE_MAX * budget_bytes:
        reason = f"RSS grew by at least {found.least / MB:.1f} MB in {span_s:.0f} s (99 %), all along"
        return failed(1, reason, [begin, inside[0], inside[-1]])
    if keys < KEYS_MIN or not scrapes:
        return unknown(f"the soak had {keys} of {KEYS_MIN} keys and {scrapes} scrapes", **figures)
    if found.rise > GROWTH_SHARE_MAX * budget_bytes or found.most > DOUBT_SHARE_MAX * budget_bytes:
        reason = f"the samples do not tell a slope from a leap: RSS may have grown by {found.most / MB:.1f} MB"
        return unknown(reason, **figures)
    return passed(1, **figures)
