"""Budgets of time: percentiles per endpoint, the longest request, errors, and the recovery after a spike.

In come a run and the limits, out come verdicts; latencies in seconds inside, in milliseconds in figures.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hardening.claims.verdict import Verdict
from hardening.claims.views import overlaps
from hardening.load.budget import MS, SECONDS, SHARE, Budget, Limits, at_most, budget, missed, unknown
from hardening.load.view import Run, Sent, percentile

ENDPOINTS = ("signal", "batch", "alert", "critical")
PERCENTILES: Mapping[str, float] = MappingProxyType({"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99_9": 0.999})
BIN_S = 1.0
MACHINE = "the machine was too slow for this figure: its disk, or the generator, may have made it"
SLOWER_FACTOR, SLOWER_S = 2.0, 0.25
"""A second is not yet as before when its median latency is more than this above the calm one's (as in C6.4)."""


def endpoint_of(one: Sent) -> str:
    """The endpoint whose budget counts for a request; empty for none."""
    if one.critical:
        return "critical"
    return one.operation if one.operation in ENDPOINTS else ""


def judged(run: Run, endpoint: str) -> list[Sent]:
    """Requests whose latency counts: answered with what they asked for, and with no fault to blame."""
    return [one for one in run.load if endpoint_of(one) == endpoint and one.expected and run.calm(one)]


def percentile_budget(endpoint: str, name: str, share: float) -> Budget:
    """A percentile of an endpoint, from raw latencies since the intended start."""
    limit = f"latency.{endpoint}.{name}_ms_max"

    @budget(f"latency.{endpoint}.{name}", {limit: MS}, "ms")
    def judge(run: Run, limits: Limits) -> Verdict:
        mine = judged(run, endpoint)
        meant = sorted(one.latency_s * 1000 for one in mine)
        return _percentile(meant, least_ms(run, mine), share, limits.get(limit))

    return judge


PERCENTILE_BUDGETS = [percentile_budget(e, name, share) for e in ENDPOINTS for name, share in PERCENTILES.items()]


def least_ms(run: Run, mine: Sequence[Sent]) -> list[float]:
    """What is left of latencies, ascending, without what generator and disk may have added, in milliseconds.

    In open arrivals nothing but the generator delays a start: that is not the service's, however it came about. Who
    may have waited for a store that waited for the machine's disk is left out.
    """
    found = []
    for one in mine:
        since_t = one.begin_t if run.plan.is_open else one.intended_t
        if not overlaps(run.disk_waits, since_t, one.end_t):
            found.append(1000 * (one.end_t - since_t - run.held_up_s(one, since_t)))
    return sorted(found)


def needed(share: float) -> int:
    """Observations below which a percentile is only the slowest one."""
    return math.ceil(1 / (1 - share) - 1e-9)


def _percentile(meant: Sequence[float], least: Sequence[float], share: float, limit: float) -> Verdict:
    figure = percentile(meant, share) if meant else None
    if figure is None or len(meant) < needed(share):
        return unknown(f"{len(meant)} requests, {needed(share)} are needed", figure=figure)
    verdict = at_most(figure, limit, len(meant))
    if verdict.reason and (len(least) < needed(share) or percentile(least, share) <= limit):
        return unknown(MACHINE, figure=figure)
    return verdict


@budget("request.longest", {"request.longest_ms_max": MS}, "ms")
def judge_longest(run: Run, limits: Limits) -> Verdict:
    """No request takes longer than its time, faults or none; only while the process is stopped nothing is expected."""
    limit = limits.get("request.longest_ms_max")
    frozen = [(b.inject.t, b.healed_s) for b in run.broken if b.kind.startswith("process")]
    mine = [one for one in run.sent if one.operation != "rude" and not overlaps(frozen, one.begin_t, one.end_t)]
    if not mine:
        return unknown("no request was made")
    worst = max(mine, key=lambda one: one.own_latency_s)
    reason = f"{worst.operation} {worst.id} took {worst.own_latency_s * 1000:.0f} ms"
    line = at_most(worst.own_latency_s * 1000, limit, len(mine), reason)
    if line.reason and all((one.own_latency_s - run.held_up_s(one, one.begin_t)) * 1000 <= limit for one in mine):
        return unknown(MACHINE, figure=line.figures["figure"])
    return line


@budget("errors.share", {"errors.share_max": SHARE}, "share")
def judge_errors(run: Run, limits: Limits) -> Verdict:
    """Whatever is neither served nor refused as it should be, where no fault is to blame."""
    limit = limits.get("errors.share_max")
    mine = [one for one in run.load if run.calm(one)]
    if not mine:
        return unknown("no request was made with no fault about")
    wrong = [one for one in mine if one.wrong]
    reason = ""
    if wrong:
        first = wrong[0]
        what = f"status {first.status} {first.problem}".strip() if first.status else first.error
        reason = f"{len(wrong)} of {len(mine)} went wrong, first {first.operation} {first.id}: {what}"
    line = at_most(len(wrong) / len(mine), limit, len(mine), reason)
    if run.aborted:
        return missed(f"the run was ended early: {run.aborted}", len(mine), figure=line.figures["figure"])
    return line


@budget("recovery.spike", {"recovery.spike_s_max": SECONDS}, "s")
def judge_recovery(run: Run, limits: Limits) -> Verdict:
    """Seconds from the end of a burst or spike until answers are as they were before it."""
    limit = limits.get("recovery.spike_s_max")
    peak = run.plan.profile.find("spike") or run.plan.profile.find("burst")
    if peak is None:
        return unknown("there was no burst or spike")
    over_t = run.began_t + peak.end_s
    before = [one for one in run.load if run.began_t <= one.begin_t < run.began_t + peak.begin_s]
    after = [one for one in run.load if one.begin_t >= over_t]
    calm = [one.own_latency_s for one in before if one.expected]
    if len(calm) < 5 or len(after) < 5:
        return unknown("fewer than 5 requests before or after it")
    most_s = max(SLOWER_FACTOR * statistics.median(calm), statistics.median(calm) + SLOWER_S)
    figure = _until_as_before(run, after, over_t, most_s)
    lasted_s = max(one.end_t for one in after) - over_t
    if figure <= limit and lasted_s < figure + 2 * BIN_S:
        return unknown("the run ended before it could be seen", figure=figure)
    undisturbed = [one for one in after if not overlaps(run.disk_waits, one.begin_t, one.end_t)]
    if figure > limit and _until_as_before(run, undisturbed, over_t, most_s) <= limit:
        return unknown(MACHINE, figure=figure)
    return at_most(figure, limit, len(after), f"{figure:.1f} s after its end answers were not as before")


def _until_as_before(run: Run, after: Sequence[Sent], over_t: float, most_s: float) -> float:
    bad = _bad_seconds(after, over_t, most_s)
    levels = [s.end_t for s in run.scrapes if s.end_t >= over_t and s.series.get("signal_level", 0) > 0]
    return max([0.0, *(t - over_t for t in (*bad, *levels))])


def _bad_seconds(after: Sequence[Sent], over_t: float, most_s: float) -> list[float]:
    """Ends of the seconds with an error, a 503, or slower answers than before."""
    bins: dict[int, list[Sent]] = {}
    for one in after:
        bins.setdefault(int((one.begin_t - over_t) / BIN_S), []).append(one)
    found = []
    for number, members in bins.items():
        served = [one.own_latency_s for one in members if one.expected]
        wrong = any(one.wrong or one.status == 503 for one in members)
        if wrong or (served and statistics.median(served) > most_s):
            found.append(over_t + (number + 1) * BIN_S)
    return found
