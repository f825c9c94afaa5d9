"""Stories of C4: a sound one for each claim, and what is wrong once one thing in it is changed."""

from __future__ import annotations

import base64
import json

from judge_changes import Case, chain, said
from judge_story import Story, edited

LONG_SECRET = "sk-live-9f8e7d6c5b4a39281706"


def c4_1() -> Story:
    canaries = (
        {"name": "token", "kind": "own_token", "value": LONG_SECRET},
        {"name": "card", "kind": "card", "value": "4111111111111111"},
    )
    story = Story(canaries=canaries)
    story.line('{"event": "request_done", "token": "[redacted]"}')
    story.line('{"symbol": "ACME", "price": 41.11}', "response")
    return story


def c4_2() -> Story:
    keep = ("2026-01-01T00:00:00Z,101.25,102.5,99.75,101.0,41112222",)
    story = Story(keep=keep)
    story.probe("planted", surface="stdout", keep=keep[0])
    story.wait(0.1).line(f'{{"msg": "{keep[0]}"}}')
    return story


def c4_3() -> Story:
    story = Story()
    story.probe("hostile_line", bytes=1_000_000, lag_ms=40.0, computed_ms=35.0)
    story.wait(1).say("loop_lag", lag_ms=41.0)
    return story


def c4_4() -> Story:
    story = Story()
    story.say("rejected", reason="key", status=401)
    story.say("rejected", "r7", reason="scope", status=403, user="ann")
    story.say("breaker", name="ticker", old="closed", new="open")
    records = (("authentication", "", "unknown"), ("authorisation", "r7", "ann"), ("breaker", "", "service"))
    for action, ident, actor in records:
        story.line(json.dumps({"action": action, "request_id": ident, "actor": actor}), "audit")
    counts = {"authentication": 1, "authorisation": 1, "breaker_open": 1}
    story.wait(1).probe("audit_chain", intact=True, records=3, counts=counts)
    story.probe("forged", how="altered", found=True)
    story.probe("forged", how="removed", found=True)
    return story


def c4_5() -> Story:
    story = Story()
    for key, status in (("none", 401), ("wrong", 401), ("other_scope", 403)):
        ident = story.wait(0.1).ask(key=key)
        story.answer(ident, status)
    ident = story.ask("health", key="none")
    story.answer(ident, 200)
    for user in ("ann", "bob"):
        ident = story.wait(0.1).ask(user=user)
        story.answer(ident, 200, answered_user=user)
    return story


def c4_6() -> Story:
    story = Story()
    for ident, target in (("f0", "logs"), ("f1", "audit")):
        story.wait(1).inject(ident, "disk_full", target)
        asked = story.ask()
        story.wait(0.01).answer(asked)
        if target == "audit":
            story.say("audit", event="failed", reason="ENOSPC")
            asked = story.wait(0.1).ask("admin", method="POST")
            story.wait(0.01).answer(asked, 409)
        story.wait(1).heal(ident, "disk_full", target)
    story.wait(0.1).say("audit", event="back")
    return story


WRONG: list[Case] = [
    ("C4.1", "as it is", said("stdout", f"token={LONG_SECRET}"), [("line", {"surface": "stdout"})]),
    ("C4.1", "truncated", said("stdout", f"token={LONG_SECRET[3:17]}..."), [("line", {"surface": "stdout"})]),
    (
        "C4.1",
        "split over fields",
        said("stdout", f'{{"a": "{LONG_SECRET[:9]}", "b": "{LONG_SECRET[9:]}"}}'),
        [("line", {})],
    ),
    ("C4.1", "base64", said("response", base64.b64encode(f"x:{LONG_SECRET}".encode()).decode()), [("line", {})]),
    ("C4.1", "a card with blanks", said("metrics", "card 4111 1111 1111 1111"), [("line", {"surface": "metrics"})]),
    ("C4.1", "percent-encoded card", said("stdout", "%34" + "%31" * 15), [("line", {})]),
    ("C4.2", "a candle redacted", edited("line", text="[card]"), [("probe", {"surface": "stdout"})]),
    ("C4.3", "a stall", edited("probe", lag_ms=900.0, computed_ms=880.0), [("probe", {"lag_ms": 900.0})]),
    (
        "C4.3",
        "a lag the service saw",
        chain(edited("loop_lag", lag_ms=900.0), edited("probe", computed_ms=300.0)),
        [("loop_lag", {"lag_ms": 900.0})],
    ),
    ("C4.4", "a broken chain", edited("probe", intact=False), [("probe", {"intact": False})]),
    (
        "C4.4",
        "a record lost",
        edited("probe", counts={"authentication": 1, "authorisation": 1}),
        [("breaker", {}), ("probe", {})],
    ),
    (
        "C4.4",
        "a record of no request",
        edited("line", 1, text='{"action": "authorisation", "request_id": "", "actor": "ann"}'),
        [("rejected", {"reason": "scope"}), ("probe", {})],
    ),
    (
        "C4.4",
        "a record of somebody else",
        edited("line", 1, text='{"action": "authorisation", "request_id": "r7", "actor": "bob"}'),
        [("rejected", {"reason": "scope"}), ("probe", {})],
    ),
    ("C4.4", "a forgery not found", edited("probe", 2, found=False), [("probe", {"found": False})]),
    ("C4.4", "no actor", edited("probe", 0, incomplete=1), [("probe", {"incomplete": 1})]),
    ("C4.5", "served without a key", edited("request", 0, of="ok", status=200), [("request", {"key": "none"})]),
    ("C4.5", "served out of scope", edited("request", 2, of="ok", status=200), [("request", {"key": "other_scope"})]),
    ("C4.5", "another's data", edited("request", 5, of="ok", answered_user="ann"), [("request", {"user": "bob"})]),
    (
        "C4.5",
        "another's alert",
        chain(edited("request", 9, delivery_id="d1", status=202), edited("request", 11, delivery_id="d1", status=202)),
        [("request", {"user": "bob"}), ("request", {"delivery_id": "d1"})],
    ),
    (
        "C4.6",
        "blocked",
        edited("request", 0, of="ok", latency_s=7.0),
        [("inject", {"target": "logs"}), ("request", {})],
    ),
    ("C4.6", "admin change unaudited", edited("request", 2, of="ok", status=200), [("audit", {"event": "failed"})]),
    (
        "C4.6",
        "loss not counted",
        lambda events: [e for e in events if e.f != "audit"],
        [("inject", {"target": "audit"})],
    ),
]
