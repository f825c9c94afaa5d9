"""C4.4 and C4.6: an audit log that can be trusted, full disks, a blocked log."""

from __future__ import annotations

import json
from collections import Counter

from hardening.claims.claim import claim
from hardening.claims.limits import CROSSING_SLACK_S, limit
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import Asked, Broken, asked, end_s, faults, frozen_spans, lives, overlaps, probes
from hardening.history.events import Event, History

ACTIONS = {"key": "authentication", "scope": "authorisation", "rate": "rate"}
"""What the audit log calls a refusal, by its reason."""


def _security_events(history: History, until_s: float) -> dict[str, list[Event]]:
    """What must be in the audit log at a moment, by kind of record."""
    kinds = {
        **{action: history.states("rejected", reason=reason) for reason, action in ACTIONS.items()},
        "reload_refused": history.states("reload", outcome="refused"),
        "breaker_open": history.states("breaker", new="open"),
        "level": history.states("level"),
    }
    return {kind: [e for e in events if e.t <= until_s] for kind, events in kinds.items()}


def _lost_records(history: History, probe: Event) -> tuple[str, list[Event]]:
    """A kind of security event with more or fewer records than events (the last moment's may be either way)."""
    counts = probe.value.get("counts") or {}
    least = _security_events(history, probe.t - CROSSING_SLACK_S)
    most = _security_events(history, probe.t + CROSSING_SLACK_S)
    for kind, events in least.items():
        written = int(counts.get(kind, 0))
        if not len(events) <= written <= len(most[kind]):
            return f"{len(events)} events of kind {kind}, {written} records", [*events[-1:], probe]
    return "", []


def _records(history: History) -> dict[tuple[str, str], set[str]]:
    """The actors that the lines of the audit log name, by action and request id."""
    found: dict[tuple[str, str], set[str]] = {}
    for event in history.select("log", "line"):
        if event.value.get("surface") != "audit":
            continue
        try:
            record = json.loads(str(event.value["text"]))
            found.setdefault((record["action"], record["request_id"]), set()).add(record["actor"])
        except (ValueError, TypeError, KeyError):
            continue  # torn or foreign: the chain is another check
    return found


def _of_another(history: History, probe: Event, records: dict[tuple[str, str], set[str]]) -> tuple[str, list[Event]]:
    """A refusal whose record names neither its request nor its user."""
    for event in history.states("rejected") if records else []:
        action, user = ACTIONS.get(str(event.value["reason"])), str(event.value.get("user") or "")
        if action is None or not event.id or event.t > probe.t - CROSSING_SLACK_S:
            continue
        actors = records.get((action, event.id))
        if actors is None:
            return f"no record of {action} names the request {event.id}", [event, probe]
        if user and user not in actors:
            return f"the record of {action} of {event.id} names {sorted(actors)}, not {user}", [event, probe]
    return "", []


@claim(
    "C4.4",
    "Audit chain",
    premise="Security events occurred, the chain was checked, and a removed and an altered record were looked for.",
    shown_by=("secrets",),
    whole_log=True,
)
def judge_audit(history: History) -> Verdict:
    """Each security event is one structured, hash-chained record; removed and altered ones are found."""
    checks, forged = probes(history, "audit_chain"), probes(history, "forged")
    audited_disk = [b for b in faults(history) if b.where == "audit"]
    seen: Counter[str] = Counter()
    records = _records(history)
    for probe in checks:
        events = _security_events(history, probe.t)
        seen = Counter({kind: len(found) for kind, found in events.items() if found})
        if not probe.value["intact"]:
            return failed(sum(seen.values()), "the chain is broken", [probe])
        if probe.value.get("incomplete"):
            reason = f"{probe.value['incomplete']} records lack a field"
            return failed(sum(seen.values()), reason, [probe])
        # A killed process takes its last lines with it, and a full disk is another claim (C4.6).
        if not any(life.killed and life.ended_s <= probe.t for life in lives(history)) and not audited_disk:
            reason, evidence = _lost_records(history, probe)
            if not evidence:
                reason, evidence = _of_another(history, probe, records)
            if evidence:
                return failed(sum(seen.values()), reason, evidence)
    for probe in forged:
        if not probe.value["found"]:
            return failed(sum(seen.values()), f"a record that was {probe.value['how']} was not found", [probe])
    if not checks:
        return unknown("the audit chain was not checked")
    missing = sorted({"altered", "removed"} - {str(p.value["how"]) for p in forged})
    if missing:
        return unknown(f"no copy with a record {missing[0]} was checked", records=sum(seen.values()))
    return passed(sum(seen.values()), records=int(checks[-1].value["records"]), kinds=dict(sorted(seen.items())))


NO_CONNECTIONS = frozenset({"descriptors_exhausted", "connection_flood"})


def _blocked(history: History, rows: list[Asked], disk: Broken, request_s: float) -> list[Event]:
    """A request made while the disk was full that was not answered in its time, for no other reason."""
    last_s = end_s(history)
    away = frozen_spans(history) + [(b.inject.t, b.healed_s) for b in faults(history) if b.kind in NO_CONNECTIONS]
    for one in rows:
        if one.operation == "rude" or not disk.inject.t <= one.invoke.t <= disk.healed_s or one.left:
            continue
        if overlaps(away, one.invoke.t, min(one.ended_s, last_s)):
            continue
        unanswered = one.end is None and last_s - one.invoke.t > request_s
        if unanswered or (one.end is not None and (one.end.type != "ok" or one.latency_s > request_s)):
            return [disk.inject, *one.events()]
    return []


def _changed_unaudited(history: History, rows: list[Asked]) -> tuple[int, list[Event]]:
    """Admin changes asked for while the audit log could not be written, and one that was made all the same."""
    tried = 0
    for life in lives(history):
        marks = life.states("audit")
        for number, mark in enumerate(marks):
            if mark.value["event"] != "failed":
                continue
            back = next((m for m in marks[number + 1 :] if m.value["event"] == "back"), None)
            until_s = back.t if back is not None else life.ended_s
            for one in rows:
                change = one.operation == "admin" and one.invoke.value["method"] in {"POST", "PUT", "PATCH", "DELETE"}
                if change and mark.t < one.invoke.t and one.ended_s < until_s:
                    tried += 1
                    if one.served:
                        return tried, [mark, *one.events()]
    return tried, []


@claim(
    "C4.6",
    "Full disk, blocked log",
    premise="A disk was full or a log blocked while requests and an admin change were made.",
    shown_by=("full-disk",),
    needs=("audit", "fault", "request"),
    limits=("budgets.request_s",),
)
def judge_full_disk(history: History) -> Verdict:
    """A full disk or a blocked log blocks no request; lost audit records are counted, admin changes refused."""
    rows = asked(history)
    disks = [b for b in faults(history) if b.where in {"audit", "logs"}]
    effective = [b for b in disks if b.effective]
    request_s = limit(history, "budgets", "request_s")
    for disk in disks:
        if evidence := _blocked(history, rows, disk, request_s):
            return failed(len(effective), f"with {disk.where} full a request was not answered", evidence)
    failures = history.states("audit", event="failed")
    for disk in effective:
        # With the disk of the log full as well, the line that counts the loss is lost too.
        mute = any(
            b.kind == "disk_full" and b.where == "logs" and b.touches(disk.inject.t, disk.healed_s) for b in effective
        )
        counted = mute or any(disk.inject.t <= e.t <= disk.healed_s + CROSSING_SLACK_S for e in failures)
        if disk.where == "audit" and not counted and disk.heal is not None:
            return failed(len(effective), "a lost audit record was not counted", [disk.inject, disk.heal])
    tried, evidence = _changed_unaudited(history, rows)
    if evidence:
        return failed(len(effective), "an admin change was made that could not be audited", evidence)
    missing = sorted({"audit", "logs"} - {b.where for b in effective})
    if missing:
        return unknown(f"no fault at {' and '.join(missing)} had an effect", faults=len(disks))
    if not tried:
        return unknown("no admin change was requested while the audit log failed", faults=len(effective))
    return passed(len(effective), faults=len(effective), refused_changes=tried, audit_failures=len(failures))
