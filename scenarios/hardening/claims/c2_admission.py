"""C2.1, C2.2 and C2.4: permits, the rate window, and the time of a request."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hardening.claims.claim import claim
from hardening.claims.limits import CLOCK_SLACK_S, CROSSING_SLACK_S, GRACE_S, largest, limit, smallest
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import (
    CRITICAL_OPERATIONS,
    PRODUCT_OPERATIONS,
    Asked,
    Life,
    arrivals,
    asked,
    end_s,
    frozen_spans,
    lives,
    overlaps,
)
from hardening.history.events import Event, History

RATE_LIMITED = 429
TIMED_OUT = 504
ABNORMAL = frozenset({"error", "timeout", "cancelled", "disconnect"})
RETRY_AFTER_SLACK_S = 0.05
"""The client's answer was made a moment after the decision."""
HARNESS_SLACK_S = 0.4
"""What a client's own scheduling may add to a latency on a busy machine when the service logs less."""


@dataclass(slots=True)
class Count:
    """Sums over the permits of one life."""

    taken: int = 0
    peak: int = 0
    reason: str = ""
    evidence: tuple[Event, ...] = ()

    def fail(self, reason: str, *events: Event) -> Count:
        """Record a failure."""
        self.reason, self.evidence = reason, events
        return self


def count_permits(life: Life, limits: dict[str, float], run_end_s: float, open_ids: set[str]) -> Count:
    """Walk the permits of one life; ``open_ids`` are requests without a recorded end."""
    count = Count()
    out: dict[str, dict[str, list[Event]]] = {"main": {}, "critical": {}}
    held = {"main": 0, "critical": 0}
    settled: dict[str, Event] = {}
    for event in life.events:
        if event.f not in {"permit_taken", "permit_returned"}:
            continue
        pool = str(event.value["pool"])
        if event.f == "permit_taken":
            count.taken += 1
            held[pool] += 1
            out[pool].setdefault(event.id, []).append(event)
            if pool == "main":
                count.peak = max(count.peak, held[pool])
            if held[pool] > limits[pool]:
                oldest = [e for group in out[pool].values() for e in group]
                return count.fail(f"{held[pool]} permits of {pool} out, {limits[pool]:g} allowed", *oldest)
        else:
            waiting = out[pool].get(event.id)
            if not waiting:
                before = settled.get(event.id)
                return count.fail("a permit came back that was not out", *([before] if before else []), event)
            held[pool] -= 1
            waiting.pop()
            settled[event.id] = event
            if not waiting:
                del out[pool][event.id]
        if int(event.value["in_flight"]) != held[pool]:
            return count.fail(f"it reports {event.value['in_flight']} in flight, {held[pool]} are", event)
    over = not life.killed and (life.exited is not None or run_end_s > 0)
    lost = [e for group in out.values() for events in group.values() for e in events if e.id not in open_ids]
    if over and (late := [e for e in lost if e.t < min(life.ended_s, run_end_s) - CROSSING_SLACK_S]):
        return count.fail("a permit was never given back", late[0])
    return count


def _wrong_pool(life: Life, operations: Mapping[str, str], reserve: float) -> tuple[str, list[Event]]:
    """A permit of the reserve for a product, or one of the main pool for a critical request while the reserve had one.

    ``operations`` holds the operation of each request by its id; permits of other requests are not judged.
    """
    reserved = 0
    for event in life.events:
        if event.f not in {"permit_taken", "permit_returned"}:
            continue
        pool, asked_for = str(event.value["pool"]), operations.get(event.id, "")
        if event.f == "permit_taken" and pool == "critical" and asked_for in PRODUCT_OPERATIONS:
            return f"a permit of the reserve went to {asked_for}", [event]
        if event.f == "permit_taken" and pool == "main" and asked_for in CRITICAL_OPERATIONS and reserved < reserve:
            return f"{asked_for} took a permit of the main pool, and of the reserve {reserved} were out", [event]
        if pool == "critical":
            reserved += 1 if event.f == "permit_taken" else -1
    return "", []


def _served_without(history: History, row: str, rows: list[Asked]) -> list[Event]:
    """A request whose client got a 2xx without an event ``row`` for it."""
    noted = {e.id for e in history.states(row)}
    if not noted:
        return []
    for one in rows:
        if one.operation in PRODUCT_OPERATIONS and one.served and one.id not in noted:
            return one.events()
    return []


@claim(
    "C2.1",
    "Permits",
    premise="The limit was reached, or a request ended by error, timeout, cancellation or disconnect.",
    shown_by=("cancelled-herd",),
    needs=("permit_returned", "permit_taken"),
    limits=("budgets.in_flight", "budgets.critical_reserve"),
    whole_log=True,
)
def judge_permits(history: History) -> Verdict:
    """Never more in flight than the limit beside the reserve; each permit comes back exactly once."""
    if not history.states("permit_taken"):
        return unknown("no permit was taken, or log_events is 'summary'")
    limits = {
        "main": largest(history, "budgets", "in_flight"),
        "critical": largest(history, "budgets", "critical_reserve"),
    }
    rows = asked(history)
    last_s = end_s(history)
    open_ids = {a.id for a in rows if a.end is None} | {a.id for a in rows if a.ended_s > last_s - CROSSING_SLACK_S}
    operations = {a.id: a.operation for a in rows}
    reserve = smallest(history, "budgets", "critical_reserve")
    taken, peak = 0, 0
    for life in lives(history):
        count = count_permits(life, limits, last_s, open_ids)
        if count.evidence:
            return failed(taken + count.taken, count.reason, count.evidence)
        reason, evidence = _wrong_pool(life, operations, reserve)
        if evidence:
            return failed(taken + count.taken, reason, evidence)
        taken, peak = taken + count.taken, max(peak, count.peak)
    if evidence := _served_without(history, "permit_taken", rows):
        return failed(taken, "a client was served without a permit", evidence)
    why = Counter(str(e.value["why"]) for e in history.states("permit_returned"))
    if peak < limits["main"] and not ABNORMAL & why.keys():
        return unknown("the limit was never reached and no request ended abnormally", taken=taken, peak=peak)
    return passed(taken, permits=taken, peak_in_flight=peak, **{f"returned_{k}": n for k, n in why.items()})


def rate_breach(life: Life, most: int, window_s: float) -> list[Event]:
    """The first and the last of ``most`` + 1 admissions within one window, if there are any."""
    admitted = life.states("admitted")
    for first, last in zip(admitted, admitted[most:], strict=False):
        if last.t - first.t < window_s - CLOCK_SLACK_S:
            return [first, last]
    return []


def _breach_seen_by_clients(history: History, life: Life, most: int, window_s: float) -> list[Event]:
    """More than ``most`` requests that began and were served within one window, by the clients' own clocks."""
    mine = [a for a in asked(history) if a.operation in PRODUCT_OPERATIONS and a.served]
    mine = [a for a in mine if life.began_s <= a.invoke.t <= life.ended_s and a.end is not None]
    begins = [a.invoke.t for a in mine]
    ends = sorted(a.ended_s for a in mine)
    for number, one in enumerate(mine):
        within = bisect_left(ends, one.invoke.t + window_s - CLOCK_SLACK_S) - bisect_left(begins, begins[number])
        if within > most:
            return [mine[number].invoke, mine[min(number + within - 1, len(mine) - 1)].invoke]
    return []


def _wrong_refusal(life: Life, answers: dict[str, Asked], most: int, window_s: float) -> tuple[str, list[Event]]:
    """A 429 while the window had room, or one whose Retry-After is not the moment of the next free slot."""
    admitted = life.states("admitted")
    times, places = [e.t for e in admitted], [e.index for e in admitted]
    for event in life.states("rejected", reason="rate"):
        low = bisect_right(times, event.t - window_s - CLOCK_SLACK_S)
        high = bisect_left(places, event.index)
        if high - low < most:
            return f"refused with {high - low} of {most} slots taken", [event]
        oldest = admitted[high - most]
        expected_s = oldest.t + window_s - event.t
        stated_s = event.value.get("retry_after_s")
        if stated_s is not None and abs(float(stated_s) - expected_s) > RETRY_AFTER_SLACK_S:
            return f"Retry-After is {float(stated_s):g} s, the next slot is free in {expected_s:.3f} s", [oldest, event]
        answer = answers.get(event.id)
        if answer is None or not answer.status:
            continue
        if answer.status != RATE_LIMITED:
            return f"a refusal by rate was answered with {answer.status}", [event, *answer.events()]
        header_s = answer.get("retry_after_s")
        # The header is in whole seconds, rounded up.
        if header_s is None or not -RETRY_AFTER_SLACK_S <= float(header_s) - expected_s <= 1 + RETRY_AFTER_SLACK_S:
            return f"the client got Retry-After {header_s}, the next slot is free in {expected_s:.3f} s", [
                oldest,
                *answer.events(),
            ]
    return "", []


@claim(
    "C2.2",
    "Exact rate window",
    premise="A request was refused with 429.",
    shown_by=("burst",),
    needs=("admitted", "request"),
    limits=("budgets.accepted_per_window", "budgets.window_s"),
    whole_log=True,
)
def judge_rate(history: History) -> Verdict:
    """Never more accepted in a sliding window than the limit, no fewer than offered, and a true Retry-After."""
    window_s = limit(history, "budgets", "window_s")
    most = int(largest(history, "budgets", "accepted_per_window"))
    least = int(smallest(history, "budgets", "accepted_per_window"))
    rows = asked(history)
    refused = [a for a in rows if a.status == RATE_LIMITED]
    answers = {a.id: a for a in rows}
    total = len(history.states("admitted"))
    for life in lives(history):
        if evidence := rate_breach(life, most, window_s):
            gap_s = evidence[1].t - evidence[0].t
            reason = f"{most + 1} admissions from the first to the last of these, in {gap_s:.3f} s"
            return failed(len(refused), reason, evidence)
        if evidence := _breach_seen_by_clients(history, life, most, window_s):
            return failed(len(refused), f"clients saw more than {most} served in {window_s:g} s", evidence)
        if life.states("admitted"):
            reason, evidence = _wrong_refusal(life, answers, least, window_s)
            if evidence:
                return failed(len(refused), reason, evidence)
    if evidence := _served_without(history, "admitted", rows):
        return failed(len(refused), "a client was served without being admitted", evidence)
    if not total:
        return unknown("no admission was recorded, or log_events is 'summary'")
    if not refused:
        return unknown("no more was offered than the window accepts: no request was refused", admitted=total)
    return passed(len(refused), admitted=total, refused=len(refused), limit_per_window=most, window_s=window_s)


def _outlived(history: History, rows: list[Asked], limit_s: float) -> list[Event]:
    """A request that took longer than its time, by the client's clock and the service's."""
    done = {e.id: e for e in history.states("request_done")}
    frozen = frozen_spans(history)
    last_s = end_s(history)
    patient = {a.id for a in rows if a.operation != "rude"}
    for event in done.values():
        # A slow body is read before a request's time begins; only abusive clients send one.
        long = float(event.value["duration_s"]) > limit_s
        if long and event.id in patient and not overlaps(frozen, event.t - limit_s, event.t):
            return [event]
    for one in rows:
        if one.operation == "rude" or overlaps(frozen, one.invoke.t, min(one.ended_s, one.invoke.t + limit_s)):
            continue
        if one.end is None and last_s - one.invoke.t > limit_s + HARNESS_SLACK_S:
            return one.events()
        own = done.get(one.id)
        slack_s = 0.0 if own is None else HARNESS_SLACK_S
        if one.end is not None and one.latency_s > limit_s + slack_s:
            return [*one.events(), *([own] if own is not None else [])]
    return []


def _calls_left_running(history: History, rows: list[Asked], limit_s: float) -> list[Event]:
    """A downstream call that ran on after the request that made it had ended by its deadline."""
    late = {a.id: a for a in rows if a.status == TIMED_OUT}
    joined = {e.id for e in history.states("cache", event="join")}
    last_s = end_s(history)
    for arrival in arrivals(history):
        one = late.get(arrival.request_id)
        if one is None:
            continue
        # A shared load lives on for the followers, but never longer than a request that began with it.
        allowed_s = arrival.invoke.t + limit_s if joined else one.ended_s + GRACE_S
        if min(arrival.ended_s, last_s) > allowed_s + CROSSING_SLACK_S:
            return [*one.events(), *arrival.events()]
    return []


@claim(
    "C2.4",
    "Deadlines",
    premise="A request reached its deadline.",
    shown_by=("deadline",),
    needs=("request",),
    limits=("budgets.request_s",),
    whole_log=True,
)
def judge_request_time(history: History) -> Verdict:
    """No request outlives its time: it ends in 504, gives back what it held, and its downstream calls end too."""
    request_s = largest(history, "budgets", "request_s")
    rows = asked(history)
    hit = [a for a in rows if a.status == TIMED_OUT]
    if evidence := _outlived(history, rows, request_s + GRACE_S):
        return failed(len(hit), f"a request took longer than {request_s:g} s and {GRACE_S:g} s", evidence)
    frozen = frozen_spans(history)
    done = {e.id: float(e.value["duration_s"]) for e in history.states("request_done")}
    past = [a for a in rows if a.operation in PRODUCT_OPERATIONS and a.status]
    # A client that waits for its own turn is not slow service: where the service logs the duration, that counts.
    past = [a for a in past if min(a.latency_s, done.get(a.id, a.latency_s)) > request_s + GRACE_S / 2]
    for one in past:
        if one.status != TIMED_OUT and not one.get("cut") and not overlaps(frozen, one.invoke.t, one.ended_s):
            return failed(len(hit), f"past its deadline it was answered with {one.status}", one.events())
    returned = {e.id: e for e in history.states("permit_returned")}
    taken = {e.id: e for e in history.states("permit_taken")}
    for one in hit:
        back = returned.get(one.id)
        if one.id in taken and (back is None or back.t > one.ended_s + GRACE_S):
            evidence = [taken[one.id], *one.events(), *([back] if back else [])]
            return failed(len(hit), "a request past its deadline kept its permit", evidence)
    if evidence := _calls_left_running(history, rows, request_s + GRACE_S):
        return failed(len(hit), "a downstream call outlived the request that made it", evidence)
    if not hit:
        return unknown("no request reached its deadline", requests=len(rows))
    slowest_s = max(a.latency_s for a in hit)
    return passed(len(hit), requests=len(rows), timed_out=len(hit), slowest_s=round(slowest_s, 3))
