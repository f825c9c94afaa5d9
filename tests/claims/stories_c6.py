"""Stories of C6: a sound one for each claim, and what is wrong once one thing in it is changed."""

from __future__ import annotations

from judge_changes import Case, arrival, chain, late
from judge_story import Story, edited, state, with_events, without

from hardening.history.events import Event


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


WRONG: list[Case] = [
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
]
