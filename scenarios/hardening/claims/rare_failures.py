"""C6.1 and C6.3: an orderly end, and reloads that are whole or not at all."""

from __future__ import annotations

import math
import signal

from hardening.claims.figures import CROSSING_SLACK_S, figure
from hardening.claims.security import spoken
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import Asked, Life, asked, ends_it, faults, lives, probes, signal_number
from hardening.history.events import Event, History

READINESS_SLACK_S = 0.05
AUDIT_SLACK_S = 1.0
HEARD_S = 3.0
"""Within which a HUP that nothing hinders must have led to a reload, on a busy machine, too."""
EXIT_SLACK_S = 2.0
"""For closing clients, flushing logs, and the harness noticing the exit."""


def _asked_to_end(life: Life) -> Event | None:
    """The first SIGTERM or SIGINT, unless a SIGKILL followed."""
    if any(signal_number(s) == signal.SIGKILL for s in life.signals):
        return None
    return next((s for s in life.signals if signal_number(s) in {signal.SIGTERM, signal.SIGINT}), None)


def _phases(life: Life) -> dict[str, Event]:
    found: dict[str, Event] = {}
    for event in life.states("drain"):
        found.setdefault(str(event.value["phase"]), event)
    return found


def _drain_out_of_order(history: History, life: Life, phases: dict[str, Event]) -> tuple[str, list[Event]]:
    begin, closed = phases["begin"], phases.get("listener_closed")
    if closed is None:
        return "the drain began and the listener was never closed", [begin]
    if closed.t - begin.t < figure(history, "drain", "readiness_s") - READINESS_SLACK_S:
        return "the listener closed before readiness had been false for its time", [begin, closed]
    done, clients = phases.get("done"), phases.get("clients_closed")
    if done is not None and (clients is None or clients.index > done.index):
        return "it said done before its clients were closed", [begin, done]
    # Work that the drain forgot goes on, and calls whom it can no longer reach.
    late = next((call for call in life.states("call") if clients is not None and call.index > clients.index), None)
    if clients is not None and late is not None:
        return "a downstream was called after its client was closed", [clients, late]
    return "", []


def _requests_in_drain(
    history: History, life: Life, rows: list[Asked], phases: dict[str, Event], exited: Event
) -> tuple[str, list[Event], int]:
    """Readiness that lies during the drain, or a request in flight that was cut off; and how many were in flight."""
    begin, closed = phases["begin"], phases["listener_closed"]
    in_flight = 0
    known = {event.id for event in life.events}
    nobody = [b for b in faults(history) if b.kind == "descriptors_exhausted"]
    for one in rows:
        if one.operation == "ready" and begin.t + READINESS_SLACK_S < one.invoke.t < closed.t and one.served:
            return "readiness was true during the drain", [begin, *one.events()], in_flight
        if one.operation == "rude" or not one.invoke.t < begin.t < one.ended_s:
            continue
        if one.id not in known and any(b.touches(one.invoke.t, one.ended_s) for b in nobody):
            continue  # it waited for a descriptor before the listener: nobody had taken it
        in_flight += 1
        if one.end is None or (one.end.type != "ok" and not one.left) or one.ended_s > exited.t + CROSSING_SLACK_S:
            return "a request in flight was not ended by the drain", [begin, *one.events(), exited], in_flight
    return "", [], in_flight


def _listened(life: Life) -> bool:
    """True when it had a listener at all: a start that was broken off has none to close."""
    return any(e.value["phase"] == "listening" for e in life.states("startup")) or bool(life.states("request_done"))


def judge_drain(history: History) -> Verdict:
    """C6.1: readiness false, in-flight requests ended, clients closed, exit code 0; a second signal changes nothing."""
    claim = "C6.1"
    rows = asked(history)
    ends, in_flight, again, asked_ready = 0, 0, 0, 0
    longest_s = figure(history, "drain", "readiness_s") + figure(history, "drain", "max_s") + EXIT_SLACK_S
    for life in lives(history):
        term = _asked_to_end(life)
        phases = _phases(life)
        served = "ready" in {str(e.value["phase"]) for e in life.states("startup")} or bool(life.states("request_done"))
        if term is None or life.exited is None or not _listened(life) or not (served or phases):
            continue
        ends += 1
        if life.exited.value.get("exit_code") != 0:
            return failed(claim, ends, f"exit code {life.exited.value.get('exit_code')}", [term, life.exited])
        if life.exited.t - term.t > longest_s:
            return failed(claim, ends, f"it took longer than {longest_s:g} s to end", [term, life.exited])
        if "begin" not in phases:
            return failed(claim, ends, "it ended without a drain", [term, life.exited])
        reason, evidence = _drain_out_of_order(history, life, phases)
        if not evidence:
            reason, evidence, count = _requests_in_drain(history, life, rows, phases, life.exited)
            in_flight += count
        if evidence:
            return failed(claim, ends, reason, evidence)
        again += sum(ends_it(s) for s in life.signals) > 1
        span = (phases["begin"].t, phases["listener_closed"].t)
        asked_ready += sum(a.operation == "ready" and span[0] < a.invoke.t < span[1] and a.status > 0 for a in rows)
    if not ends:
        return unknown(claim, "the service was not ended by SIGTERM or SIGINT")
    if not in_flight:
        return unknown(claim, "no request was in flight when the signal came", ends=ends)
    if not asked_ready:
        return unknown(claim, "nobody asked for readiness during the drain", ends=ends, in_flight=in_flight)
    if not again:
        return unknown(claim, "no second signal came", ends=ends, in_flight=in_flight)
    return passed(claim, ends, ends=ends, in_flight=in_flight, second_signals=again, readiness_asked=asked_ready)


def _mixed_generations(life: Life, rows: dict[str, Asked]) -> list[Event]:
    """A request that saw two configurations, or one that was not in force while it ran."""
    admitted = {e.id: e for e in life.states("admitted") if e.id}
    force = life.states("settings")
    for done in life.states("request_done"):
        begun, row = admitted.get(done.id), rows.get(done.id)
        mine = done.value.get("generation")
        if mine is None:
            continue
        told = row.get("generation") if row is not None else None
        if begun is not None and begun.value.get("generation", mine) != mine:
            return [begun, done]
        if row is not None and told is not None and str(told) != str(mine):
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


def _hangup_unheard(history: History, life: Life) -> list[Event]:
    """A HUP to a service that serves, and no reload because of it."""
    ready, broken = life.states("startup", phase="ready"), faults(history)
    ends_s = min([life.ended_s, *(s.t for s in life.signals if ends_it(s))])
    heard = life.states("reload", actor="sighup")
    for sent in (s for s in life.signals if signal_number(s) == signal.SIGHUP):
        until_s = sent.t + HEARD_S
        serves = bool(ready) and ready[0].t + CROSSING_SLACK_S < sent.t and until_s < ends_s
        # A process that stands still, or whose log does, hears or says it later.
        hindered = any(b.touches(sent.t - HEARD_S, until_s) for b in broken)
        if serves and not hindered and not any(sent.index < e.index and e.t <= until_s for e in heard):
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


def judge_reload(history: History) -> Verdict:
    """C6.3: each request sees one configuration; refused reloads change nothing and are audited; rollback works."""
    claim = "C6.3"
    reloads = history.states("reload")
    rows = {a.id: a for a in asked(history)}
    for life in lives(history):
        for reason, evidence in (
            ("a request saw two configurations", _mixed_generations(life, rows)),
            ("a refused reload changed the settings", _refused_yet_changed(life)),
            ("a rollback brought back something else", _rollback_elsewhere(life)),
            ("a part kept the settings of before", _left_behind(life)),
            ("a HUP was not heard", _hangup_unheard(history, life)),
            ("what had to be refused was put in force", _danger_applied(history, life)),
        ):
            if evidence:
                return failed(claim, len(reloads), reason, evidence)
    refused = [e for e in reloads if e.value["outcome"] == "refused"]
    full = [b for b in faults(history) if b.kind == "disk_full" and b.where == "audit"]
    # What could not be written is lost, counted and alarmed: that is C4.6.
    due = [e for e in refused if not any(b.touches(e.t - AUDIT_SLACK_S, e.t + AUDIT_SLACK_S) for b in full)]
    audited = [str(e.value["text"]).lower() for e in spoken(history) if e.value["surface"] == "audit"]
    written = sum("reload" in text and "refused" in text for text in audited)
    if due and audited and written < len(due):
        return failed(claim, len(reloads), f"{len(due)} refused, {written} of them audited", due[written:])
    outcomes = {str(e.value["outcome"]) for e in reloads}
    for wanted in ("applied", "refused", "rolled_back"):
        if wanted not in outcomes:
            return unknown(claim, f"no reload was {wanted}", reloads=len(reloads))
    if not audited:
        return unknown(claim, "the audit log was not recorded", reloads=len(reloads))
    if not any(done.value.get("generation") is not None for done in history.states("request_done")):
        return unknown(claim, "the requests do not say which configuration they saw")
    return passed(claim, len(reloads), reloads=len(reloads), refused=len(refused), audited=written)
