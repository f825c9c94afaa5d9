"""C6.1: an orderly end after a signal."""

from __future__ import annotations

import signal

from hardening.claims.claim import claim
from hardening.claims.limits import CROSSING_SLACK_S, limit
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import Asked, Life, asked, ends_it, faults, lives, signal_number
from hardening.history.events import Event, History

READINESS_SLACK_S = 0.05
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
    if closed.t - begin.t < limit(history, "drain", "readiness_s") - READINESS_SLACK_S:
        return "the listener closed before readiness had been false for its time", [begin, closed]
    done, clients = phases.get("done"), phases.get("clients_closed")
    if done is not None and (clients is None or clients.index > done.index):
        return "it reported done before its clients were closed", [begin, done]
    # Work that the drain forgot goes on and calls with closed clients.
    late = next((call for call in life.states("call") if clients is not None and call.index > clients.index), None)
    if clients is not None and late is not None:
        return "a downstream was called after its client was closed", [clients, late]
    return "", []


def _requests_in_drain(
    history: History, life: Life, rows: list[Asked], phases: dict[str, Event], exited: Event
) -> tuple[str, list[Event], int]:
    """Readiness true during the drain, or a request in flight that was cut off; and how many were in flight."""
    begin, closed = phases["begin"], phases["listener_closed"]
    in_flight = 0
    known = {event.id for event in life.events}
    starved = [b for b in faults(history) if b.kind == "descriptors_exhausted"]
    for one in rows:
        if one.operation == "ready" and begin.t + READINESS_SLACK_S < one.invoke.t < closed.t and one.served:
            return "readiness was true during the drain", [begin, *one.events()], in_flight
        if one.operation == "rude" or not one.invoke.t < begin.t < one.ended_s:
            continue
        if one.id not in known and any(b.touches(one.invoke.t, one.ended_s) for b in starved):
            continue  # it waited for a descriptor and was never accepted
        in_flight += 1
        if one.end is None or (one.end.type != "ok" and not one.left) or one.ended_s > exited.t + CROSSING_SLACK_S:
            return "a request in flight was not ended by the drain", [begin, *one.events(), exited], in_flight
    return "", [], in_flight


def _listened(life: Life) -> bool:
    """True when it had a listener at all: a start that was broken off has none to close."""
    return any(e.value["phase"] == "listening" for e in life.states("startup")) or bool(life.states("request_done"))


@claim(
    "C6.1",
    "Orderly end",
    premise="The service was ended by a signal, and by a second one, with requests in flight and readiness asked.",
    shown_by=("signals",),
    needs=("drain", "process", "request"),
    limits=("drain",),
    whole_log=True,
)
def judge_drain(history: History) -> Verdict:
    """SIGTERM: readiness false, requests in flight ended, clients closed, exit 0, also after a second signal."""
    rows = asked(history)
    ends, in_flight, again, asked_ready = 0, 0, 0, 0
    longest_s = limit(history, "drain", "readiness_s") + limit(history, "drain", "max_s") + EXIT_SLACK_S
    for life in lives(history):
        term = _asked_to_end(life)
        phases = _phases(life)
        served = "ready" in {str(e.value["phase"]) for e in life.states("startup")} or bool(life.states("request_done"))
        if term is None or life.exited is None or not _listened(life) or not (served or phases):
            continue
        ends += 1
        if life.exited.value.get("exit_code") != 0:
            return failed(ends, f"exit code {life.exited.value.get('exit_code')}", [term, life.exited])
        if life.exited.t - term.t > longest_s:
            return failed(ends, f"it took longer than {longest_s:g} s to end", [term, life.exited])
        if "begin" not in phases:
            return failed(ends, "it ended without a drain", [term, life.exited])
        reason, evidence = _drain_out_of_order(history, life, phases)
        if not evidence:
            reason, evidence, count = _requests_in_drain(history, life, rows, phases, life.exited)
            in_flight += count
        if evidence:
            return failed(ends, reason, evidence)
        again += sum(ends_it(s) for s in life.signals) > 1
        span = (phases["begin"].t, phases["listener_closed"].t)
        asked_ready += sum(a.operation == "ready" and span[0] < a.invoke.t < span[1] and a.status > 0 for a in rows)
    if not ends:
        return unknown("the service was not ended by SIGTERM or SIGINT")
    if not in_flight:
        return unknown("no request was in flight when the signal came", ends=ends)
    if not asked_ready:
        return unknown("readiness was not requested during the drain", ends=ends, in_flight=in_flight)
    if not again:
        return unknown("no second signal came", ends=ends, in_flight=in_flight)
    return passed(ends, ends=ends, in_flight=in_flight, second_signals=again, readiness_asked=asked_ready)
