"""C6.3: reloads that are applied whole or not at all."""

from __future__ import annotations

import math
import signal

from hardening.claims.claim import claim
from hardening.claims.limits import CROSSING_SLACK_S
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import Asked, Life, asked, ends_it, faults, lives, probes, recorded_texts, signal_number
from hardening.history.events import Event, History

READINESS_SLACK_S = 0.05
AUDIT_SLACK_S = 1.0
REACTION_S = 3.0
"""Within which a HUP that nothing hinders must have led to a reload, on a busy machine, too."""


def _mixed_generations(life: Life, rows: dict[str, Asked]) -> list[Event]:
    """A request that saw two configurations, or one that was not in force while it ran."""
    admitted = {e.id: e for e in life.states("admitted") if e.id}
    force = life.states("settings")
    for done in life.states("request_done"):
        begun, row = admitted.get(done.id), rows.get(done.id)
        mine = done.value.get("generation")
        if mine is None:
            continue
        answered = row.get("generation") if row is not None else None
        if begun is not None and begun.value.get("generation", mine) != mine:
            return [begun, done]
        if row is not None and answered is not None and str(answered) != str(mine):
            return [done, *row.events()]
        if force and not any(e.value["generation"] == mine and e.t <= done.t + READINESS_SLACK_S for e in force):
            return [done, *[e for e in force if e.value["generation"] == mine][:1]]
    return []


def _refused_yet_changed(life: Life) -> list[Event]:
    """A refused reload after which other settings were in force without an applied one between."""
    refused: Event | None = None
    digest, before = "", ""
    for event in life.events:
        if event.f == "reload":
            refused = event if event.value["outcome"] == "refused" else None
            before = digest
        elif event.f == "settings":
            digest = str(event.value["digest"])
            if refused is not None and digest != before:
                return [refused, event]
    return []


def _rollback_elsewhere(life: Life) -> list[Event]:
    """A rollback that did not bring back the settings that were in force before the last ones that were applied."""
    earlier: list[str] = []
    now, change = "", None
    for event in life.events:
        if event.f == "reload" and event.value["outcome"] in {"applied", "rolled_back"}:
            change = event
        elif event.f == "settings":
            digest = str(event.value["digest"])
            if change is not None and change.value["outcome"] == "rolled_back":
                if earlier and digest != earlier.pop():
                    return [change, event]
            elif change is not None:
                earlier.append(now)
            now, change = digest, None
    return []


def _left_behind(life: Life) -> list[Event]:
    """A breaker that opened for a time other than the one that was put in force: not every part took the reload."""
    in_force: dict[str, float] = {}
    settings: Event | None = None
    for event in life.events:
        if event.f == "settings":
            in_force, settings = dict(event.value.get("changed") or {}), event
        elif event.f == "breaker" and event.value["new"] == "open" and "open_s" in event.value:
            wanted_s = in_force.get(f"downstreams.{event.value['name']}.breaker.open_s")
            if settings is not None and wanted_s is not None and float(event.value["open_s"]) != wanted_s:
                return [settings, event]
    return []


def _hangup_ignored(history: History, life: Life) -> list[Event]:
    """A HUP to a service that serves, and no reload because of it."""
    ready, broken = life.states("startup", phase="ready"), faults(history)
    ends_s = min([life.ended_s, *(s.t for s in life.signals if ends_it(s))])
    reloaded = life.states("reload", actor="sighup")
    for sent in (s for s in life.signals if signal_number(s) == signal.SIGHUP):
        until_s = sent.t + REACTION_S
        serves = bool(ready) and ready[0].t + CROSSING_SLACK_S < sent.t and until_s < ends_s
        # A process that is stopped, or whose log is blocked, reacts or logs later.
        hindered = any(b.touches(sent.t - REACTION_S, until_s) for b in broken)
        if serves and not hindered and not any(sent.index < e.index and e.t <= until_s for e in reloaded):
            return [sent]
    return []


def _danger_applied(history: History, life: Life) -> list[Event]:
    """A configuration that had to be refused, and a reload that took one before the next was offered."""
    offers = probes(history, "offered")
    for number, offer in enumerate(offers):
        until = offers[number + 1].index if number + 1 < len(offers) else math.inf
        if not offer.value.get("refused"):
            continue
        taken = [e for e in life.states("reload", outcome="applied") if offer.index < e.index < until]
        if taken:
            return [offer, taken[0]]
    return []


@claim(
    "C6.3",
    "Atomic reload",
    premise="Reloads were applied, refused and rolled back.",
    shown_by=("signals",),
    needs=("line", "reload", "request_done"),
    whole_log=True,
)
def judge_reload(history: History) -> Verdict:
    """Each request sees one configuration; a refused reload changes nothing and is audited; rollback works."""
    reloads = history.states("reload")
    rows = {a.id: a for a in asked(history)}
    for life in lives(history):
        for reason, evidence in (
            ("a request saw two configurations", _mixed_generations(life, rows)),
            ("a refused reload changed the settings", _refused_yet_changed(life)),
            ("a rollback restored something else", _rollback_elsewhere(life)),
            ("a part kept its old settings", _left_behind(life)),
            ("a HUP was ignored", _hangup_ignored(history, life)),
            ("what had to be refused was put in force", _danger_applied(history, life)),
        ):
            if evidence:
                return failed(len(reloads), reason, evidence)
    refused = [e for e in reloads if e.value["outcome"] == "refused"]
    full = [b for b in faults(history) if b.kind == "disk_full" and b.where == "audit"]
    # A record that a full disk lost is counted and alarmed: that is C4.6.
    due = [e for e in refused if not any(b.touches(e.t - AUDIT_SLACK_S, e.t + AUDIT_SLACK_S) for b in full)]
    audited = [str(e.value["text"]).lower() for e in recorded_texts(history) if e.value["surface"] == "audit"]
    written = sum("reload" in text and "refused" in text for text in audited)
    if due and audited and written < len(due):
        return failed(len(reloads), f"{len(due)} refused, {written} of them audited", due[written:])
    outcomes = {str(e.value["outcome"]) for e in reloads}
    for wanted in ("applied", "refused", "rolled_back"):
        if wanted not in outcomes:
            return unknown(f"no reload was {wanted}", reloads=len(reloads))
    if not audited:
        return unknown("the audit log was not recorded", reloads=len(reloads))
    if not any(done.value.get("generation") is not None for done in history.states("request_done")):
        return unknown("the requests do not name their configuration")
    return passed(len(reloads), reloads=len(reloads), refused=len(refused), audited=written)
