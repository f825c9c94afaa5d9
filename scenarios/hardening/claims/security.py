"""C4.1, C4.2 and C4.5: secrets nowhere, market data untouched, and nobody served without a key of the right scope."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hardening.claims.secrets_seen import forms, split_over_fields
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import PRODUCT_OPERATIONS, PUBLIC_OPERATIONS, Asked, asked, probes
from hardening.history.events import Event, History

REFUSED_KEYS = {"none": 401, "wrong": 401, "other_scope": 403}


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


def spoken(history: History) -> list[Event]:
    """Everything that a process wrote or answered, as recorded texts."""
    return history.select("log", "line")


def _said_of_itself(history: History) -> Iterable[tuple[Event, str]]:
    for event in history.events:
        if event.process == "service" and event.type == "state":
            for value in event.value.values():
                if isinstance(value, str):
                    yield event, value


def judge_no_secret(history: History) -> Verdict:
    """C4.1: no planted secret, however encoded, in any recorded log, response, metric, audit record or report."""
    claim = "C4.1"
    lines = spoken(history)
    canaries = history.header.canaries
    whole = "\n".join(str(line.value["text"]) for line in lines)
    own_words = [(event, text) for event, text in _said_of_itself(history) if len(text) >= 8]
    for canary in canaries:
        name, kind, value = canary["name"], canary["kind"], canary["value"]
        leak = _leak(lines, whole, value, kind)
        if leak is not None:
            how, line = leak
            reason = f"the planted {kind} {name!r} stands {how} in {line.value['surface']}"
            return failed(claim, len(canaries), reason, [_without(line, value)])
        for event, text in own_words:
            if value in text:
                return failed(claim, len(canaries), f"the planted {kind} {name!r} stands in an event", [event])
    surfaces = sorted({str(line.value["surface"]) for line in lines})
    if not canaries:
        return unknown(claim, "no secret was planted")
    if not {"stdout", "response"} <= set(surfaces):
        return unknown(claim, "what was logged and answered was not recorded", surfaces=surfaces)
    kinds = sorted({canary["kind"] for canary in canaries})
    return passed(claim, len(canaries), canaries=len(canaries), kinds=kinds, lines=len(lines), surfaces=surfaces)


def _without(line: Event, value: str) -> Event:
    """The line as evidence: an excerpt, so that a verdict does not carry the secret further than it must."""
    text = str(line.value["text"])
    at = max(text.find(value), 0)
    excerpt = text[max(0, at - 80) : at + 80].replace(value, f"<the secret, {len(value)} characters>")
    return Event(line.t, line.process, line.type, line.f, {**line.value, "text": excerpt}, line.id, line.index)


def judge_kept(history: History) -> Verdict:
    """C4.2: candles, prices, ids, digests and timestamps stand unchanged where they were written."""
    claim = "C4.2"
    planted = [e for e in probes(history, "planted") if "keep" in e.value]
    texts = [(e.value["surface"], str(e.value["text"])) for e in spoken(history)]
    for event in planted:
        surface, keep = event.value.get("surface"), str(event.value["keep"])
        # Inside a JSON line the text stands escaped; anything else that differs is a change.
        forms = (keep, json.dumps(keep)[1:-1], json.dumps(keep, ensure_ascii=False)[1:-1])
        if not any(form in text for where, text in texts if where == surface for form in forms):
            return failed(claim, len(planted), f"{keep[:60]!r} did not stand unchanged in {surface}", [event])
    if not planted:
        return unknown(claim, "no harmless text was written on purpose")
    if not history.header.keep:
        return unknown(claim, "the header lists no texts to keep")
    missing = [keep for keep in history.header.keep if not any(keep == str(e.value["keep"]) for e in planted)]
    if missing:
        return unknown(claim, f"never written: {missing[0][:60]!r}", planted=len(planted))
    return passed(claim, len(planted), texts_kept=len(planted))


def _alert_of_another(history: History) -> list[Event]:
    """Two users who were told the same alert: one of them used a key that the other had used."""
    owners: dict[str, Asked] = {}
    for one in asked(history):
        alert, user = one.get("delivery_id"), one.invoke.value["user"]
        if not (one.served and alert and user):
            continue
        first = owners.setdefault(str(alert), one)
        if first.invoke.value["user"] != user:
            return [*first.events(), *one.events()]
    return []


def judge_keys(history: History) -> Verdict:
    """C4.5: no route but the public ones without a valid key of its scope; nobody sees another user's data.

    Nor does anybody see what only others are entitled to: that is what believing another user's entitlement comes to.
    """
    claim = "C4.5"
    refused, users = 0, set()
    if evidence := _alert_of_another(history):
        return failed(claim, refused, "two users got one alert", evidence)
    for one in asked(history):
        if not one.status:
            continue
        key = str(one.invoke.value.get("key", "valid"))
        user, whose = str(one.invoke.value["user"]), one.get("answered_user")
        if key in REFUSED_KEYS and one.operation not in PUBLIC_OPERATIONS:
            refused += 1
            if one.status < 400:  # anything that is not a refusal
                return failed(claim, refused, f"answered {one.status} to a request with key {key!r}", one.events())
            if one.status in {401, 403} and one.status != REFUSED_KEYS[key]:
                return failed(claim, refused, f"key {key!r} got {one.status}", one.events())
        elif one.served and one.operation in PRODUCT_OPERATIONS and one.invoke.value.get("entitled") is False:
            return failed(claim, refused, f"{user} was served what it is not entitled to", one.events())
        elif one.served and whose is not None and user:  # of a key whose owner nobody told us, nothing can be said
            users.add(user)
            if str(whose) != user:
                return failed(claim, refused, f"{user} got the data of {whose}", one.events())
    if not refused:
        return unknown(claim, "nobody asked with a missing, wrong or insufficient key")
    if len(users) < 2:  # two users, or nobody could have been mistaken for another
        return unknown(claim, "answers of fewer than two users say whose they are", refused=refused)
    return passed(claim, refused, refused=refused, users=len(users))
