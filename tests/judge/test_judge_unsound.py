"""Every judge can fail: a sound story with one thing changed is a FAIL that cites the guilty events."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from judge_sound import LONG_SECRET, SOUND
from judge_story import Change, Story, changed, doubled, edited, state, with_events, without

from scenarios.judge.claims import CLAIMS, judge_all
from scenarios.judge.history import Event, History
from scenarios.judge.verdict import Outcome

Guilty = tuple[str, dict[str, object]]


def chain(*steps: Change) -> Change:
    def change(events: list[Event]) -> list[Event]:
        for step in steps:
            events = step(events)
        return events

    return change


def late(f: str, seconds: float, nth: int = 0, **where: object) -> Change:
    """Move an event in time."""

    def change(events: list[Event]) -> list[Event]:
        hit = [e for e in events if e.f == f and all(e.value.get(k) == v for k, v in where.items())][nth]
        moved = Event(hit.t + seconds, hit.process, hit.type, hit.f, hit.value, hit.id)
        return [moved if e is hit else e for e in events]

    return change


def arrival(t: float, name: str, ident: str, status: int = 200, lasts_s: float = 0.01, **value: object) -> Change:
    what = {"method": "POST" if name in {"alert", "comms"} else "GET", "path": f"/{name}", **value}
    return with_events(
        Event(t, name, "invoke", "arrival", what, ident),
        Event(t + lasts_s, name, "ok", "arrival", {"status": status, "duration_s": lasts_s}, ident),
    )


def asked(t: float, ident: str, status: int, latency_s: float = 0.01, answer: object = None, **value: object) -> Change:
    what = {"method": "GET", "path": "/x", "operation": "signal", "user": "ann", "priority": "normal", **value}
    told = {"status": status, "latency_s": latency_s, **(answer if isinstance(answer, dict) else {})}
    return with_events(
        Event(t, "client", "invoke", "request", what, ident),
        Event(t + latency_s, "client", "ok", "request", told, ident),
    )


def said(surface: str, text: str) -> Change:
    return with_events(Event(0.5, "service", "log", "line", {"surface": surface, "text": text}))


def equal_waits(events: list[Event]) -> list[Event]:
    for event in events:
        if event.f in {"attempt", "startup"} and event.value.get("wait_s"):
            event.value["wait_s"] = 0.1  # type: ignore[index]
    return events


def growing(events: list[Event]) -> list[Event]:
    for number, event in enumerate(e for e in events if e.f == "sample"):
        event.value["rss_bytes"] += number * 1_000_000  # type: ignore[index]
    return events


def shared_lateness(events: list[Event]) -> list[Event]:
    """Both loads of C5.1's key at once: the follower loads as well."""
    join = next(e for e in events if e.value.get("event") == "join")
    join.value.update({"event": "load", "load_id": "l2"})  # type: ignore[attr-defined]
    return events


def slow_health(events: list[Event]) -> list[Event]:
    begin = next(e.t for e in events if e.f == "inject")
    for event in events:
        if event.type == "ok" and event.f == "request" and event.t > begin:
            event.value["latency_s"] = 1.9  # type: ignore[index]
    return events


CASES: list[tuple[str, str, Change, list[Guilty]]] = [
    ("C1.1", "nonsense taken", edited("probe", refused=False), [("probe", {"refused": False})]),
    ("C1.1", "refusal without the field's name", edited("probe", 2, line="invalid"), [("probe", {"line": "invalid"})]),
    (
        "C1.2",
        "second probe",
        with_events(state(60.07, "breaker_probe", name="ticker", event="granted")),
        [("breaker_probe", {"event": "granted"})],
    ),
    (
        "C1.2",
        "all callers let through half open",
        chain(arrival(60.07, "ticker", "x1", request_id="q1"), arrival(60.07, "ticker", "x2", request_id="q2")),
        [("breaker", {"new": "half_open"}), ("arrival", {"request_id": "q1"})],
    ),
    (
        "C1.2",
        "arrival while open",
        arrival(30.0, "ticker", "x", request_id="late"),
        [("breaker", {"new": "open"}), ("arrival", {"request_id": "late"})],
    ),
    ("C1.2", "illegal step", edited("breaker", 1, old="closed"), [("breaker", {"old": "closed"})]),
    ("C1.2", "half open too early", late("breaker", -5.0, new="half_open"), [("breaker", {"new": "half_open"})]),
    ("C1.2", "never opens", lambda events: [e for e in events if e.f == "call"], [("call", {"outcome": "failed"})]),
    (
        "C1.3",
        "a cancelled call counted as a failure",
        edited("call", 1, outcome="cancelled"),
        [("breaker", {"new": "open"})],
    ),
    (
        "C1.3",
        "a cancelled probe closed it",
        with_events(state(64.2, "breaker", name="ticker", old="half_open", new="closed")),
        [("breaker_probe", {"event": "released"}), ("breaker", {"new": "closed"})],
    ),
    (
        "C1.3",
        "a cancelled call wiped out the failures",
        lambda events: [e for e in events if e.f == "call" and e.t < 10],
        [("call", {"outcome": "failed"}), ("call", {"outcome": "cancelled"})],
    ),
    (
        "C1.4",
        "another's breaker opened",
        with_events(state(1.6, "breaker", name="user", old="closed", new="open")),
        [("inject", {"target": "ticker"}), ("breaker", {"name": "user"})],
    ),
    ("C1.4", "health became slow", slow_health, [("inject", {}), ("request", {"latency_s": 1.9})]),
    (
        "C1.5",
        "one attempt too many",
        chain(
            arrival(0.2, "ticker", "x1", request_id="r1", attempt=3),
            arrival(0.3, "ticker", "x2", request_id="r1", attempt=4),
        ),
        [("arrival", {"attempt": 4})],
    ),
    (
        "C1.5",
        "retry budget ignored",
        chain(*(arrival(0.2 + n / 10, "ticker", f"x{n}", request_id=f"q{n}", attempt=2) for n in range(5))),
        [("arrival", {"attempt": 2})],
    ),
    ("C1.5", "jitter dropped", equal_waits, [("attempt", {"wait_s": 0.1})]),
    ("C1.5", "wait too long", edited("attempt", 3, wait_s=9.0), [("attempt", {"wait_s": 9.0})]),
    (
        "C1.5",
        "POST without key",
        edited("arrival", 20, of="invoke", idempotency_key=""),
        [("arrival", {"method": "POST"})],
    ),
    ("C1.5", "a 4xx tried again", edited("arrival", 0, of="ok", status=404), [("arrival", {"status": 404})]),
    ("C1.6", "never closed", without("client", event="closed"), [("client", {"event": "built"}), ("process", {})]),
    ("C1.6", "built twice", doubled("client", name="user", event="built"), [("client", {"name": "user"})]),
    ("C1.6", "closed twice", doubled("client", name="user", event="closed"), [("client", {"name": "user"})]),
    ("C1.6", "a socket left", edited("leftovers", found=["socket"]), [("leftovers", {})]),
    ("C1.6", "a slot lost", edited("probe", 1, pool_slots_in_use=1), [("probe", {"when": "after"})]),
    ("C1.6", "a task left", edited("probe", 1, tasks=4), [("probe", {"when": "after"})]),
    ("C1.6", "a client beside the four", edited("probe", 2, unowned=1), [("probe", {"unowned": 1})]),
    ("C1.7", "others not built", without("client", name="alert"), [("client", {"name": "comms"})]),
    (
        "C2.1",
        "a permit not returned on cancellation",
        chain(without("permit_returned", why="cancelled"), edited("permit_returned", 0, in_flight=1)),
        [("permit_taken", {})],
    ),
    ("C2.1", "a permit returned twice", doubled("permit_returned", why="ok"), [("permit_returned", {})]),
    (
        "C2.1",
        "one too many in flight",
        with_events(state(0.0, "permit_taken", "x", pool="main", in_flight=3)),
        [("permit_taken", {"in_flight": 3})],
    ),
    ("C2.1", "served without a permit", asked(1.0, "x", 200), [("request", {"status": 200})]),
    (
        "C2.2",
        "one admission too many",
        with_events(state(10.0, "admitted", "x", route="signal", priority="normal")),
        [("admitted", {})],
    ),
    (
        "C2.2",
        "refused with room",
        with_events(state(2.0, "rejected", "x", reason="rate", status=429, retry_after_s=1.0)),
        [("rejected", {"retry_after_s": 1.0})],
    ),
    ("C2.2", "Retry-After of zero", edited("rejected", retry_after_s=0.0), [("rejected", {"retry_after_s": 0.0})]),
    ("C2.2", "client told something else", edited("request", 3, of="ok", retry_after_s=1.0), [("request", {})]),
    (
        "C2.2",
        "no rate limit, and silent about it",
        chain(*(asked(20.0 + n, f"x{n}", 200) for n in range(5)), lambda es: [e for e in es if e.f != "admitted"]),
        [("request", {})],
    ),
    (
        "C2.3",
        "shed at level none",
        with_events(state(0.0, "shed", level="none", priority="low", status=503, retry_after_s=5.0)),
        [("shed", {})],
    ),
    ("C2.3", "the wrong ones shed", edited("shed", priority="high"), [("shed", {"priority": "high"})]),
    ("C2.3", "Retry-After of zero", edited("shed", 1, retry_after_s=0), [("shed", {"retry_after_s": 0})]),
    (
        "C2.3",
        "shed work took a permit",
        with_events(state(0.1, "permit_taken", "r1", pool="main", in_flight=1)),
        [("shed", {})],
    ),
    ("C2.3", "no hysteresis", late("level", -5.0, new="light", old="heavy"), [("level", {"new": "light"})]),
    ("C2.3", "left above its margin", edited("level", 3, utilisation=0.65), [("level", {"utilisation": 0.65})]),
    ("C2.3", "entered below its threshold", edited("level", 0, utilisation=0.5), [("level", {"utilisation": 0.5})]),
    (
        "C2.3",
        "low served at heavy",
        with_events(state(3.0, "admitted", "x", route="s", priority="low")),
        [("admitted", {})],
    ),
    (
        "C2.3",
        "loaded at moderate",
        chain(
            edited("level", 1, new="moderate", utilisation=0.9),
            edited("level", 2, old="moderate"),
            edited("shed", 1, level="moderate"),
            with_events(
                state(3.0, "admitted", "x", route="s", priority="high"),
                state(3.1, "request_done", "x", status=200, duration_s=0.1, source="ticker"),
            ),
        ),
        [("level", {"new": "moderate"}), ("request_done", {"source": "ticker"})],
    ),
    ("C2.3", "critical not answered", edited("request", 1, of="ok", status=503), [("request", {"status": 503})]),
    ("C2.4", "too late", edited("request", 0, of="ok", latency_s=6.0), [("request", {"latency_s": 6.0})]),
    (
        "C2.4",
        "not a 504",
        chain(edited("request", 0, of="ok", latency_s=5.08, status=200), edited("request_done", 0, duration_s=5.08)),
        [("request", {"status": 200})],
    ),
    (
        "C2.4",
        "permit kept",
        late("permit_returned", 1.0, why="timeout"),
        [("permit_taken", {}), ("permit_returned", {})],
    ),
    ("C2.4", "its call went on", late("arrival", 4.0, status=200), [("arrival", {"status": 200})]),
    ("C2.5", "over budget", edited("sample", 30, rss_bytes=600_000_000), [("sample", {"rss_bytes": 600_000_000})]),
    ("C2.5", "a slope", growing, [("sample", {})]),
    (
        "C2.6",
        "sheds not counted",
        edited("probe", counters={"sheds": 0, "level_changes": 1, "rejected": {"rate": 1}, "breaker_changes": 1}),
        [("shed", {}), ("probe", {})],
    ),
    ("C2.6", "clients saw more", asked(2.0, "x", 429), [("request", {"status": 429}), ("probe", {})]),
    (
        "C2.6",
        "no thrift at heavy",
        chain(without("metrics_mode"), with_events(state(5.0, "settings", generation=1, digest="d"))),
        [("level", {"new": "heavy"})],
    ),
    ("C2.7", "not cut", edited("probe", 0, cut=149), [("probe", {"cut": 149})]),
    ("C2.7", "cut too late", edited("probe", 1, longest_s=30.0), [("probe", {"longest_s": 30.0})]),
    ("C2.7", "took permits", edited("probe", 1, permits=3), [("probe", {"permits": 3})]),
    ("C2.7", "others starved", edited("probe", 2, served=0), [("probe", {"served": 0})]),
    ("C2.7", "no bound on connections", edited("probe", 2, accepted_max=400), [("probe", {"accepted_max": 400})]),
    ("C3.1", "served without", edited("probe", 0, served=True), [("probe", {"served": True})]),
    ("C3.1", "served early", edited("probe", 1, served_early=True), [("probe", {"served_early": True})]),
    ("C3.1", "exit 0", edited("probe", 0, exit_code=0), [("probe", {"exit_code": 0})]),
    ("C3.1", "a line that names nothing", edited("probe", 2, line="failed"), [("probe", {"line": "failed"})]),
    ("C3.1", "never gives up", edited("probe", 2, elapsed_s=99.0), [("probe", {"elapsed_s": 99.0})]),
    ("C3.1", "admitted before ready", late("startup", 5.0, phase="ready"), [("admitted", {}), ("startup", {})]),
    ("C3.2", "did not start", edited("probe", served=False), [("probe", {"served": False})]),
    ("C3.2", "readiness that lies", edited("probe", degraded=[]), [("probe", {"degraded": []})]),
    ("C3.2", "needs a restart", edited("probe", 1, recovered=False), [("probe", {"recovered": False})]),
    ("C3.3", "no jitter", equal_waits, [("startup", {"wait_s": 0.1})]),
    ("C3.3", "wait too long", edited("startup", 1, wait_s=9.0), [("startup", {"wait_s": 9.0})]),
    ("C3.3", "an attempt without timeout", edited("startup", 0, elapsed_s=9.0), [("startup", {"elapsed_s": 9.0})]),
    ("C3.3", "deaf to SIGTERM", edited("probe", 1, elapsed_s=9.0), [("probe", {"case": "sigterm"})]),
    ("C3.3", "left something", edited("probe", 1, leftovers=["port 8080"]), [("probe", {"case": "sigterm"})]),
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
    ("C4.3", "a stall", edited("probe", lag_ms=900.0), [("probe", {"lag_ms": 900.0})]),
    ("C4.3", "a lag the service saw", edited("loop_lag", lag_ms=900.0), [("loop_lag", {"lag_ms": 900.0})]),
    ("C4.4", "a broken chain", edited("probe", intact=False), [("probe", {"intact": False})]),
    ("C4.4", "a record lost", edited("probe", counts={"authentication": 1}), [("breaker", {}), ("probe", {})]),
    ("C4.4", "a forgery not found", edited("probe", 2, found=False), [("probe", {"found": False})]),
    ("C4.4", "no actor", edited("probe", 0, incomplete=1), [("probe", {"incomplete": 1})]),
    ("C4.5", "served without a key", edited("request", 0, of="ok", status=200), [("request", {"key": "none"})]),
    ("C4.5", "served out of scope", edited("request", 2, of="ok", status=200), [("request", {"key": "other_scope"})]),
    ("C4.5", "another's data", edited("request", 5, of="ok", answered_user="ann"), [("request", {"user": "bob"})]),
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
    ("C5.1", "two loads", shared_lateness, [("cache", {"load_id": "l1"}), ("cache", {"load_id": "l2"})]),
    (
        "C5.1",
        "the leader's cancellation ended the load",
        chain(edited("cache", 2, event="load_failed", why="cancelled"), without("cache", event="write")),
        [("permit_returned", {"why": "disconnect"})],
    ),
    ("C5.1", "the follower got an error", edited("request", -1, of="ok", status=500), [("request", {"status": 500})]),
    (
        "C5.1",
        "asked behind the cache's back",
        arrival(0.2, "ticker", "x", request_id="r2"),
        [("arrival", {"request_id": "r2"})],
    ),
    (
        "C5.2",
        "the TTL of the first write kept",
        late("cache", -30.0, event="expired"),
        [("cache", {"event": "write"}), ("cache", {"event": "expired"})],
    ),
    ("C5.2", "served past its TTL", late("cache", 1.5, event="hit"), [("cache", {"event": "hit"})]),
    ("C5.2", "half a TTL", edited("cache", where={"event": "write"}, nth=1, ttl_s=20.0), [("cache", {"ttl_s": 20.0})]),
    (
        "C5.2",
        "a slow load over an invalidation",
        edited("cache", where={"event": "discarded"}, event="write"),
        [("cache", {"event": "invalidate"})],
    ),
    (
        "C5.3",
        "the table leaks",
        edited("cache", -1, where={"event": "locks"}, count=1, calls=1),
        [("cache", {"count": 1})],
    ),
    ("C5.3", "more locks than calls", edited("cache", 0, where={"event": "locks"}, count=5), [("cache", {"count": 5})]),
    (
        "C5.3",
        "invalidation let two run",
        late("cache", 0.2, event="loaded", load_id="l1"),
        [("cache", {"event": "invalidate"})],
    ),
    ("C5.4", "served", said("response", "rotten-4711"), [("probe", {"kind": "truncated"}), ("line", {})]),
    ("C5.4", "taken for good", edited("cache", 0, event="hit", layer="redis"), [("cache", {"event": "hit"})]),
    ("C5.4", "raised", edited("request", 0, of="ok", status=500), [("cache", {"event": "corrupt"}), ("request", {})]),
    ("C5.4", "not deleted", edited("redis_command", command="GET"), [("redis_command", {"command": "GET"})]),
    (
        "C5.5",
        "an unmarked copy",
        edited("request", 0, of="ok", degraded=False),
        [("redis", {"event": "lost"}), ("request", {})],
    ),
    ("C5.5", "too old", edited("cache", 0, event="stale", age_s=400.0), [("cache", {"age_s": 400.0})]),
    (
        "C5.5",
        "slow to fail",
        edited("request", 0, of="ok", status=503, latency_s=4.0),
        [("request", {"latency_s": 4.0})],
    ),
    (
        "C5.5",
        "never used again",
        chain(
            without("redis", event="back"),
            with_events(*(state(20.0 + n, "cache", key=f"k{n}", event="load") for n in range(3))),
        ),
        [("redis", {"event": "lost"}), ("heal", {}), ("cache", {})],
    ),
    ("C5.6", "expired by a jump", edited("cache", 1, event="expired"), [("cache", {"event": "expired"})]),
    ("C5.6", "kept by a jump", edited("cache", 2, event="hit"), [("cache", {"event": "hit"})]),
    ("C6.1", "exit code", edited("process", -1, exit_code=143), [("process", {"exit_code": 143})]),
    (
        "C6.1",
        "listener closed at once",
        late("drain", -0.6, phase="listener_closed"),
        [("drain", {"phase": "listener_closed"})],
    ),
    (
        "C6.1",
        "readiness that lies",
        edited("request", 0, of="ok", where={"status": 503}, status=200),
        [("request", {"status": 200})],
    ),
    (
        "C6.1",
        "in-flight request cut",
        lambda es: [
            Event(e.t, e.process, "indeterminate", e.f, {"error": "reset", "latency_s": 1.0}, e.id)
            if e.type == "ok" and e.id == "r1"
            else e
            for e in es
        ],
        [("request", {"error": "reset"})],
    ),
    ("C6.1", "no drain", lambda es: [e for e in es if e.f != "drain"], [("process", {"state": "exited"})]),
    (
        "C6.1",
        "done before its clients were closed",
        without("drain", phase="clients_closed"),
        [("drain", {"phase": "done"})],
    ),
    (
        "C6.2",
        "an alert lost",
        lambda es: [e for e in es if not (e.process == "comms" and e.id == "a8")],
        [("request", {"idempotency_key": "k1"})],
    ),
    (
        "C6.2",
        "an alert invented",
        arrival(2.0, "alert", "x", 201, idempotency_key="nobody"),
        [("arrival", {"idempotency_key": "nobody"})],
    ),
    ("C6.2", "a dead letter unseen", without("outbox", event="dead"), [("request", {"idempotency_key": "k2"})]),
    (
        "C6.3",
        "two configurations in one request",
        edited("request_done", 1, generation=1),
        [("admitted", {"generation": 2})],
    ),
    (
        "C6.3",
        "refused yet changed",
        with_events(state(0.5, "settings", generation=9, digest="bad")),
        [("settings", {"digest": "bad"})],
    ),
    ("C6.3", "not audited", edited("line", text="nothing"), [("reload", {"outcome": "refused"})]),
    (
        "C6.3",
        "rolled back to something else",
        edited("settings", 2, digest="three"),
        [("reload", {"outcome": "rolled_back"})],
    ),
    (
        "C6.4",
        "breaker still open",
        chain(
            lambda es: [e for e in es if e.value.get("new") not in {"half_open", "closed"}],
            with_events(state(75.0, "call", name="ticker", outcome="refused", attempts=0, duration_s=0.0)),
        ),
        [("heal", {}), ("breaker", {"new": "open"})],
    ),
    (
        "C6.4",
        "level stays up",
        with_events(state(2.5, "level", old="none", new="light", utilisation=0.8)),
        [("level", {"new": "light"})],
    ),
    (
        "C6.4",
        "errors remain",
        lambda es: [
            Event(e.t, e.process, e.type, e.f, {**e.value, "status": 503}, e.id) if e.t > 70 and e.type == "ok" else e
            for e in es
        ],
        [("request", {"status": 503})],
    ),
    ("C6.4", "alerts still wait", edited("probe", 0, depth=4), [("probe", {"depth": 4})]),
    (
        "C6.4",
        "restarted",
        with_events(state(10.0, "process", process="harness", name="service", state="started", pid=2)),
        [("process", {"pid": 2})],
    ),
    (
        "C6.5",
        "two answers for one key",
        edited("request", 1, of="ok", delivery_id="d2"),
        [("request", {"delivery_id": "d2"})],
    ),
    (
        "C6.5",
        "another body accepted",
        edited("request", 2, of="ok", status=202),
        [("request", {"body_digest": "b2"})],
    ),
    ("C6.5", "no bound", edited("outbox", depth=3), [("outbox", {"depth": 3})]),
    ("C6.5", "full and yet accepted", edited("request", 3, of="ok", status=202), [("outbox", {"event": "full"})]),
    ("C7.1", "a failing one let through", edited("probe", 1, exit_code=0), [("probe", {"certificate": "failing"})]),
    ("C7.1", "an unknown one let through", edited("probe", 2, exit_code=0), [("probe", {"certificate": "unknown"})]),
    ("C7.1", "a forged one let through", edited("probe", 4, exit_code=0), [("probe", {"certificate": "forged"})]),
    ("C7.2", "let through", edited("probe", 1, exit_code=0), [("probe", {"exit_code": 0})]),
    ("C7.2", "one line for two faults", edited("probe", -1, lines=["x"]), [("probe", {"case": "two_faults"})]),
    ("C7.2", "a sound one refused", edited("probe", 0, exit_code=1), [("probe", {"case": "sound"})]),
    ("C7.3", "an altered one verified", edited("probe", 1, exit_code=0), [("probe", {"exit_code": 0})]),
    ("C7.3", "a forged one verified", edited("probe", 3, exit_code=0), [("probe", {"how": "anew"})]),
    ("C7.3", "a crash taken for a finding", edited("probe", 2, exit_code=4), [("probe", {"exit_code": 4})]),
    ("C7.3", "an intact one refused", edited("probe", 0, exit_code=1), [("probe", {"altered": False})]),
]


def verdict_of(claim: str, history: History):
    return judge_all({"changed": history}, [claim])[0]


@pytest.mark.parametrize(
    ("claim", "change", "guilty"),
    [pytest.param(c, change, guilty, id=f"{c}: {name}") for c, name, change, guilty in CASES],
)
def test_one_wrong_thing_fails_its_claim_and_is_cited(claim: str, change: Change, guilty: list[Guilty]):
    verdict = verdict_of(claim, changed(SOUND[claim]().history(), change))
    assert verdict.outcome is Outcome.FAIL, verdict.reason
    assert verdict.reason
    assert verdict.evidence
    for f, value in guilty:
        cited = [e for e in verdict.evidence if e["f"] == f and all(e["value"].get(k) == v for k, v in value.items())]
        assert cited, (f, value, verdict.reason, verdict.evidence)


def test_each_claim_is_turned_red_by_something():
    assert {claim for claim, *_ in CASES} == set(CLAIMS)


@pytest.mark.parametrize(("encode"), [quote, lambda s: s.encode().hex(), str.upper])
def test_a_leak_that_is_only_nearly_the_secret_is_no_leak(encode: Callable[[str], str]):
    story = SOUND["C4.1"]()
    story.line(encode("sk-live-0000000000000"))
    assert verdict_of("C4.1", story.history()).outcome is Outcome.PASS


def test_the_evidence_of_a_leak_does_not_repeat_the_secret():
    history = changed(SOUND["C4.1"]().history(), said("stdout", f"token={LONG_SECRET}"))
    assert LONG_SECRET not in str(verdict_of("C4.1", history).evidence)


def test_arrivals_of_calls_that_began_before_the_opening_are_allowed():
    story = Story()
    ident = story.ask()
    for _ in range(3):
        story.wait(0.1).call("ticker", "failed")
    story.breaker("closed", "open", open_s=60.0)
    story.wait(0.2).arrive("ticker", 0.01, 200, request_id=ident)
    story.wait(0.1).call("ticker", "ok", 0.5, ident)
    assert verdict_of("C1.2", story.history()).outcome is Outcome.UNKNOWN


def test_permits_that_a_killed_process_held_are_not_missed():
    story = Story()
    story.process("started")
    story.admit("x")
    story.wait(1).process("exited", exit_code=-9, signal="SIGKILL")
    story.wait(1).process("started")
    story.serve()
    story.wait(5).phase("quiet")
    assert verdict_of("C2.1", story.history()).outcome is not Outcome.FAIL


def test_scaled_settings_are_judged_by_what_ran():
    story = Story({"budgets": {"accepted_per_window": 2, "window_s": 1.0}})
    for _ in range(6):
        story.wait(0.6)
        story.serve()
    assert verdict_of("C2.2", story.history()).outcome is Outcome.UNKNOWN
    story = Story({"budgets": {"accepted_per_window": 2, "window_s": 1.0}})
    for _ in range(6):
        story.wait(0.3)
        story.serve()
    assert verdict_of("C2.2", story.history()).outcome is Outcome.FAIL


def test_a_log_with_gaps_proves_nothing_about_what_is_paired_or_counted():
    story = SOUND["C2.1"]()
    story.probe("metrics", counters={"signal_log_dropped": 3.0})
    history = changed(story.history(), without("permit_returned", why="cancelled"))
    assert verdict_of("C2.1", history).outcome is Outcome.UNKNOWN


def test_counters_are_read_by_the_names_that_were_scraped():
    scraped = {
        "signal_level_changes_total{new=heavy,old=none}": 1.0,
        "signal_shed_total{level=heavy,priority=low}": 1.0,
        "signal_rejected_total{reason=rate}": 1.0,
        "signal_breaker_changes_total{name=ticker,new=open}": 1.0,
    }
    sound = changed(SOUND["C2.6"]().history(), edited("probe", counters=scraped))
    assert verdict_of("C2.6", sound).outcome is Outcome.PASS
    wrong = changed(sound, edited("probe", counters={**scraped, "signal_shed_total{level=heavy,priority=low}": 2.0}))
    assert verdict_of("C2.6", wrong).outcome is Outcome.FAIL


def test_a_retry_budget_begins_anew_with_a_process():
    story = Story()
    for _ in range(2):
        story.process("started")
        for number in range(3):
            story.wait(0.1).arrive("ticker", 0.01, 200, request_id=f"q{story.now}{number}", attempt=2)
        story.wait(0.1).process("exited", exit_code=-9, signal="SIGKILL")
    assert verdict_of("C1.5", story.history()).outcome is not Outcome.FAIL


def test_a_client_that_waits_for_its_own_turn_is_not_the_services_lateness():
    story = Story()
    ident = story.ask()
    story.wait(5.2).say("request_done", ident, status=200, duration_s=4.9)
    story.answer(ident, 200, 5.2)
    assert verdict_of("C2.4", story.history()).outcome is Outcome.UNKNOWN


def test_attempts_that_all_call_themselves_the_first_are_counted_all_the_same():
    story = Story()
    ident = story.ask()
    for _ in range(4):
        story.wait(0.05).arrive("ticker", 0.01, 503, request_id=ident, attempt=1)
    story.call("ticker", "failed", 0.2, ident, attempts=3)
    verdict = verdict_of("C1.5", story.history())
    assert verdict.outcome is Outcome.FAIL
    assert len(verdict.evidence) == 4


def test_long_histories_are_judged_in_time_that_grows_with_them():
    def cost_s(rounds: int) -> float:
        story = Story()
        for number in range(rounds):
            for name in ("miss", "locks", "load", "loaded", "write"):
                story.say("cache", f"q{number}", key=f"k{number % 97}", event=name, load_id=str(number), count=0)
            story.wait(61.0)
            story.serve()
        history = story.history()
        began_s = time.process_time()
        judge_all({"long": history})
        return time.process_time() - began_s

    cost_s(100)
    small_s = min(cost_s(400) for _ in range(3))
    assert cost_s(3200) < 8 * 4 * small_s
