"""Judges of time: percentiles per endpoint, the longest request, errors, and the way back after a spike."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from hardening.claims.views import overlaps
from hardening.load.budgets import ENDPOINTS, PERCENTILES, Budgets
from hardening.load.view import Line, Run, Sent, at_most, failed, percentile, unknown

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


def judge_percentiles(run: Run, budgets: Budgets) -> list[Line]:
    """Each percentile of each endpoint, from raw latencies since the intended start."""
    lines = []
    for endpoint in ENDPOINTS:
        mine = judged(run, endpoint)
        meant = sorted(one.latency_s * 1000 for one in mine)
        least = least_ms(run, mine)
        for name, share in PERCENTILES.items():
            limit = budgets.get(f"latency.{endpoint}", f"{name}_ms_max")
            lines.append(_percentile(f"latency.{endpoint}.{name}", meant, least, share, limit))
    return lines


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


def _percentile(name: str, meant: Sequence[float], least: Sequence[float], share: float, limit: float) -> Line:
    if len(meant) < needed(share):
        figure = percentile(meant, share) if meant else None
        return unknown(name, f"{len(meant)} requests, {needed(share)} are needed", figure, limit, "ms")
    figure = percentile(meant, share)
    line = at_most(name, figure, limit, "ms", len(meant))
    if line.reason and (len(least) < needed(share) or percentile(least, share) <= limit):
        return unknown(name, MACHINE, figure, limit, "ms")
    return line


def judge_longest(run: Run, budgets: Budgets) -> Line:
    """No request takes longer than its time, faults or none; only while the process is stopped nothing is expected."""
    name, limit = "request.longest", budgets.get("request", "longest_ms_max")
    frozen = [(b.inject.t, b.healed_s) for b in run.broken if b.kind.startswith("process")]
    mine = [one for one in run.sent if one.operation != "rude" and not overlaps(frozen, one.begin_t, one.end_t)]
    if not mine:
        return unknown(name, "no request was made", limit=limit, unit="ms")
    worst = max(mine, key=lambda one: one.own_latency_s)
    reason = f"{worst.operation} {worst.id} took {worst.own_latency_s * 1000:.0f} ms"
    line = at_most(name, worst.own_latency_s * 1000, limit, "ms", len(mine), reason)
    if line.reason and all((one.own_latency_s - run.held_up_s(one, one.begin_t)) * 1000 <= limit for one in mine):
        return unknown(name, MACHINE, line.figure, limit, "ms")
    return line


def judge_errors(run: Run, budgets: Budgets) -> Line:
    """Whatever is neither served nor refused as it should be, where no fault is to blame."""
    name, limit = "errors.share", budgets.get("errors", "share_max")
    mine = [one for one in run.load if run.calm(one)]
    if not mine:
        return unknown(name, "no request was made with no fault about", limit=limit)
    wrong = [one for one in mine if one.wrong]
    reason = ""
    if wrong:
        first = wrong[0]
        what = f"status {first.status} {first.problem}".strip() if first.status else first.error
        reason = f"{len(wrong)} of {len(mine)} went wrong, first {first.operation} {first.id}: {what}"
    line = at_most(name, len(wrong) / len(mine), limit, "share", len(mine), reason)
    if run.aborted:
        return failed(name, f"the run was ended early: {run.aborted}", limit, "share", len(mine), line.figure)
    return line


def judge_recovery(run: Run, budgets: Budgets) -> Line:
    """Seconds from the end of a burst or spike until answers are as they were before it."""
    name, limit = "recovery.spike", budgets.get("recovery", "spike_s_max")
    peak = run.plan.profile.find("spike") or run.plan.profile.find("burst")
    if peak is None:
        return unknown(name, "there was no burst or spike", limit=limit, unit="s")
    over_t = run.began_t + peak.end_s
    before = [one for one in run.load if run.began_t <= one.begin_t < run.began_t + peak.begin_s]
    after = [one for one in run.load if one.begin_t >= over_t]
    calm = [one.own_latency_s for one in before if one.expected]
    if len(calm) < 5 or len(after) < 5:
        return unknown(name, "fewer than 5 requests before or after it", limit=limit, unit="s")
    most_s = max(SLOWER_FACTOR * statistics.median(calm), statistics.median(calm) + SLOWER_S)
    figure = _until_as_before(run, after, over_t, most_s)
    lasted_s = max(one.end_t for one in after) - over_t
    if figure <= limit and lasted_s < figure + 2 * BIN_S:
        return unknown(name, "the run ended before it could be seen", figure, limit, "s")
    undisturbed = [one for one in after if not overlaps(run.disk_waits, one.begin_t, one.end_t)]
    if figure > limit and _until_as_before(run, undisturbed, over_t, most_s) <= limit:
        return unknown(name, MACHINE, figure, limit, "s")
    return at_most(name, figure, limit, "s", len(after), f"{figure:.1f} s after its end answers were not as before")


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
