"""C5.2, C5.5 and C5.6: how long an entry lives, with Redis and without, and when the wall clock jumps."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from hardening.claims.c1_breakers import half_open_too_early, walks
from hardening.claims.c2_admission import rate_breach
from hardening.claims.c5_loads import loads
from hardening.claims.claim import claim
from hardening.claims.limits import CROSSING_SLACK_S, largest, limit, smallest
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import PRODUCT_OPERATIONS, SERVER_ERROR_MIN, Asked, Life, asked, faults, lives, overlaps
from hardening.history.events import Event, History

FORGET = frozenset({"evict", "invalidate", "corrupt", "discarded"})
FAST_S = 2.0
"""Bound of a fast failure: well below the time of a request, above a few attempts at a command."""
BACK_S = 5.0
"""How long after the last heal Redis must be in use again, if it is needed."""
AGE_SLACK_S = 1.0
"""Between an entry's age as stated and as recorded: events carry a time a moment after what they report."""
REDIS_LOOKS_MIN = 3
SHORT_LIVED = ("entitlement:",)
"""Prefixes of keys with a TTL of their own, shorter than the limit, because a right can be taken away."""


def _forgets(event: Event, written: Event | None) -> bool:
    """True when this event ends what is known of the last recorded write.

    A hit of another version belongs to a write without an event: its caller left while Redis carried it out.
    """
    if event.value["event"] in FORGET:
        return True
    versions = [e.value.get("version") for e in (event, written) if e is not None]
    return event.value["event"] == "hit" and None not in versions and len(set(versions)) > 1


def wrong_age(history: History, life: Life, without: Iterable[tuple[float, float]]) -> tuple[str, list[Event]]:
    """An entry that expired before its full time after a write, or was a hit after it.

    Args:
        history: for the limits.
        life: the life to look at.
        without: spans without Redis, in which an entry may be missing.
    """
    # A reload may have changed it: then an entry lives by either.
    least_s, most_s = smallest(history, "cache", "ttl_s"), largest(history, "cache", "ttl_s")
    gone = list(without)
    written: dict[str, Event] = {}
    for event in life.states("cache"):
        key, kind = str(event.value["key"]), event.value["event"]
        if kind == "write":
            if not key.startswith(SHORT_LIVED):
                written[key] = event
            said_s = event.value.get("ttl_s")
            low_s, high_s = least_s - CROSSING_SLACK_S, most_s + CROSSING_SLACK_S
            if said_s is not None and not low_s <= float(said_s) <= high_s:
                return f"a write set {said_s} s of {most_s:g} s", [event]
        elif _forgets(event, written.get(key)):
            written.pop(key, None)
        elif key in written:
            age_s = event.t - written[key].t
            if kind in {"expired", "miss"} and age_s < least_s - CROSSING_SLACK_S:
                if not overlaps(gone, written[key].t, event.t):
                    return f"it was gone {age_s:.3f} s after its write, of {least_s:g} s", [written[key], event]
            elif kind == "hit" and event.value.get("layer") != "redis" and age_s > most_s + CROSSING_SLACK_S:
                return f"it was a fresh hit {age_s:.3f} s after its write", [written[key], event]
    return "", []


def redis_gone(history: History, life: Life) -> list[tuple[float, float]]:
    """Spans of one life in which Redis was lost, as the service logs or by a fault."""
    spans: list[tuple[float, float]] = []
    since: float | None = None
    for event in life.states("redis"):
        if event.value["event"] == "lost" and since is None:
            since = event.t
        elif event.value["event"] == "back" and since is not None:
            spans.append((since, event.t))
            since = None
    if since is not None:
        spans.append((since, life.ended_s))
    return spans + [(b.inject.t, b.healed_s) for b in faults(history) if "redis" in (b.target, b.kind.split("_")[0])]


def _overwritten(life: Life) -> tuple[int, list[Event]]:
    """Slow loads that met something newer, and one that was written all the same."""
    met = 0
    of_key: dict[str, list[Event]] = {}
    place: dict[int, int] = {}
    for event in life.states("cache"):
        seen = of_key.setdefault(str(event.value["key"]), [])
        place[event.index] = len(seen)
        seen.append(event)
    for load in loads(life):
        mine = islice(of_key[load.key], place[load.began.index] + 1, None)
        newer: Event | None = None
        for event in mine:
            own = str(event.value.get("load_id") or "") == load.load_id
            if event.value["event"] == "write" and own:
                if newer is not None:
                    return met + 1, [load.began, newer, event]
                break
            if event.value["event"] in {"discarded", "load_failed"} and own:
                met += event.value["event"] == "discarded"
                break
            if event.value["event"] == "load":
                break
            if event.value["event"] in {"write", "invalidate"} and newer is None:
                newer = event
    return met, []


@claim(
    "C5.2",
    "Full TTL, newest write",
    premise="A key was written again, and a slow load met a newer write or an invalidation.",
    shown_by=("slow-loads",),
    needs=("cache",),
    limits=("cache.ttl_s",),
    whole_log=True,
)
def judge_ttl(history: History) -> Verdict:
    """Each write sets the full TTL; a slow load overwrites neither a newer write nor an invalidation."""
    rewritten, met = 0, 0
    for life in lives(history):
        reason, evidence = wrong_age(history, life, redis_gone(history, life))
        if evidence:
            return failed(rewritten, reason, evidence)
        count, evidence = _overwritten(life)
        met += count
        if evidence:
            return failed(met, "a slow load overwrote something newer", evidence)
        keys = [str(e.value["key"]) for e in life.states("cache", event="write")]
        rewritten += len(keys) - len(set(keys))
    if not history.states("cache", event="write"):
        return unknown("the cache was not recorded, or nothing was written")
    if not rewritten:
        return unknown("no key was written again")
    if not met:
        return unknown("no slow load met a newer write or an invalidation", rewritten=rewritten)
    return passed(rewritten + met, rewritten=rewritten, slow_loads_discarded=met)


def _too_old(history: History) -> tuple[str, list[Event]]:
    ttl_s, stale_s = largest(history, "cache", "ttl_s"), largest(history, "cache", "stale_s")
    for event in history.states("cache"):
        age_s = event.value.get("age_s")
        if age_s is None:
            continue
        most_s = ttl_s if event.value["event"] == "hit" else ttl_s + stale_s
        if event.value["event"] in {"hit", "stale"} and float(age_s) > most_s + CROSSING_SLACK_S:
            return f"a {event.value['event']} of {float(age_s):.3f} s, at most {most_s:g} s", [event]
    for one in asked(history):
        age_s = one.get("age_s")
        if age_s is not None and one.served and float(age_s) > ttl_s + stale_s + CROSSING_SLACK_S:
            return f"an answer of {float(age_s):.3f} s", one.events()
    return "", []


def _unmarked(history: History, rows: list[Asked]) -> list[Event]:
    """A copy beyond its TTL that was served as if it were within it."""
    stale = {e.id: e for e in history.states("cache", event="stale") if not str(e.value["key"]).startswith(SHORT_LIVED)}
    for one in rows:
        copy = stale.get(one.id)
        if copy is not None and one.operation == "signal" and one.served and one.get("source") == "cache":
            return [copy, *one.events()]
    return []


def _bad_answer_without_redis(rows: list[Asked], begin: Event, until_s: float) -> tuple[int, str, list[Event]]:
    """Product requests made without Redis, and one that was neither marked nor failed fast."""
    count = 0
    for one in rows:
        inside = begin.t + CROSSING_SLACK_S < one.invoke.t and one.ended_s < until_s - CROSSING_SLACK_S
        if one.operation not in PRODUCT_OPERATIONS or not inside or one.end is None or one.left:
            continue
        count += 1
        if one.status >= SERVER_ERROR_MIN and one.latency_s > FAST_S:
            return count, f"it took {one.latency_s:.3f} s to fail", [begin, *one.events()]
        if one.served and one.get("source") in {"cache", "stale"} and not one.get("degraded"):
            return count, "a copy was served without a mark", [begin, *one.events()]
    return count, "", []


def _not_used_again(history: History, life: Life) -> list[Event]:
    """Redis was lost and healed, the cache was busy since, and Redis was not used again, or only long after."""
    marks, broken = life.states("redis"), faults(history)
    spans = [(b.inject.t, b.healed_s) for b in broken]
    healed = [b.heal for b in broken if b.heal is not None and "redis" in (b.target, b.kind.split("_")[0])]
    needs = [e for e in life.states("cache") if e.value["event"] in {"load", "write"}]
    for number, lost in enumerate(marks):
        if lost.value["event"] != "lost":
            continue
        until_s = next((m.t for m in marks[number + 1 :] if m.value["event"] == "back"), life.ended_s)
        heals = [heal for heal in healed if heal.t < until_s]
        calm_s = max([lost.t, *(healed_s for begin_s, healed_s in spans if begin_s < until_s)])
        busy = [e for e in needs if calm_s + BACK_S < e.t < until_s]
        if heals and len(busy) >= REDIS_LOOKS_MIN:
            return [lost, heals[-1], busy[-1]]
    return []


@claim(
    "C5.5",
    "Life without Redis",
    premise="Redis was lost while requests were made, and came back.",
    shown_by=("redis-outage",),
    needs=("cache", "redis", "request"),
    limits=("cache.ttl_s", "cache.stale_s"),
    whole_log=True,
)
def judge_without_redis(history: History) -> Verdict:
    """Without Redis the in-process copy answers, marked, or it fails fast; Redis is used again when back."""
    rows = asked(history)
    reason, evidence = _too_old(history)
    if evidence:
        return failed(1, reason, evidence)
    if evidence := _unmarked(history, rows):
        return failed(1, "a stale copy was served without a mark", evidence)
    outages, requests, returns = 0, 0, 0
    for life in lives(history):
        marks = life.states("redis")
        for number, mark in enumerate(marks):
            if mark.value["event"] != "lost":
                continue
            outages += 1
            back = next((m for m in marks[number + 1 :] if m.value["event"] == "back"), None)
            returns += back is not None
            until_s = back.t if back is not None else life.ended_s
            count, reason, evidence = _bad_answer_without_redis(rows, mark, until_s)
            requests += count
            if evidence:
                return failed(outages, reason, evidence)
        if evidence := _not_used_again(history, life):
            return failed(outages, "Redis was back and was not used again", evidence)
    for count, missing in (
        (outages, "Redis was never lost"),
        (requests, "no request was made while Redis was lost"),
        (returns, "Redis was lost and did not come back"),
    ):
        if not count:
            return unknown(missing, outages=outages, requests=requests)
    return passed(outages, outages=outages, requests_without_redis=requests, returns=returns)


def _moved_by_the_clock(history: History, life: Life, spans: list[tuple[float, float]]) -> tuple[str, list[Event]]:
    """An expiry, rate window or deadline that moved with the wall clock."""
    reason, evidence = wrong_age(history, life, redis_gone(history, life))
    if evidence and overlaps(spans, evidence[0].t, evidence[-1].t):
        return reason, evidence
    most, window_s = int(largest(history, "budgets", "accepted_per_window")), limit(history, "budgets", "window_s")
    evidence = rate_breach(life, most, window_s)
    if evidence and overlaps(spans, evidence[0].t, evidence[-1].t):
        return "the rate window was moved", evidence
    request_s = smallest(history, "budgets", "request_s")
    for done in life.states("request_done", status=504):
        duration_s = float(done.value["duration_s"])
        if duration_s < request_s - CROSSING_SLACK_S and overlaps(spans, done.t - duration_s, done.t):
            return f"a deadline came after {duration_s:.3f} s", [done]
    return "", []


def _wrong_clock(life: Life) -> list[Event]:
    """A write and a hit whose stated age is not the time between them: another clock measured it."""
    written: dict[str, Event] = {}
    for event in life.states("cache"):
        key, kind = str(event.value["key"]), event.value["event"]
        if kind == "write":
            written[key] = event
        elif _forgets(event, written.get(key)):
            written.pop(key, None)
        elif kind == "hit" and key in written and "age_s" in event.value:
            error_s = float(event.value["age_s"]) - (event.t - written[key].t)
            if abs(error_s) > AGE_SLACK_S:
                return [written[key], event]
    return []


@claim(
    "C5.6",
    "Wall clock jumps",
    premise="The wall clock was moved while the cache was used.",
    shown_by=("clock-jumps",),
    needs=("cache", "fault"),
    limits=("cache", "budgets", "downstreams"),
    whole_log=True,
)
def judge_clock(history: History) -> Verdict:
    """A jump of the wall clock moves no expiry, breaker, rate window or deadline."""
    jumps = [b for b in faults(history) if "clock" in b.kind or b.target == "clock"]
    effective = [b for b in jumps if b.effective]
    spans = [(b.inject.t, b.healed_s) for b in jumps]
    if not effective:
        return unknown("the wall clock was not moved")
    for life in lives(history):
        reason, evidence = _moved_by_the_clock(history, life, spans)
        if evidence:
            return failed(len(effective), reason, evidence)
        if evidence := _wrong_clock(life):
            return failed(len(effective), "an entry's age was measured by the clock that jumped", evidence)
    for walk in walks(history):
        open_s = smallest(history, "downstreams", walk.name, "breaker", "open_s")
        evidence = half_open_too_early(walk, open_s)
        if evidence and overlaps(spans, evidence[0].t, evidence[-1].t):
            return failed(len(effective), f"{walk.name}: the breaker's open time was moved", evidence)
    reason, evidence = _too_old(history)
    if evidence and overlaps(spans, evidence[0].t, evidence[-1].t):
        return failed(len(effective), reason, evidence)
    looked = [e for e in history.states("cache") if overlaps(spans, e.t, e.t)]
    hits = sum(e.value["event"] == "hit" for e in looked)
    if not hits:
        return unknown("no cached answer was requested while the clock was off", jumps=len(effective))
    return passed(len(effective), jumps=len(effective), hits_meanwhile=hits, looks_meanwhile=len(looked))
