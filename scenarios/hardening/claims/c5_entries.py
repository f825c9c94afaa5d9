"""C5.4: cache entries that cannot be used."""

from __future__ import annotations

import math

from hardening.claims.claim import claim
from hardening.claims.limits import CROSSING_SLACK_S, smallest
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import (
    SERVER_ERROR_MIN,
    asked,
    faults,
    frozen_spans,
    overlaps,
    probes,
    recorded_texts,
)
from hardening.history.events import Event, History


def _served_corrupt(history: History) -> tuple[str, list[Event]]:
    """A planted bad entry that was served, or that was met and not noticed."""
    answers = [e for e in recorded_texts(history) if e.value["surface"] == "response"]
    met = history.states("cache")
    for plant in probes(history, "planted_entry"):
        marker = str(plant.value.get("marker", ""))
        shown = next((e for e in answers if marker and marker in str(e.value["text"])), None)
        if shown is not None:
            return "what a bad entry held was served", [plant, shown]
        for event in met:
            if event.t < plant.t or event.value["key"] != plant.value["key"]:
                continue
            if event.value["event"] in {"corrupt", "write"}:
                break
            if event.t < plant.t + CROSSING_SLACK_S:
                continue  # it was read just before, and logged just after
            # A load whose last caller left in mid-write wrote without an event; the age of its entry shows it.
            newer = float(event.value.get("age_s", math.inf)) < event.t - plant.t
            if event.value["event"] in {"hit", "stale"} and event.value.get("layer") == "redis" and not newer:
                return "a bad entry was taken for a good one", [plant, event]
    return "", []


def _redis_is_hurt(history: History, begin_s: float, end_s: float) -> bool:
    """True when Redis or the way to it was broken by anything but damaged entries: then nothing is known of them."""
    about = [b for b in faults(history) if b.target == "redis" and b.kind != "redis_entries_damaged"]
    return any(b.touches(begin_s - CROSSING_SLACK_S, end_s) for b in about) or overlaps(
        frozen_spans(history), begin_s, end_s
    )


def _met_uncounted(history: History) -> list[Event]:
    """A bad entry after which its key was missed, although it stood there still: it was met, and counted nowhere."""
    keep_s = smallest(history, "cache", "ttl_s") + smallest(history, "cache", "stale_s")
    by_key: dict[str, list[Event]] = {}
    for event in history.states("cache"):
        by_key.setdefault(str(event.value["key"]), []).append(event)
    healed_s = {broken.inject.id: broken.healed_s for broken in faults(history)}
    for plant in probes(history, "planted_entry"):
        mine = by_key.get(str(plant.value["key"]), [])
        written = [e.t for e in mine if e.t < plant.t and e.value["event"] == "write"]
        for event in mine:
            if event.t < plant.t:
                continue
            if event.value["event"] in {"corrupt", "write", "invalidate"} or event.t >= healed_s.get(plant.id, 0.0):
                break
            if event.value["event"] != "miss" or event.t < plant.t + CROSSING_SLACK_S:
                continue
            if not written or event.t >= written[-1] + keep_s - CROSSING_SLACK_S:
                continue
            if not _redis_is_hurt(history, plant.t, event.t):
                return [plant, event]
    return []


def _met_again(history: History, event: Event, after: list[Event]) -> list[Event]:
    """The same bad entry met once more: it was not deleted."""
    again = next((e for e in after if e.value["event"] in {"corrupt", "write"}), None)
    if again is None or again.value["event"] == "write" or again.t - event.t < CROSSING_SLACK_S:
        return []
    fresh = [p for p in probes(history, "planted_entry") if event.t <= p.t <= again.t]
    planted = any(p.value["key"] == event.value["key"] for p in fresh)
    return [] if planted or _redis_is_hurt(history, event.t, again.t) else [event, again]


@claim(
    "C5.4",
    "Bad entries",
    premise="A bad entry was met.",
    shown_by=("damaged-entries",),
    needs=("cache",),
    limits=("cache.ttl_s", "cache.stale_s"),
    whole_log=True,
)
def judge_bad_entries(history: History) -> Verdict:
    """A corrupt, truncated, old or foreign entry is a counted miss, deleted, never served or raised."""
    found = history.states("cache", event="corrupt")
    reason, evidence = _served_corrupt(history)
    if evidence:
        return failed(len(found), reason, evidence)
    if evidence := _met_uncounted(history):
        return failed(len(found), "a bad entry was met and not counted", evidence)
    rows = {a.id: a for a in asked(history)}
    commands = history.select("invoke", "redis_command")
    for event in found:
        row = rows.get(event.id)
        if row is not None and row.status == SERVER_ERROR_MIN:
            return failed(len(found), "a bad entry was raised to the client", [event, *row.events()])
        after = [e for e in history.states("cache") if e.index > event.index and e.value["key"] == event.value["key"]]
        if evidence := _met_again(history, event, after):
            return failed(len(found), "a bad entry was not deleted", evidence)
        again = [e for e in after if e.value["event"] in {"hit", "stale", "corrupt", "write"}][:1]
        # A load whose last caller left in mid-write wrote without an event; the age of its entry shows it.
        age_s = again[0].value.get("age_s") if again else None
        newer = age_s is not None and float(age_s) <= again[0].t - event.t
        if again and not newer and again[0].value["event"] != "write" and again[0].value.get("layer") == "redis":
            return failed(len(found), "a bad entry was not deleted", [event, again[0]])
        mine = [
            c for c in commands if c.t >= event.t - CROSSING_SLACK_S and event.value["key"] in str(c.value.get("key"))
        ]
        gone = any(str(c.value["command"]).upper() in {"DEL", "UNLINK", "SET", "PSETEX", "EVALSHA"} for c in mine)
        if mine and not gone:
            return failed(len(found), "a bad entry was left in Redis", [event, mine[-1]])
    if not found:
        return unknown("no bad cache entry was met")
    kinds = sorted({str(e.value.get("why", "unknown")) for e in found})
    return passed(len(found), bad_entries=len(found), kinds=kinds)
