"""Budgets of resources: permits, memory, CPU; and the agreement of the service's counters with what clients saw.

In come a run and the limits, out come verdicts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from hardening.claims.trend import trend
from hardening.claims.verdict import Verdict
from hardening.load.budget import COUNT, SECONDS, Limits, at_most, budget, unknown
from hardening.load.exposition import total
from hardening.load.view import MB, RATE_LIMITED, Run, Scrape, Sent

POINTS_MIN = 20
REQUESTS_MIN = 500


def _gauge(scrape: Scrape) -> float | None:
    return scrape.series.get("signal_in_flight{name=main}")


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """The largest number of spans that overlap."""
    edges = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    now = best = 0
    for _, step in edges:
        now += step
        best = max(best, now)
    return best


@budget("in_flight.max", {"in_flight.in_flight_max": (1, 1e6)}, "requests")
def judge_in_flight(run: Run, limits: Limits) -> Verdict:
    """Never more in flight than allowed: by permits in the log and by the gauge, else by clients' clocks."""
    limit = limits.get("in_flight.in_flight_max")
    permits = [int(e.value["in_flight"]) for e in run.history.states("permit_taken", pool="main")]
    gauges = [value for value in map(_gauge, run.scrapes) if value is not None]
    if permits or gauges:
        figure = max([*permits, *gauges])
        return at_most(figure, limit, len(permits) + len(gauges))
    mine = [(one.begin_t, one.end_t) for one in run.sent if one.admitted]
    figure = most_at_once(list(mine))
    if mine and figure <= limit:
        return at_most(figure, limit, len(mine))
    return unknown("neither permits nor the gauge were seen", figure=figure)


@budget("in_flight.at_rest", {"in_flight.at_rest_max": COUNT}, "permits")
def judge_at_rest(run: Run, limits: Limits) -> Verdict:
    """When nothing is asked any more, no permit is out: one that is will never come back."""
    limit = limits.get("in_flight.at_rest_max")
    last_t = max((one.end_t for one in run.load if one.persona != "observer"), default=0.0)
    looks = [(s, _gauge(s)) for s in run.scrapes if s.begin_t > last_t]
    known = [value for _, value in looks if value is not None]
    if not known:
        return unknown("the gauge was not seen at rest")
    figure = min(known)
    return at_most(figure, limit, len(known), f"{figure:g} permits never came back")


@budget("memory.rss", {"memory.rss_mb_max": (1, 1e7)}, "MB")
def judge_rss(run: Run, limits: Limits) -> Verdict:
    """Memory in use stays below its budget at all times."""
    limit = limits.get("memory.rss_mb_max")
    if not run.rss:
        return unknown("memory was not seen")
    return at_most(max(value for _, value in run.rss) / MB, limit, len(run.rss))


def _after_warmup(run: Run, limits: Limits) -> list[tuple[float, float]]:
    since_t = run.began_t + limits.get("memory.warmup_share") * run.plan.duration_s
    return [(t, value) for t, value in run.rss if since_t <= t <= run.ended_t]


def _growth(points: Sequence[tuple[float, float]], scale: float, limit: float, unit: str) -> Verdict:
    """A slope held against its limit, with its 99 % interval: PASS and FAIL only when all of it says so."""
    found = trend(points)
    each = scale / (points[-1][0] - points[0][0])
    least, most, figure = found.least * each, found.most * each, found.rise * each
    said = f"{figure:.4g} {unit}, from {least:.4g} to {most:.4g} (99 %)"
    if least > limit:
        return at_most(least, limit, len(points), f"it grew by {said}")
    if most <= limit:
        return at_most(most, limit, len(points))
    return unknown(f"too uncertain: {said}", figure=figure)


NO_SOAK = "a young process grows until its caches are full: only a soak shows it"


@budget("memory.growth", {"memory.growth_mb_max": (0.0, 1e6), "memory.warmup_share": (0.0, 0.9)}, "MB")
def judge_growth(run: Run, limits: Limits) -> Verdict:
    """What memory certainly gained from the end of the warm-up to the end of the load."""
    limit = limits.get("memory.growth_mb_max")
    if run.plan.shape != "soak":
        return unknown(NO_SOAK)
    points = _after_warmup(run, limits)
    if len(points) < POINTS_MIN:
        return unknown(f"{len(points)} samples after warm-up, {POINTS_MIN} are needed")
    span_s = points[-1][0] - points[0][0]
    return _growth([(t, value / MB) for t, value in points], span_s, limit, "MB")


@budget("memory.per_request", {"memory.growth_bytes_per_request_max": (0.0, 1e9)}, "bytes")
def judge_growth_per_request(run: Run, limits: Limits) -> Verdict:
    """Memory gained for each request answered: a small leak shows here before it fills anything."""
    limit = limits.get("memory.growth_bytes_per_request_max")
    if run.plan.shape != "soak":
        return unknown(NO_SOAK)
    points = [(float(run.answered_before(t)), value) for t, value in _after_warmup(run, limits)]
    answered = points[-1][0] - points[0][0] if points else 0
    if len(points) < POINTS_MIN or answered < REQUESTS_MIN:
        reason = f"{answered:g} requests and {len(points)} samples after warm-up, needed: {REQUESTS_MIN}, {POINTS_MIN}"
        return unknown(reason)
    return _growth(points, 1.0, limit, "bytes")


@budget("cpu.share", {"cpu.cpu_share_max": (0.01, 1024.0), "cpu.window_s": SECONDS}, "cores")
def judge_cpu(run: Run, limits: Limits) -> Verdict:
    """The busiest window, as a share of one core, while the load lasted; a start-up is not load."""
    limit = limits.get("cpu.cpu_share_max")
    window_s = limits.get("cpu.window_s")
    samples = [(e.t, float(e.value["cpu_share"])) for e in run.history.states("sample")]
    samples = [(t, share) for t, share in samples if run.began_t <= t <= run.ended_t]
    if not samples or samples[-1][0] - samples[0][0] < window_s:
        return unknown("the process is not here, or not for long enough to measure it")
    busiest = 0.0
    times = [t for t, _ in samples]
    for number, (t, _) in enumerate(samples):
        inside = [share for _, share in samples[bisect_right(times, t - window_s) : number + 1]]
        if t - samples[0][0] >= window_s:
            busiest = max(busiest, sum(inside) / len(inside))
    return at_most(busiest, limit, len(samples))


@budget("agreement.counters", {"agreement.difference_max": COUNT}, "requests")
def judge_agreement(run: Run, limits: Limits) -> Verdict:
    """Between the first and the last scrape the service counted what its clients saw: nothing more, nothing less."""
    limit = limits.get("agreement.difference_max")
    if len(run.scrapes) < 2:
        return unknown("/metrics was not seen twice")
    if run.restarted or any(b.kind.startswith(("process", "net_", "partition")) for b in run.broken):
        return unknown("the process or its connections were cut: answers may be lost on the way")
    first, last = run.scrapes[0], run.scrapes[-1]
    mine = [one for one in run.sent if one.end_t > first.begin_t and one.begin_t < last.end_t]
    sure = [one for one in mine if one.begin_t >= first.end_t and one.end_t <= last.begin_t]
    differences = {what: _difference(first, last, what, sure, mine) for what in _compared(run, mine)}
    off = {what: said for what, said in differences.items() if said[0]}
    figure = sum(amount for amount, _ in differences.values())
    reason = "; ".join(f"{what}: {said[1]}" for what, said in list(off.items())[:3])
    return at_most(figure, limit, len(sure), reason)


def _compared(run: Run, mine: Sequence[Sent]) -> list[str]:
    """What can be set side by side; under heavy pressure the service counts only essentials."""
    essential = any(s.series.get("signal_level", 0) >= 3 for s in run.scrapes)
    essential = essential or bool(run.history.states("metrics_mode", mode="essential"))
    statuses = sorted({f"status {one.status}" for one in mine if one.status})
    return ["429 by rate", "shed", "connections", *([] if essential else statuses)]


def _counter_of(what: str) -> tuple[str, dict[str, str], Callable[[Sent], bool]]:
    """The counter, its labels, and which answers it should have counted."""
    if what == "429 by rate":
        return "signal_rejected_total", {"reason": "rate"}, lambda one: one.status == RATE_LIMITED
    if what == "shed":
        return "signal_shed_total", {}, lambda one: one.problem == "shed"
    if what == "connections":
        return "signal_rejected_total", {"reason": "connections"}, lambda one: one.problem == "connections"
    status = int(what.split()[1])
    # A connection too many is answered before there is a request, and counted as a connection.
    return (
        "signal_requests_total",
        {"status": str(status)},
        lambda one: one.status == status and one.problem != "connections",
    )


def _difference(
    first: Scrape, last: Scrape, what: str, sure: Sequence[Sent], mine: Sequence[Sent]
) -> tuple[float, str]:
    """By how many requests counter and clients differ, and both in words; those of uncertain end fit either way."""
    family, labels, seen = _counter_of(what)
    counted = (total(dict(last.series), family, **labels) or 0) - (total(dict(first.series), family, **labels) or 0)
    least = sum(map(seen, sure))
    most = sum(map(seen, mine)) + sum(not one.status for one in mine)
    amount = max(least - counted, counted - most, 0)
    return amount, f"counted {counted:g}, clients saw {least} to {most}"
