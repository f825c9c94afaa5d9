"""Stories of C4 to C7 with one thing changed: claim, what is wrong, the change, the events to be cited."""

from __future__ import annotations

import base64

from judge_changes import Guilty, arrival, chain, late, said, shared_lateness
from judge_sound import LONG_SECRET
from judge_story import Change, edited, state, with_events, without

from hardening.history.events import Event

DATA: list[tuple[str, str, Change, list[Guilty]]] = [
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
    ("C5.1", "two loads", shared_lateness, [("cache", {"load_id": "l1"}), ("cache", {"load_id": "l2"})]),
    (
        "C5.1",
        "the leader's cancellation ended the load",
        chain(edited("cache", 2, event="load_failed", why="cancelled"), without("cache", event="write")),
        [("permit_returned", {"why": "disconnect"})],
    ),
    (
        "C5.1",
        "the leader took the load with it",
        chain(edited("cache", 2, event="load_failed", why="abandoned"), without("cache", event="write")),
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
    ("C6.2", "a dead letter not counted", edited("probe", dead=0), [("probe", {"dead": 0})]),
    (
        "C6.2",
        "given up although it might be taken",
        lambda es: [
            Event(e.t, e.process, e.type, e.f, {**e.value, "status": 500}, e.id, e.index)
            if e.value.get("status") == 410
            else e
            for e in es
        ],
        [("outbox", {"event": "dead"}), ("arrival", {"status": 500})],
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
        "C6.3",
        "rolled back too far",
        with_events(
            state(2.5, "reload", outcome="applied", actor="file", generation=3),
            state(2.5, "settings", generation=3, digest="three"),
            state(2.6, "reload", outcome="rolled_back", actor="admin:k1", generation=4),
            state(2.6, "settings", generation=4, digest="far"),
        ),
        [("reload", {"outcome": "rolled_back"}), ("settings", {"digest": "far"})],
    ),
    (
        "C6.3",
        "a part left behind",
        with_events(
            state(2.5, "reload", outcome="applied", actor="file", generation=4),
            state(2.5, "settings", generation=4, digest="x", changed={"downstreams.ticker.breaker.open_s": 20.0}),
            state(2.6, "breaker", name="ticker", old="closed", new="open", open_s=60.0),
        ),
        [("settings", {"digest": "x"}), ("breaker", {"open_s": 60.0})],
    ),
    (
        "C6.3",
        "a HUP that nobody heard",
        with_events(
            state(0.1, "startup", phase="ready"),
            state(0.9, "process", process="harness", name="service", state="signalled", signal="SIGHUP"),
            state(9.0, "process", process="harness", name="service", state="exited", exit_code=0),
        ),
        [("process", {"signal": "SIGHUP"})],
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
