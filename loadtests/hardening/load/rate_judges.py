"""Budgets of admission: accepted requests in a window, refusals, and the waits that refusals name.

In come a run and the limits, out come verdicts; times in seconds since the run began.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hardening.claims.verdict import Verdict
from hardening.load.budget import COUNT, SECONDS, Limits, at_least, at_most, budget, missed, unknown
from hardening.load.exposition import total
from hardening.load.view import RATE_LIMITED, UNAVAILABLE, Run, Sent

CLOCK_SLACK_S = 0.005
"""Two stamps of one process, taken a few statements apart."""


def most_within(begins: Sequence[float], ends: Sequence[float], window_s: float) -> int:
    """The largest number of spans that begin and end within any one window; both sequences by ``begins``."""
    ordered_ends = sorted(ends)
    best = 0
    for number, begin in enumerate(begins):
        # Those that ended before the window's end, less those that began before its begin.
        best = max(best, bisect_left(ordered_ends, begin + window_s - CLOCK_SLACK_S) - number)
    return best


@budget("rate.accepted", {"rate.accepted_max": (1, 1e9), "rate.window_s": SECONDS}, "requests")
def judge_accepted(run: Run, limits: Limits) -> Verdict:
    """Accepted in any sliding window: by the service's log, by clients' clocks, and by its counters."""
    limit = limits.get("rate.accepted_max")
    window_s = limits.get("rate.window_s")
    mine = [one for one in run.sent if one.admitted]
    if not mine and not run.admissions:
        return unknown("nobody was accepted")
    by_log = most_within(run.admissions, run.admissions, window_s)
    by_clients = most_within([one.begin_t for one in mine], [one.end_t for one in mine], window_s)
    by_counter = _most_counted(run, window_s)
    figure = max(by_log, by_clients, by_counter)
    seen = "the service's log" if figure == by_log else "clients" if figure == by_clients else "/metrics"
    reason = f"{figure} accepted within {window_s:g} s as {seen} shows, {limit:g} allowed"
    return at_most(figure, limit, max(len(mine), len(run.admissions)), reason)


def _most_counted(run: Run, window_s: float) -> int:
    """The largest rise of the counter between two scrapes that lie within one window."""
    if run.restarted:
        return 0
    points = [(s.begin_t, s.end_t, total(dict(s.series), "signal_admitted_total")) for s in run.scrapes]
    known = [(begin, end, value) for begin, end, value in points if value is not None]
    best, low = 0.0, 0
    for _, end, value in known:
        while end - known[low][0] >= window_s - CLOCK_SLACK_S:
            low += 1
        best = max(best, value - known[low][2])
    return int(best)


@dataclass(frozen=True, slots=True)
class Window:
    """Bounds of what is known of the admissions before a moment, from clients' clocks or the service's log."""

    begins: Sequence[float]
    ends: Sequence[float]
    all_begins: Sequence[float]

    @classmethod
    def of(cls, run: Run) -> Window:
        """``begins`` and ``ends`` of those certainly accepted, ``all_begins`` of those perhaps accepted."""
        if run.admissions:
            return cls(run.admissions, run.admissions, run.admissions)
        sure = [one for one in run.sent if one.admitted]
        maybe = [one for one in run.sent if one.maybe_admitted]
        return cls(
            sorted(one.begin_t for one in sure),
            sorted(one.end_t for one in sure),
            sorted(one.begin_t for one in maybe),
        )

    def at_most_in(self, begin_t: float, end_t: float) -> int:
        """No more than so many were accepted between the moments."""
        still_open = len(self.begins) - bisect_left(self.ends, begin_t)
        unsure = len(self.all_begins) - len(self.begins)
        return max(0, still_open - (len(self.begins) - bisect_right(self.begins, end_t))) + unsure

    def oldest(self, places: int, refusal: Sent) -> tuple[float | None, float | None]:
        """Bounds of the moment at which the last but ``places`` - 1 was accepted, as of a refusal."""
        done = bisect_right(self.ends, refusal.begin_t)
        begun = bisect_right(self.begins, refusal.end_t)
        low = self.begins[done - places] if done >= places else None
        high = self.ends[begun - places] if begun >= places else None
        return low, high


def _refused(run: Run, window_s: float) -> list[Sent]:
    """Refusals by rate of which the whole window before is known."""
    found = [one for one in run.sent if one.status == RATE_LIMITED and not run.restarted]
    if run.embedded:
        return found
    since_t = min((one.begin_t for one in run.sent), default=0.0) + window_s
    return [one for one in found if one.begin_t >= since_t]


@budget("rate.overload", {"rate.accepted_overload_min": COUNT}, "requests")
def judge_overload(run: Run, limits: Limits) -> Verdict:
    """Nobody is refused by rate while fewer than the least were accepted in the window before."""
    limit = limits.get("rate.accepted_overload_min")
    window_s = limits.get("rate.window_s")
    refusals = _refused(run, window_s)
    if not refusals:
        return unknown("nobody was refused by rate with a whole window known before")
    window = Window.of(run)
    figure = min(window.at_most_in(one.begin_t - window_s, one.end_t) for one in refusals)
    reason = f"somebody was refused with no more than {figure} accepted in the {window_s:g} s before"
    return at_least(figure, limit, len(refusals), reason)


@budget("retry_after.429", {"retry_after.slack_s": (0.0, 60.0)}, "s")
def judge_retry_after(run: Run, limits: Limits) -> Verdict:
    """A 429 names the moment of the next free slot: the figure is by how many seconds the worst was off."""
    slack_s = limits.get("retry_after.slack_s")
    window_s, places = limits.get("rate.window_s"), int(limits.get("rate.accepted_max"))
    if not any(one.status == RATE_LIMITED for one in run.sent):
        return unknown("nobody was refused by rate")
    silent = next((one for one in run.sent if one.status == RATE_LIMITED and one.wait_s is None), None)
    if silent is not None:
        return missed("a 429 named no moment", 1)
    window, worst, judged = Window.of(run), 0.0, 0
    for one in _refused(run, window_s):
        low, high = window.oldest(places, one)
        if low is None or high is None:
            continue
        judged += 1
        soonest_s, latest_s = low + window_s - one.end_t, high + window_s - one.begin_t
        header_s = one.value.get("retry_after_header_s")
        for wait_s, rounding_s in ((one.wait_s, 0.001), (header_s, 1.0)):
            if wait_s is not None:
                worst = max(worst, soonest_s - float(wait_s), float(wait_s) - latest_s - rounding_s)
    if not judged:
        return unknown(f"no 429 with {places} known admissions before it")
    return at_most(worst, slack_s, judged, f"a 429 was {worst:.3f} s off the next free slot")


@budget("retry_after.503", {"retry_after.wait_503_s_max": SECONDS}, "s")
def judge_wait_503(run: Run, limits: Limits) -> Verdict:
    """Every 503 names a wait above zero and no longer than the limit; ``/ready`` may say no without one."""
    limit = limits.get("retry_after.wait_503_s_max")
    found = [one for one in run.sent if one.status == UNAVAILABLE and one.operation != "ready"]
    if not found:
        return unknown("there was no 503")
    longest = max((one.wait_s or 0.0) for one in found)
    bad = next((one for one in found if one.wait_s is None or one.wait_s <= 0), None)
    line = at_most(longest, limit, len(found))
    if bad is None:
        return line
    reason = f"a 503 ({bad.problem or bad.operation}) named the wait {bad.wait_s}"
    return missed(reason, len(found), figure=bad.wait_s)


@budget("lone_client.admitted", {"lone_client.turned_away_max": COUNT}, "refusals")
def judge_lone_client(run: Run, limits: Limits) -> Verdict:
    """A client alone that obeyed a 429 gets in."""
    limit = limits.get("lone_client.turned_away_max")
    asked = [one for one in run.sent if one.persona == "lone"]
    again = [after for before, after in pairwise(asked) if before.status == RATE_LIMITED]
    if not again:
        return unknown("a client alone was not refused, or did not ask")
    turned_away = sum(one.status == RATE_LIMITED for one in again)
    return at_most(turned_away, limit, len(again), "it waited as the 429 asked and was refused again")
