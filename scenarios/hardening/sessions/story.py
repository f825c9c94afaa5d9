"""A session as lines for people: what was asked, what broke, what was observed, which claim.

In: a session. Out: lines; times in seconds of the run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hardening.catalogue.scenario import Scenario
from hardening.claims.claims import CLAIMS
from hardening.history.workload import Operation
from hardening.sessions.session import Judged, Session

LISTED_MAX = 12
"""Requests that are listed one by one; more are counted."""

EVIDENCE_MAX = 10


def story(session: Session) -> list[str]:
    """Lines, ready to print."""
    scenario = session.scenario
    head = f"{session.name}: {scenario.summary or scenario.name} ({session.world} world, seed {session.seed})"
    lines = [head, *_asked(scenario), *_broken(session)]
    if session.sabotage:
        lines.append(f"sabotaged: {session.sabotage}")
    if session.aborted:
        lines.append(f"cut short: {session.aborted}")
    if session.problem:
        lines.append(f"problem:   {session.problem}")
    for judged in session.failures:
        lines += _observed(judged)
    if not session.failures:
        held = [judged.claim for judged in session.verdicts if judged.verdict == "PASS"]
        lines.append(f"claims:    none failed; held: {', '.join(held) or 'none was exercised'}")
    return lines


def _asked(scenario: Scenario) -> list[str]:
    operations = scenario.workload.operations
    lines = []
    if scenario.steady.operations:
        lines.append(f"before:    {_counted(scenario.steady.operations)}")
    if len(operations) > LISTED_MAX:
        return [*lines, f"asked:     {_counted(operations)} within {scenario.workload.duration_s:.1f} s"]
    shown = [f"at {one.at_s:g} s {_request(one)}" for one in operations]
    return [*lines, *_labelled("asked:", shown or ["nothing while faults ran"])]


def _counted(operations: Sequence[Operation]) -> str:
    counts = Counter(operation.operation for operation in operations)
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"{len(operations)} requests ({kinds})"


def _request(one: Operation) -> str:
    who = f"the owner of key {one.key}" if one.key else "somebody without a key"
    if one.sends not in {"valid", "none"}:
        who = f"somebody with a {one.sends.replace('_', ' ')} key"
    text = f"{who} asks {one.method} {one.path}"
    if one.disconnect_after_s is not None:
        text += f" and hangs up after {one.disconnect_after_s:g} s"
    return text


def _broken(session: Session) -> list[str]:
    scenario = session.scenario
    shown = []
    bites: Mapping[str, Any] = session.figures.get("bites", {})
    for number, timed in enumerate(scenario.schedule.faults):
        fault = timed.fault
        bit = bites.get(f"f{number} {fault.kind} {fault.target}")
        did = {True: "", False: ", which had no effect", None: ""}[bit]
        text = f"{fault.kind} on {fault.target} from {timed.at_s:g} s for {timed.for_s:g} s: {fault.summary}{did}"
        shown.append(text)
    shown += [f"configuration changed at {reload.at_s:g} s by {reload.by}" for reload in scenario.reloads]
    shown += [f"SIGTERM at {scenario.term_at_s:g} s"] if scenario.term_at_s is not None else []
    shown += [f"{case.dependency} {case.case} while the service starts" for case in session.startup]
    shown += [f"{name} is not there at all" for name in scenario.absent]
    return _labelled("broken:", shown or ["nothing"])


def _observed(judged: Judged) -> list[str]:
    claim = CLAIMS.get(judged.claim)
    promise = f"{claim.title}: {claim.promise}" if claim is not None else ""
    lines = [f"claim:     {judged.claim} {promise}".rstrip(), f"observed:  {judged.reason}"]
    events = judged.evidence[:EVIDENCE_MAX]
    lines += [f"           {event_in_words(event)}" for event in events]
    if len(judged.evidence) > len(events):
        lines.append(f"           and {len(judged.evidence) - len(events)} events more")
    return lines


def event_in_words(event: Mapping[str, Any]) -> str:
    """One event of the evidence, as a sentence begins: when, who, what; what is no event is shown as it is."""
    try:
        return _in_words(event)
    except (KeyError, TypeError, ValueError):
        return _short(json.dumps(event, default=str))


def _in_words(event: Mapping[str, Any]) -> str:
    value: Mapping[str, Any] = event.get("value", {})
    at = f"{float(event['t']):8.3f} s"
    kind, f, who = str(event["type"]), str(event["f"]), str(event["process"])
    about = f" ({event['id']})" if event.get("id") else ""
    if f == "request":
        said = _of_request(kind, value)
    elif kind == "fault":
        said = f"{value['kind']} on {value['target']} {'begins' if f == 'inject' else 'is healed'}"
    else:
        shown = ", ".join(f"{name} {_short(inner)}" for name, inner in value.items() if inner not in ("", None))
        said = f"{f.replace('_', ' ')}: {shown}" if shown else f.replace("_", " ")
    return f"{at}  {who}{about}: {said}"


def _of_request(kind: str, value: Mapping[str, Any]) -> str:
    if kind == "invoke":
        return f"{value['user'] or 'somebody'} asks {value['method']} {value['path']}"
    if kind == "ok":
        more = "".join(f", {name} {value[name]}" for name in ("source", "degraded", "problem") if name in value)
        return f"gets {value['status']} after {float(value['latency_s']):.3f} s{more}"
    return f"gets no answer: {value['error']} after {float(value['latency_s']):.3f} s"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _labelled(label: str, texts: Sequence[str]) -> list[str]:
    """The label before the first, its width before the others."""
    return [f"{label if not number else '':10} {text}" for number, text in enumerate(texts)]
