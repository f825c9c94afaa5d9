"""C2.7: abusive clients: slow and half-sent requests, floods, exhausted file descriptors."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hardening.claims.claim import claim
from hardening.claims.limits import largest, limit
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import asked, frozen_spans, overlaps, probes
from hardening.history.events import Event, History

CUT_SLACK_S = 2.0
ERROR_MIN = 400
CUT_SHORT = frozenset({408, 413, 431})
"""How a half-sent, too slow or too large request is answered."""
NOT_READ = frozenset({401, 403, 408, 413, 429, 503})
"""Answers that can be given without the whole body."""


def _too_short(probe: Event, limits_s: Mapping[str, float]) -> bool:
    """The crowd left before its limit was over: whether the rest would have been cut is unknown."""
    limit_s = limits_s.get(str(probe.value["kind"]), 0.0)
    whole = int(probe.value["cut"]) >= int(probe.value["connections"])
    return limit_s > 0 and not whole and float(probe.value.get("held_s", math.inf)) < limit_s + CUT_SLACK_S


def _kept_out(history: History, probe: Event) -> list[Event]:
    """A request of another client that got no answer during the crowd, or none that names another reason."""
    since_s = probe.t - float(probe.value.get("held_s", math.inf))
    frozen = frozen_spans(history)
    rows = [a for a in asked(history) if a.operation != "rude" and since_s <= a.invoke.t and a.ended_s <= probe.t]
    for one in rows:
        # An error that names another reason is some other fault's.
        named = one.status >= ERROR_MIN and not str(one.get("problem") or "").endswith("busy")
        if not named and not one.left and not overlaps(frozen, one.invoke.t, one.ended_s):
            return one.events()
    return []


def _read_too_much(history: History) -> list[Event]:
    """A body beyond the limit that was answered as if it had been read: with anything but a refusal of its size."""
    most = largest(history, "clients", "body_bytes")
    for one in asked(history):
        if int(one.invoke.value.get("body_bytes", 0)) > most and one.status and one.status not in NOT_READ:
            return one.events()
    return []


@claim(
    "C2.7",
    "Slow and many clients",
    premise="Slow heads, slow bodies, a flood and exhausted descriptors were tried while other clients sent requests.",
    shown_by=("rude-clients",),
    limits=("clients",),
)
def judge_rude_clients(history: History) -> Verdict:
    """Slow or half-sent requests and floods take no permit and are cut; running out of descriptors is survived."""
    tried = probes(history, "rude_clients")
    head_s, body_s = limit(history, "clients", "head_s"), limit(history, "clients", "body_s")
    most = limit(history, "clients", "connections")
    limits_s = {"slow_head": head_s, "slow_body": body_s, "flood": head_s}
    abusive = {a.id for a in asked(history) if a.operation == "rude" and a.id and a.status in CUT_SHORT}
    paid = next((e for f in ("permit_taken", "admitted") for e in history.states(f) if e.id in abusive), None)
    if paid is not None:
        return failed(len(tried), "an abusive client took a permit or a rate slot", [paid])
    if evidence := _read_too_much(history):
        return failed(len(tried), "a body above the limit was read to its end", evidence)
    for probe in tried:
        kind, opened, cut = str(probe.value["kind"]), int(probe.value["connections"]), int(probe.value["cut"])
        if int(probe.value.get("permits", 0)) > 0:
            return failed(len(tried), f"{kind}: permits were taken", [probe])
        if kind == "flood" and int(probe.value.get("accepted_max", opened)) > most:
            return failed(len(tried), f"more than {most:g} connections at once", [probe])
        if _too_short(probe, limits_s):
            continue
        if not int(probe.value["served"]) and (harmed := _kept_out(history, probe)):
            return failed(len(tried), f"{kind}: no other client was served meanwhile", [*harmed, probe])
        slow = kind in {"slow_head", "slow_body"}
        if slow and (cut < opened or float(probe.value["longest_s"]) > limits_s[kind] + CUT_SLACK_S):
            reason = f"{kind}: {cut} of {opened} cut, the longest lived {probe.value['longest_s']} s"
            return failed(len(tried), reason, [probe])
    kinds = {str(p.value["kind"]) for p in tried if not _too_short(p, limits_s)}
    missing = sorted({"slow_head", "slow_body", "flood", "descriptors"} - kinds)
    if missing:
        return unknown(f"not tried: {', '.join(missing)}", tried=len(tried))
    died = [e for e in history.states("process", state="exited") if any(abs(e.t - p.t) < 1.0 for p in tried)]
    if died:
        return failed(len(tried), "the service ended under abusive clients", died[:1])
    return passed(len(tried), kinds=sorted(kinds), connections=sum(int(p.value["connections"]) for p in tried))
