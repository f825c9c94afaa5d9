"""C6.2 and C6.5: accepted alerts arrive once in effect, whatever is killed; idempotency keys and a bounded outbox."""

from __future__ import annotations

from dataclasses import dataclass, field

from hardening.claims.claim import claim
from hardening.claims.limits import CROSSING_SLACK_S, largest, limit
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import (
    OK_MAX,
    SERVER_ERROR_MIN,
    Arrival,
    Asked,
    arrivals,
    asked,
    end_s,
    faults,
    lives,
    probes,
)
from hardening.history.events import Event, History

RECEIVERS = ("alert", "comms")
ACCEPTED = 202
CONFLICT = 422
UNAVAILABLE = 503
RETRYABLE = frozenset({408, 429})
NOTICED_S = 12.0
"""The service notices changed settings of its store when it next looks: twice the time between two looks."""


@dataclass(slots=True)
class Post:
    """What became of the alerts of one history.

    Attributes:
        accepted: delivery id -> the request that was first answered 202 with it.
        taken: (receiver, key) -> first arrival that the receiver took.
        refused: (receiver, key) -> last arrival, where that was a refusal for good.
        dead: (receiver, alert id) of the dead letters.
        known: ids that the service logged as accepted.
        uncertain: alert requests of which the client does not know whether they were accepted.
    """

    accepted: dict[str, Asked] = field(default_factory=dict)
    taken: dict[tuple[str, str], Arrival] = field(default_factory=dict)
    refused: dict[tuple[str, str], Arrival] = field(default_factory=dict)
    dead: set[tuple[str, str]] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    uncertain: list[Asked] = field(default_factory=list)


def post(history: History) -> Post:
    """Sort requests, arrivals and outbox events of a history."""
    found = Post()
    for one in asked(history):
        if one.operation != "alert" or one.invoke.value["method"] != "POST":
            continue
        if one.status == ACCEPTED:
            found.accepted.setdefault(str(one.get("delivery_id")), one)
        elif not one.status or one.status >= SERVER_ERROR_MIN:
            found.uncertain.append(one)
    for receiver in RECEIVERS:
        for arrival in arrivals(history, receiver):
            mark = (receiver, arrival.key)
            if 0 < arrival.status <= OK_MAX:
                found.taken.setdefault(mark, arrival)
                found.refused.pop(mark, None)
            elif 400 <= arrival.status < SERVER_ERROR_MIN and arrival.status not in RETRYABLE:
                found.refused[mark] = arrival
    for event in history.states("outbox"):
        alert = str(event.value.get("alert_id", ""))
        if event.value["event"] == "accepted":
            found.known.add(alert)
        elif event.value["event"] == "dead":
            found.dead |= {(name, alert) for name in RECEIVERS if event.value.get("receiver", name) == name}
    return found


def kills(history: History) -> list[Event]:
    """Moments at which the service or the store was killed."""
    found = [life.exited for life in lives(history) if life.killed and life.exited is not None]
    stores = [b for b in faults(history) if "redis" in (b.target, b.kind.split("_")[0])]
    found += [
        b.inject for b in stores if b.effective and ("kill" in b.kind or "restart" in b.kind or "outage" in b.kind)
    ]
    return sorted(found, key=lambda e: e.index)


def _store_lost_data(history: History) -> bool:
    emptied = any(b.inject.value["parameters"].get("keep_data") is False for b in faults(history))
    evicting = any(b.effective and b.kind == "redis_evicting" for b in faults(history))
    return emptied or evicting or any(e.value["event"] == "volatile" for e in history.states("redis"))


def _patience_s(history: History) -> float:
    """How long the slowest correct delivery may take once every fault is healed."""
    open_s = max(limit(history, "downstreams", name, "breaker", "open_s") for name in RECEIVERS)
    return open_s + limit(history, "outbox", "cap_s") + limit(history, "outbox", "claim_idle_s") + 10.0


def _calm_since_s(history: History, one: Asked) -> float:
    """When the last fault or restart that could delay an alert was over."""
    healed = [b.healed_s for b in faults(history)]
    started = [life.began_s for life in lives(history)]
    return max([one.ended_s, *healed, *started])


def _lost(history: History, found: Post) -> tuple[Asked | None, bool, list[Event]]:
    """An alert that was not delivered, whether that is certain, and why."""
    empty = [p for p in probes(history, "outbox") if int(p.value["depth"]) == 0]
    undecided: Asked | None = None
    for alert, one in found.accepted.items():
        missing = [r for r in RECEIVERS if (r, alert) not in found.taken and (r, alert) not in found.dead]
        if not missing:
            continue
        after = next((p for p in empty if p.t > one.ended_s), None)
        if after is not None:
            return one, True, [*one.events(), after]
        if end_s(history) - _calm_since_s(history, one) > _patience_s(history):
            return one, True, one.events()
        undecided = one
    return undecided, False, []


def _invented(found: Post) -> list[Event]:
    """Deliveries without a request: more unknown ones than there are requests of uncertain end."""
    unknown_keys: dict[str, Arrival] = {}
    for (_, key), arrival in found.taken.items():
        if key not in found.accepted:
            unknown_keys.setdefault(key, arrival)
    if len(unknown_keys) > len(found.uncertain):
        first = sorted(unknown_keys.values(), key=lambda a: (a.key in found.known, a.invoke.index))
        return first[0].events()
    return []


def _without_dead_letter(history: History, found: Post) -> list[Event]:
    """A refusal for good without a dead letter."""
    last_s = end_s(history)
    for mark, arrival in found.refused.items():
        if mark not in found.dead and last_s - arrival.ended_s > _patience_s(history):
            return arrival.events()
    return []


def _given_up(history: History, found: Post) -> list[Event]:
    """A dead letter of an alert that its receiver never refused for good, as far as every attempt's end is known."""
    for event in history.states("outbox", event="dead"):
        alert, name = str(event.value.get("alert_id", "")), str(event.value.get("receiver", ""))
        if alert not in found.accepted or (name, alert) in found.refused or (name, alert) in found.taken:
            continue
        here = arrivals(history, name)
        tried = [a for a in here if a.key == alert]
        # What came without a key (C1.5) may have been this one, and refused for that.
        if all(a.key for a in here) and all(a.status for a in tried):
            return [*found.accepted[alert].events(), *[e for a in tried[-1:] for e in a.events()], event]
    return []


def _not_counted(history: History, found: Post) -> list[Event]:
    """A dead letter that the outbox did not show once it was empty: what is refused for good must be seen."""
    dead = history.states("outbox", event="dead")
    for probe in probes(history, "outbox"):
        before = [e for e in dead if e.t < probe.t - CROSSING_SLACK_S]
        marks = {(e.value.get("receiver"), e.value.get("alert_id")) for e in before}
        if int(probe.value["depth"]) == 0 and int(probe.value["dead"]) < len(marks):
            return [before[-1], probe]
    return []


def _volatile_not_reported(history: History) -> list[Event]:
    """An answer of ``/ready`` with details that does not report a store that evicts."""
    for broken in faults(history):
        if broken.kind != "redis_evicting" or not broken.effective:
            continue
        for one in asked(history):
            inside = broken.inject.t + NOTICED_S <= one.invoke.t and one.ended_s <= broken.healed_s
            durability = one.get("durability") if inside and one.operation == "ready" else None
            if durability is not None and (durability != "volatile" or one.get("degraded") is not True):
                return [broken.inject, *one.events()]
    return []


@claim(
    "C6.2",
    "No alert lost",
    premise="Alerts were accepted and the service or the store was killed before all were delivered.",
    shown_by=("service-killed",),
    needs=("arrival", "request"),
    limits=("outbox", "downstreams"),
)
def judge_delivery(history: History) -> Verdict:
    """An accepted alert is delivered, once in effect, whatever is killed; none is invented."""
    found = post(history)
    if evidence := _volatile_not_reported(history):
        return failed(len(found.accepted), "the store is volatile, and /ready does not report it", evidence)
    if not found.accepted:
        return unknown("no alert was accepted")
    if _store_lost_data(history):
        return unknown("the store did not keep what it acknowledged: the premise was broken")
    if any(b.effective and b.kind == "net_corrupt" and b.target in RECEIVERS for b in faults(history)):
        return unknown("bytes were flipped on the way to a receiver: what it received is unknown")
    nameless = next((one for alert, one in found.accepted.items() if alert in {"", "None"}), None)
    if nameless is not None:
        return unknown("an answer 202 carries no delivery id", accepted=len(found.accepted))
    if evidence := _invented(found):
        return failed(len(found.accepted), "an alert was delivered that no client sent", evidence)
    for reason, evidence in (
        ("refused for good, and no dead letter", _without_dead_letter(history, found)),
        ("given up although no receiver refused it for good", _given_up(history, found)),
        ("a dead letter is neither visible nor counted", _not_counted(history, found)),
    ):
        if evidence:
            return failed(len(found.accepted), reason, evidence)
    one, certain, evidence = _lost(history, found)
    if one is not None and certain:
        return failed(len(found.accepted), "an accepted alert was not delivered", evidence)
    if one is not None:
        return unknown("the run ended before the outbox could be empty", accepted=len(found.accepted))
    first_s = min(a.ended_s for a in found.accepted.values())
    last_taken_s = max((a.invoke.t for a in found.taken.values()), default=first_s)
    between = [k for k in kills(history) if first_s - CROSSING_SLACK_S <= k.t <= last_taken_s + CROSSING_SLACK_S]
    if not between:
        return unknown("nothing was killed between acceptance and delivery", accepted=len(found.accepted))
    return passed(
        len(found.accepted),
        accepted=len(found.accepted),
        delivered=len(found.taken),
        dead_letters=len(found.dead),
        kills=len(between),
    )


def _keys_kept(rows: list[Asked]) -> tuple[dict[str, int], str, list[Event]]:
    """How often keys came again with the same and with another body, and an answer that was wrong then."""
    first: dict[tuple[str, str], Asked] = {}
    count = {"same_body": 0, "other_body": 0}
    for one in sorted(rows, key=lambda a: a.ended_s):
        key, digest = one.invoke.value.get("idempotency_key"), one.invoke.value.get("body_digest")
        if one.operation != "alert" or not key or digest is None or not one.status:
            continue
        mark = (str(one.invoke.value["user"]), str(key))
        before = first.get(mark)
        if before is None:
            if one.status == ACCEPTED:
                first[mark] = one
            continue
        if before.invoke.value["body_digest"] == digest:
            if one.status == ACCEPTED:
                count["same_body"] += 1
                if one.get("delivery_id") != before.get("delivery_id"):
                    return count, "the same key and body gave another answer", [*before.events(), *one.events()]
            elif one.status == CONFLICT:
                return count, "the same key and body was called a conflict", [*before.events(), *one.events()]
        elif one.status == ACCEPTED:
            return count, "the same key with another body was accepted", [*before.events(), *one.events()]
        else:
            count["other_body"] += one.status == CONFLICT
    return count, "", []


@claim(
    "C6.5",
    "Idempotency, bounded outbox",
    premise="A key was used again with the same and with another body, and the outbox was full once.",
    shown_by=("alert-outage",),
    needs=("outbox", "request"),
    limits=("outbox.capacity",),
)
def judge_idempotency(history: History) -> Verdict:
    """A key with the same body gives the first answer, with another a 422; a full outbox answers 503."""
    rows = asked(history)
    count, reason, evidence = _keys_kept(rows)
    if evidence:
        return failed(count["same_body"] + count["other_body"], reason, evidence)
    by_id = {a.id: a for a in rows}
    capacity = largest(history, "outbox", "capacity")
    full = history.states("outbox", event="full")
    for event in history.states("outbox"):
        if float(event.value.get("depth") or 0) > capacity:
            return failed(len(full), f"more than {capacity:g} undelivered alerts", [event])
    for event in full:
        row = by_id.get(event.id)
        if row is not None and row.status and row.status != UNAVAILABLE:
            return failed(len(full), f"a full outbox was answered with {row.status}", [event, *row.events()])
    for seen, missing in (
        (count["same_body"], "no key was used again with the same body"),
        (count["other_body"], "no key was used again with another body"),
        (len(full), "the outbox was never full"),
    ):
        if not seen:
            return unknown(missing, **count, full=len(full))
    return passed(count["same_body"] + count["other_body"] + len(full), **count, full=len(full))
