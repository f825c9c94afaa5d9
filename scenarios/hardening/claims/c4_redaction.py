"""C4.1 to C4.3: secrets nowhere, market data untouched, and redaction that never stalls the loop."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hardening.claims.claim import claim
from hardening.claims.limits import limit
from hardening.claims.secret_forms import forms, split_over_fields
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import (
    faults,
    frozen_spans,
    overlaps,
    probes,
    recorded_texts,
)
from hardening.history.events import Event, History


def _leak(lines: list[Event], whole: str, value: str, kind: str) -> tuple[str, Event] | None:
    """The first recorded text in which one form of the secret stands, and that form's nature."""
    for number, form in enumerate(forms(value, kind)):
        if form not in whole:
            continue
        for line in lines:
            if form in str(line.value["text"]):
                return ("as it is" if number == 0 else "encoded, or in a piece"), line
    if kind.startswith("own"):
        for line in lines:
            if split_over_fields(str(line.value["text"]), value):
                return "split over fields", line
    return None


def _own_texts(history: History) -> Iterable[tuple[Event, str]]:
    for event in history.events:
        if event.process == "service" and event.type == "state":
            for value in event.value.values():
                if isinstance(value, str):
                    yield event, value


@claim(
    "C4.1",
    "No secret shows",
    premise="Secrets were planted, and what was logged and answered was recorded.",
    shown_by=("secrets",),
    needs=("line",),
)
def judge_no_secret(history: History) -> Verdict:
    """No planted secret appears in any log, answer, metric or report, nor encoded, truncated or split."""
    lines = recorded_texts(history)
    canaries = history.header.canaries
    whole = "\n".join(str(line.value["text"]) for line in lines)
    own_words = [(event, text) for event, text in _own_texts(history) if len(text) >= 8]
    for canary in canaries:
        name, kind, value = canary["name"], canary["kind"], canary["value"]
        leak = _leak(lines, whole, value, kind)
        if leak is not None:
            how, line = leak
            reason = f"the planted {kind} {name!r} stands {how} in {line.value['surface']}"
            return failed(len(canaries), reason, [_without(line, value)])
        for event, text in own_words:
            if value in text:
                return failed(len(canaries), f"the planted {kind} {name!r} stands in an event", [event])
    surfaces = sorted({str(line.value["surface"]) for line in lines})
    if not canaries:
        return unknown("no secret was planted")
    if not {"stdout", "response"} <= set(surfaces):
        return unknown("what was logged and answered was not recorded", surfaces=surfaces)
    kinds = sorted({canary["kind"] for canary in canaries})
    return passed(len(canaries), canaries=len(canaries), kinds=kinds, lines=len(lines), surfaces=surfaces)


def _without(line: Event, value: str) -> Event:
    """The line as evidence: an excerpt, so that a verdict does not carry the secret further than it must."""
    text = str(line.value["text"])
    at = max(text.find(value), 0)
    excerpt = text[max(0, at - 80) : at + 80].replace(value, f"<the secret, {len(value)} characters>")
    return Event(line.t, line.process, line.type, line.f, {**line.value, "text": excerpt}, line.id, line.index)


@claim(
    "C4.2",
    "Market data untouched",
    premise="Each harmless text of the header was written somewhere on purpose.",
    shown_by=("secrets",),
    needs=("line",),
)
def judge_kept(history: History) -> Verdict:
    """Candles, prices, ids, digests and timestamps are left as they are."""
    planted = [e for e in probes(history, "planted") if "keep" in e.value]
    texts = [(e.value["surface"], str(e.value["text"])) for e in recorded_texts(history)]
    for event in planted:
        surface, keep = event.value.get("surface"), str(event.value["keep"])
        # Inside a JSON line the text stands escaped; anything else that differs is a change.
        forms = (keep, json.dumps(keep)[1:-1], json.dumps(keep, ensure_ascii=False)[1:-1])
        if not any(form in text for where, text in texts if where == surface for form in forms):
            return failed(len(planted), f"{keep[:60]!r} did not stand unchanged in {surface}", [event])
    if not planted:
        return unknown("no harmless text was written on purpose")
    if not history.header.keep:
        return unknown("the header lists no texts to keep")
    missing = [keep for keep in history.header.keep if not any(keep == str(e.value["keep"]) for e in planted)]
    if missing:
        return unknown(f"never written: {missing[0][:60]!r}", planted=len(planted))
    return passed(len(planted), texts_kept=len(planted))


HOSTILE_BYTES_MIN = 1_000_000
LINE_LASTS_S = 5.0
"""How long after a hostile line its redaction may still be under way."""
FIRST_LINE_S = 1.0
"""How long before the first line came out its redaction may have stalled the loop."""


@claim(
    "C4.3",
    "Linear redaction",
    premise="A hostile line of at least 1 MB was logged and the lag measured.",
    shown_by=("hostile-lines",),
    limits=("budgets.loop_lag_ms",),
)
def judge_hostile_line(history: History) -> Verdict:
    """A hostile line of 1 MB stalls the loop no longer than its lag budget.

    A lag during which the process did not compute for as long came from the machine: then the claim is UNKNOWN.
    """
    budget_ms = limit(history, "budgets", "loop_lag_ms")
    tried = [p for p in probes(history, "hostile_line") if int(p.value["bytes"]) >= HOSTILE_BYTES_MIN]
    longest_ms, not_ours = 0.0, ""
    for probe in tried:
        late = _late(history, probe, budget_ms)
        lag_ms = max((float(event.value["lag_ms"]) for event in late), default=float(probe.value["lag_ms"]))
        computed_ms = float(probe.value.get("computed_ms", lag_ms))
        longest_ms = max(longest_ms, lag_ms)
        if late and computed_ms > budget_ms:
            return failed(len(tried), f"the loop stalled {lag_ms:g} ms, budget {budget_ms:g} ms", late)
        if late:
            not_ours = f"a loop that was late by {lag_ms:g} ms of which its process computed {computed_ms:g}"
    figures = {"lines": len(tried), "lag_ms_max": round(longest_ms, 1), "budget_ms": budget_ms}
    return unknown(not_ours, **figures) if not_ours else passed(len(tried), **figures)


def _late(history: History, probe: Event, budget_ms: float) -> list[Event]:
    """Of the probe and the lags that the service saw around it, those above the budget; other stalls excuse."""
    since_s = probe.t - max(LINE_LASTS_S, float(probe.value.get("lasted_s", 0.0)) + FIRST_LINE_S)
    stalls = [(b.inject.t, b.healed_s + LINE_LASTS_S) for b in faults(history) if "stall" in b.kind or "cpu" in b.kind]
    excused = [*frozen_spans(history), *stalls]
    seen = [
        event
        for event in history.states("loop_lag")
        if since_s <= event.t <= probe.t + LINE_LASTS_S and not overlaps(excused, event.t, event.t)
    ]
    return [event for event in (probe, *seen) if float(event.value["lag_ms"]) > budget_ms]
