"""C5.1 and C5.3: one load for many callers, and the lock table."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

from hardening.claims.claim import claim
from hardening.claims.limits import CLOCK_SLACK_S, CROSSING_SLACK_S
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import (
    Asked,
    Life,
    arrivals,
    asked,
    lives,
)
from hardening.history.events import Event, History

IDLE_S = 1.0
"""How long a load without callers may run on."""
LOAD_ENDS = frozenset({"loaded", "load_failed", "discarded"})


@dataclass(slots=True)
class Load:
    """One load of one key, from its ``load`` event to its end (``None``: it never ended in this life)."""

    key: str
    began: Event
    ended: Event | None = None

    @property
    def load_id(self) -> str:
        """What joins its events."""
        return str(self.began.value.get("load_id") or self.began.id)

    def outlasts(self, event: Event) -> bool:
        """True when it was still running at the event."""
        return self.ended is None or self.ended.index > event.index


def loads(life: Life) -> list[Load]:
    """The loads of one life in order of their beginning."""
    found: list[Load] = []
    running: dict[tuple[str, str], Load] = {}
    for event in life.states("cache"):
        mark = (str(event.value["key"]), str(event.value.get("load_id") or event.id))
        if event.value["event"] == "load":
            running[mark] = Load(mark[0], event)
            found.append(running[mark])
        elif event.value["event"] in LOAD_ENDS and mark in running:
            one = running[mark]
            # A discarded load has both events: the first of the two ends it.
            one.ended = one.ended or event
    return found


def overlapping(life: Life) -> tuple[Load, Load] | None:
    """Two loads of one key that ran at the same time."""
    last: dict[str, Load] = {}
    for load in loads(life):
        before = last.get(load.key)
        if before is not None and before.outlasts(load.began):
            return before, load
        last[load.key] = load
    return None


def _unexplained_arrival(history: History) -> list[Event]:
    """A first attempt at the ticker that no load of the request accounts for."""
    begun: dict[str, list[str]] = {}
    for event in history.states("cache", event="load"):
        begun.setdefault(event.id, []).append(str(event.value["key"]))
    seen: dict[tuple[str, str], list[Event]] = {}
    for arrival in arrivals(history, "ticker"):
        if arrival.attempt > 1 or not arrival.request_id:
            continue
        if begun and arrival.request_id not in begun:
            return [arrival.invoke]
        symbol = str(arrival.invoke.value["path"]).rsplit("/", 1)[-1]
        calls = seen.setdefault((arrival.request_id, symbol), [])
        calls.append(arrival.invoke)
        keys = begun.get(arrival.request_id, [])
        # A load that was superseded is made again, with an event of its own.
        if keys and len(calls) > (sum(symbol in key for key in keys) or len(keys)):
            return calls
    return []


def _together_downstream(history: History) -> list[Event]:
    """Two requests that had the ticker load the very same thing at the same time."""
    running: dict[tuple[str, str], tuple[float, str, Event]] = {}
    given_up_s: dict[str, float] = {}
    for life in lives(history):
        for load in loads(life):
            ended_s = load.ended.t if load.ended is not None else life.ended_s
            given_up_s[load.began.id] = max(ended_s, given_up_s.get(load.began.id, ended_s))
    for arrival in arrivals(history, "ticker"):
        query = str(arrival.invoke.value.get("query", ""))
        if not query or not arrival.status:
            continue
        mark = (str(arrival.invoke.value["path"]), query)
        before = running.get(mark)
        # A load that was given up leaves the ticker at work; that is no second load.
        until_s = min(before[0], given_up_s.get(before[1], before[0])) if before else 0.0
        if before and until_s > arrival.invoke.t + CROSSING_SLACK_S and before[1] != arrival.request_id:
            return [before[2], arrival.invoke]
        running[mark] = (arrival.ended_s, arrival.request_id, arrival.invoke)
    return []


def _follower_harmed(history: History, life: Life) -> tuple[int, list[Event]]:
    """How many leaders or followers were cancelled, and a follower that suffered from it."""
    rows = {a.id: a for a in asked(history)}
    # A caller that was answered did not leave: a follower that is cancelled with its leader gets a 500.
    ended = [e for e in life.states("permit_returned") if e.value["why"] in {"cancelled", "disconnect"}]
    gone = {e.id: e for e in ended if e.id not in rows or not rows[e.id].status}
    out_of_time = {e.id for e in life.states("permit_returned", why="timeout")}
    joins = life.states("cache", event="join")
    done = {e.id: e.index for e in life.states("request_done")}
    harmed: list[Event] = []
    concerned = 0
    ended_index: dict[str, int] = {}
    for load in loads(life):
        # Followers may join while the leader still looks the key up: they belong to the load that comes of it.
        since = ended_index.get(load.key, -1)
        mine = [j for j in joins if j.value["key"] == load.key and since < j.index and load.outlasts(j)]
        ended_index[load.key] = load.ended.index if load.ended else load.began.index
        left = [e for e in (load.began, *mine) if e.id in gone]
        if not mine or not left:
            continue
        concerned += len(left)
        # A caller that joined a look-up that ended in a hit was served long before.
        waiting = [j for j in mine if done.get(j.id, math.inf) > load.began.index]
        others = [j for j in waiting if j.id not in gone and j.id not in out_of_time]
        if others and load.ended is not None and _ended_by_cancellation(life, load):
            return concerned, [load.began, gone[left[0].id], load.ended, others[0]]
        well = load.ended is not None and load.ended.value["event"] == "loaded"
        for event in (load.began, *mine):
            row = rows.get(event.id)
            if event.id not in gone and row is not None and well and row.status in {499, 500}:
                harmed = [load.began, gone[left[0].id], *row.events()]
    return concerned, harmed


def _ended_by_cancellation(life: Life, load: Load) -> bool:
    """True when the load failed because its caller was cancelled, not because the ticker failed."""
    if load.ended is None or load.ended.value["event"] != "load_failed":
        return False
    why = load.ended.value.get("why")
    calls = [c for c in life.states("call", outcome="cancelled") if c.id == load.began.id]
    near = any(abs(c.t - load.ended.t) <= CROSSING_SLACK_S for c in calls)
    return why in {"abandoned", "cancelled", "disconnect"} or (why is None and near)


@claim(
    "C5.1",
    "One load",
    premise="Callers shared a load and one of them was cancelled.",
    shown_by=("cancelled-herd",),
    needs=("cache", "request"),
    whole_log=True,
)
def judge_one_load(history: History) -> Verdict:
    """Concurrent callers of one key cause one load; a cancelled caller harms no other."""
    joins = history.states("cache", event="join")
    cancelled = 0
    for life in lives(history):
        clash = overlapping(life)
        if clash is not None and not _invalidated_between(life, *clash):
            return failed(len(joins), f"two loads of {clash[0].key!r} at once", [c.began for c in clash])
        concerned, evidence = _follower_harmed(history, life)
        cancelled += concerned
        if evidence:
            return failed(len(joins), "a cancelled caller harmed another", evidence)
    for reason, evidence in (
        ("a request without a load called the ticker", _unexplained_arrival(history)),
        ("the ticker was called for the same thing twice at once", _together_downstream(history)),
    ):
        if evidence:
            return failed(len(joins), reason, evidence)
    if not history.states("cache"):
        return unknown("the cache was not recorded (log_events is 'summary')")
    if not joins:
        return unknown("no caller joined another one's load")
    if not cancelled:
        return unknown("no caller of a shared load was cancelled", joined=len(joins))
    count = len(history.states("cache", event="load"))
    return passed(len(joins), joined=len(joins), loads=count, cancelled_callers=cancelled)


def _invalidated_between(life: Life, first: Load, second: Load) -> bool:
    return any(
        e.value["key"] == first.key and first.began.index < e.index < second.began.index
        for e in life.states("cache", event="invalidate")
    )


def _table_too_large(life: Life) -> list[Event]:
    """A lock table larger than the calls in flight, or not empty once no request is served any more."""
    sizes = life.states("cache", event="locks")
    for event in sizes:
        if event.value.get("calls") is not None and int(event.value["count"]) > int(event.value["calls"]):
            return [event]
    times = [e.t for e in sizes]
    for moment in _idle_moments(life):
        # What begins at the very end of the idle spell is no part of it.
        number = bisect_left(times, moment.t + IDLE_S - CLOCK_SLACK_S) - 1
        if number >= 0 and int(sizes[number].value["count"]) > 0:
            return [sizes[number], moment]
    return []


def _idle_moments(life: Life) -> list[Event]:
    """Returns of the last permit after which no request was served for a while, and the end of the life."""
    found: list[Event] = []
    marks = [e for e in life.events if e.f in {"permit_taken", "permit_returned"} and e.value["pool"] == "main"]
    for number, event in enumerate(marks):
        later_s = marks[number + 1].t if number + 1 < len(marks) else min(life.ended_s, life.events[-1].t)
        if event.f == "permit_returned" and int(event.value["in_flight"]) == 0 and later_s - event.t > IDLE_S:
            found.append(event)
    if life.exited is not None and not life.killed:
        found.append(life.exited)
    return found


def _served_though_invalidated(life: Life, rows: dict[str, Asked]) -> list[Event]:
    """An entry from before an invalidation that was served to a request made after that invalidation was answered."""
    gone: dict[str, tuple[Event, float]] = {}
    for event in life.states("cache"):
        key, version = str(event.value["key"]), event.value.get("version")
        if event.value["event"] == "invalidate" and version is not None:
            by = rows.get(event.id)
            if by is not None and by.served:
                gone[key] = (event, by.ended_s)
        elif event.value["event"] in {"hit", "stale"} and version is not None and key in gone:
            voided, answered_s = gone[key]
            asker = rows.get(event.id)
            if asker is not None and asker.invoke.t > answered_s and version < voided.value["version"]:
                return [voided, event]
    return []


@claim(
    "C5.3",
    "Lock table",
    premise="The lock table was in use and a key was invalidated.",
    shown_by=("slow-loads",),
    needs=("cache",),
    whole_log=True,
)
def judge_locks(history: History) -> Verdict:
    """No more locks than calls in flight, none at the end; invalidation never lets two loads run."""
    sizes = [e for e in history.states("cache", event="locks") if int(e.value["count"]) > 0]
    cleared = len(history.states("cache", event="invalidate"))
    rows = {one.id: one for one in asked(history)}
    for life in lives(history):
        clash = overlapping(life)
        if clash is not None and _invalidated_between(life, *clash):
            between = [e for e in life.states("cache", event="invalidate") if e.value["key"] == clash[0].key]
            evidence = [clash[0].began, *between[:1], clash[1].began]
            return failed(len(sizes), f"invalidation let two loads of {clash[0].key!r} run", evidence)
        if evidence := _served_though_invalidated(life, rows):
            return failed(len(sizes), "an invalidated entry was served", evidence)
        if evidence := _table_too_large(life):
            return failed(len(sizes), "the lock table holds more than the calls in flight", evidence)
    last = history.states("cache", event="locks")[-1:]
    if not sizes:
        return unknown("the lock table was never seen in use")
    if int(last[0].value["count"]) > 0:
        return unknown("the run ended before the lock table could be empty")
    if not cleared:
        return unknown("nothing was invalidated", sizes=len(sizes))
    largest = max(int(e.value["count"]) for e in sizes)
    return passed(len(sizes), largest_table=largest, invalidations=cleared)
