"""Sound stories of C4 to C7."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from judge_story import Story

from hardening.claims.c7_deployment import MISCONFIGURED

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


def c5_1() -> Story:
    story = Story()
    leader, follower = story.ask(), story.ask()
    story.admit(leader, 1)
    story.admit(follower, 2)
    story.say("cache", leader, key="k", event="load", load_id="l1")
    story.arrive("ticker", 0.3, request_id=leader, query="limit=1")
    story.wait(0.1).say("cache", follower, key="k", event="join")
    story.wait(0.1).say("permit_returned", leader, pool="main", in_flight=1, why="disconnect")
    story.lose(leader, "disconnected")
    story.wait(0.1).say("cache", leader, key="k", event="loaded", load_id="l1")
    story.say("cache", leader, key="k", event="write", load_id="l1")
    story.say("permit_returned", follower, pool="main", in_flight=0, why="ok")
    story.answer(follower)
    return story


def c5_2() -> Story:
    story = Story()
    story.say("cache", key="k", event="load", load_id="l1")
    story.wait(0.1).say("cache", key="k", event="loaded", load_id="l1")
    story.say("cache", key="k", event="write", load_id="l1")
    story.wait(40).say("cache", key="k", event="write", ttl_s=60.0)
    story.wait(59).say("cache", key="k", event="hit", layer="memory", age_s=59.0)
    story.wait(2).say("cache", key="k", event="expired")
    story.say("cache", key="k", event="load", load_id="l2")
    story.wait(0.1).say("cache", key="k", event="invalidate")
    story.wait(0.1).say("cache", key="k", event="loaded", load_id="l2")
    story.say("cache", key="k", event="discarded", load_id="l2")
    return story


def c5_3() -> Story:
    story = Story()
    story.process("started")
    story.say("cache", key="k", event="locks", count=1, calls=2)
    story.say("cache", key="k", event="load", load_id="l1")
    story.wait(0.1).say("cache", key="k", event="loaded", load_id="l1")
    story.say("cache", key="k", event="locks", count=0, calls=0)
    story.say("cache", key="k", event="invalidate")
    story.say("cache", key="k", event="load", load_id="l2")
    story.wait(0.1).say("cache", key="k", event="loaded", load_id="l2")
    story.say("cache", key="k", event="locks", count=0, calls=0)
    story.wait(1).process("exited", exit_code=0)
    return story


def c5_4() -> Story:
    story = Story()
    story.probe("planted_entry", key="k", kind="truncated", marker="rotten-4711")
    ident = story.wait(1).ask()
    story.say("cache", ident, key="k", event="corrupt", why="truncated")
    story.recorder.add(story.now, "redis", "invoke", "redis_command", {"command": "DEL", "key": "signal:k"})
    story.say("cache", ident, key="k", event="load", load_id="l1")
    story.wait(0.1).say("cache", ident, key="k", event="loaded", load_id="l1")
    story.say("cache", ident, key="k", event="write", load_id="l1")
    story.answer(ident)
    story.line('{"signal": "hold"}', "response")
    return story


def c5_5() -> Story:
    story = Story()
    story.inject("f0", "redis_killed", "redis")
    story.say("redis", event="lost", error="ConnectionError")
    story.wait(1)
    ident = story.ask()
    story.wait(0.1).say("cache", ident, key="k", event="hit", layer="memory", age_s=3.0)
    story.answer(ident, 200, 0.1, source="cache", degraded=True)
    story.wait(5).heal("f0", "redis_killed", "redis")
    story.wait(1).say("redis", event="back")
    return story


def c5_6() -> Story:
    story = Story()
    story.say("cache", key="k", event="write")
    story.wait(1).inject("f0", "clock_jump", "clock", offset_s=7200)
    story.wait(30).say("cache", key="k", event="hit", layer="memory", age_s=31.0)
    story.wait(30).say("cache", key="k", event="expired")
    story.heal("f0", "clock_jump", "clock")
    return story


def c6_1() -> Story:
    story = Story()
    story.process("started")
    story.say("startup", phase="ready")
    story.say("startup", phase="listening", host="127.0.0.1", port=1)
    ident = story.wait(1).ask()
    story.admit(ident)
    story.wait(0.1).process("signalled", signal="SIGTERM")
    story.wait(0.01).say("drain", phase="begin", signal="SIGTERM")
    ready = story.wait(0.2).ask("ready")
    story.answer(ready, 503)
    story.wait(0.3).process("signalled", signal="SIGINT")
    story.say("drain", phase="again", signal="SIGINT")
    story.wait(0.5).say("drain", phase="listener_closed")
    story.wait(0.2).say("permit_returned", ident, pool="main", in_flight=0, why="ok")
    story.answer(ident, 200, 1.2)
    for phase in ("waited", "clients_closed", "done"):
        story.wait(0.05).say("drain", phase=phase)
    story.wait(0.1).process("exited", exit_code=0)
    return story


def c6_2() -> Story:
    story = Story()
    story.process("started")
    for number in range(3):
        ident = story.wait(0.1).ask("alert", idempotency_key=f"k{number}", body_digest=f"b{number}")
        story.say("outbox", ident, event="accepted", alert_id=f"d{number}", key=f"k{number}", depth=number + 1)
        story.wait(0.05).answer(ident, 202, 0.05, delivery_id=f"d{number}")
    story.arrive("alert", 0.01, 201, idempotency_key="d0")
    story.wait(0.1).process("exited", exit_code=-9, signal="SIGKILL")
    story.wait(1).process("started")
    for number in range(3):
        story.wait(0.1)
        story.arrive("alert", 0.01, 201, idempotency_key=f"d{number}")
        if number < 2:
            story.arrive("comms", 0.01, 202, idempotency_key=f"d{number}")
    story.arrive("comms", 0.01, 410, idempotency_key="d2")
    story.wait(0.1).say("outbox", event="dead", alert_id="d2", receiver="comms")
    story.wait(1).probe("outbox", depth=0, dead=1)
    return story


def c6_3() -> Story:
    story = Story()

    def request(generation: int) -> None:
        ident = story.wait(0.1).ask()
        story.admit(ident, generation=generation)
        story.wait(0.1).say("permit_returned", ident, pool="main", in_flight=0, why="ok")
        story.say("request_done", ident, status=200, duration_s=0.1, generation=generation)
        story.answer(ident, generation=generation)

    story.say("settings", generation=1, digest="one")
    request(1)
    story.say("reload", outcome="applied", actor="sighup")
    story.say("settings", generation=2, digest="two")
    request(2)
    story.say("reload", outcome="refused", actor="file", field="budgets.in_flight")
    story.line('{"action": "reload", "outcome": "refused"}', "audit")
    request(2)
    story.say("reload", outcome="rolled_back", actor="admin:k1")
    story.say("settings", generation=3, digest="one")
    request(3)
    return story


def c6_4() -> Story:
    story = Story()
    story.phase("steady")
    for _ in range(6):
        story.wait(0.2).serve()
    story.wait(1).phase("faults")
    story.inject("f0", "http_error", "ticker")
    for _ in range(3):
        story.wait(0.1).call("ticker", "failed", 0.02)
    story.breaker("closed", "open", open_s=60.0)
    story.wait(1).heal("f0", "http_error", "ticker")
    story.phase("recovery")
    story.wait(59).breaker("open", "half_open")
    story.say("breaker_probe", name="ticker", event="granted")
    story.wait(0.1).say("breaker_probe", name="ticker", event="success")
    story.breaker("half_open", "closed")
    story.wait(12).phase("quiet")
    story.probe("outbox", depth=0, dead=0)
    for _ in range(6):
        story.wait(0.2).serve()
    story.wait(1).phase("shutdown")
    return story


def c6_5() -> Story:
    story = Story({"outbox": {"capacity": 2}})
    for digest, status in (("b1", 202), ("b1", 202), ("b2", 422)):
        ident = story.wait(0.1).ask("alert", idempotency_key="k", body_digest=digest)
        story.wait(0.05).answer(ident, status, 0.05, delivery_id="d1" if status == 202 else None)
    ident = story.wait(0.1).ask("alert", idempotency_key="k9", body_digest="b9")
    story.say("outbox", ident, event="full", key="k9", depth=2)
    story.wait(0.05).answer(ident, 503, 0.05)
    return story


def c7_1() -> Story:
    story = Story()
    codes = {"passing": 0, "failing": 1, "unknown": 3, "expired": 1, "forged": 1, "other_code": 1}
    for certificate, code in codes.items():
        story.wait(1).probe("gate", certificate=certificate, exit_code=code)
    return story


def c7_2() -> Story:
    story = Story()
    story.probe("preflight", case="sound", exit_code=0, lines=[], faults=0)
    for case in MISCONFIGURED:
        count = 2 if case == "two_faults" else 1
        story.wait(1).probe("preflight", case=case, exit_code=1, lines=[f"{case}: no"] * count, faults=count)
    return story


def c7_3() -> Story:
    story = Story()
    story.probe("verify", altered=False, exit_code=0)
    story.wait(1).probe("verify", altered="histories/a.jsonl", how="byte", exit_code=1)
    story.wait(1).probe("verify", altered="certificate.json", how="byte", exit_code=1)
    story.wait(1).probe("verify", altered="histories/a.jsonl", how="anew", exit_code=1)
    return story


DATA: Mapping[str, Callable[[], Story]] = {
    name.replace("_", ".").upper(): told
    for name, told in list(globals().items())
    if name.startswith("c") and name[1].isdigit()
}
"""By claim."""
