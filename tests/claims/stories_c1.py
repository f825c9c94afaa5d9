"""Stories of C1: a sound one for each claim, and what is wrong once one thing in it is changed."""

from __future__ import annotations

from judge_changes import Case, arrival, chain, equal_waits, late
from judge_story import Story, all_clients, doubled, edited, state, with_events, without

from hardening.claims.limits import DOWNSTREAMS
from hardening.history.events import Event


def c1_1() -> Story:
    story = Story()
    for when in ("start", "reload"):
        for name in DOWNSTREAMS:
            field = f"downstreams.{name}.breaker.failures"
            story.wait(1).probe("refused_setting", field=field, when=when, refused=True, line=f"{field}: not -1")
    return story


def c1_2() -> Story:
    story = Story()
    story.open_and_close()
    return story


def c1_3() -> Story:
    story = Story()
    for outcome in ("failed", "failed", "cancelled"):
        story.wait(1).call("ticker", outcome)
    story.wait(1).breaker("closed", "open", open_s=60.0)
    story.call("ticker", "failed")
    story.wait(60).breaker("open", "half_open")
    story.say("breaker_probe", name="ticker", event="granted")
    story.wait(0.1).say("breaker_probe", name="ticker", event="released")
    story.call("ticker", "cancelled", 0.1)
    return story


def c1_4() -> Story:
    story = Story()
    story.phase("steady")
    for _ in range(12):
        story.wait(0.1)
        ident = story.ask("health")
        story.wait(0.01).answer(ident, 200, 0.01)
    story.phase("faults")
    story.inject("f0", "http_error", "ticker")
    for _ in range(12):
        story.wait(0.1)
        ident = story.ask("health")
        story.wait(0.01).answer(ident, 200, 0.011)
    for _ in range(3):
        story.arrive("ticker", 0.01, 500)
        story.wait(0.02).call("ticker", "failed", 0.02)
    story.breaker("closed", "open", open_s=60.0)
    story.wait(1).heal("f0", "http_error", "ticker")
    story.phase("healed")
    return story


def c1_5() -> Story:
    story = Story()
    for number in range(10):
        ident = story.ask()
        story.say("attempt", ident, name="ticker", attempt=1, wait_s=0.0)
        story.arrive("ticker", 0.01, 503, request_id=ident, attempt=1)
        wait_s = 0.01 + 0.017 * number
        story.wait(0.02 + wait_s).say("attempt", ident, name="ticker", attempt=2, wait_s=wait_s)
        story.arrive("ticker", 0.01, 200, request_id=ident, attempt=2)
        story.wait(0.02).call("ticker", "ok", 0.04 + wait_s, ident, attempts=2)
        story.answer(ident)
        story.wait(5)
    story.arrive("alert", 0.01, 201, idempotency_key="k1", request_id="worker")
    return story


def c1_6() -> Story:
    story = Story()
    story.process("started")
    all_clients(story, "built")
    ident = story.wait(1).ask()
    story.say("permit_taken", ident, pool="main", in_flight=1)
    story.wait(0.1).say("permit_returned", ident, pool="main", in_flight=0, why="disconnect")
    story.lose(ident, "disconnected")
    story.probe("idle", when="before", tasks=3, sockets=2, pool_slots_in_use=0)
    story.probe("idle", when="after", tasks=3, sockets=2, pool_slots_in_use=0)
    story.probe("connections", unowned=0)
    story.wait(1)
    for name in DOWNSTREAMS:
        story.say("client", name=name, event="close_failed" if name == "ticker" else "closed")
    story.wait(0.1).process("exited", exit_code=0)
    story.say("leftovers", process="harness", found=[])
    return story


def c1_7() -> Story:
    story = Story()
    story.process("started")
    for name in DOWNSTREAMS:
        story.say("client", name=name, event="build_failed" if name == "comms" else "built")
    story.wait(1).arrive("ticker")
    return story


def slow_health(events: list[Event]) -> list[Event]:
    begin = next(e.t for e in events if e.f == "inject")
    for event in events:
        if event.type == "ok" and event.f == "request" and event.t > begin:
            event.value["latency_s"] = 1.9  # type: ignore[index]
    return events


WRONG: list[Case] = [
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
    (
        "C1.5",
        "deliveries without a wait",
        with_events(
            *(
                state(1.0 + n / 10, "outbox", event="attempt_failed", alert_id="a1", receiver="alert", attempt=n + 1)
                for n in range(5)
            )
        ),
        [("outbox", {"alert_id": "a1"})],
    ),
    ("C1.6", "never closed", without("client", event="closed"), [("client", {"event": "built"}), ("process", {})]),
    (
        "C1.6",
        "the others left open after one that fails to close",
        without("client", event="closed", name="comms"),
        [("client", {"name": "comms"}), ("process", {})],
    ),
    ("C1.6", "built twice", doubled("client", name="user", event="built"), [("client", {"name": "user"})]),
    ("C1.6", "closed twice", doubled("client", name="user", event="closed"), [("client", {"name": "user"})]),
    ("C1.6", "a socket left", edited("leftovers", found=["socket"]), [("leftovers", {})]),
    ("C1.6", "a slot lost", edited("probe", 1, pool_slots_in_use=1), [("probe", {"when": "after"})]),
    ("C1.6", "a task left", edited("probe", 1, tasks=4), [("probe", {"when": "after"})]),
    ("C1.6", "a client beside the four", edited("probe", 2, unowned=1), [("probe", {"unowned": 1})]),
    ("C1.7", "others not built", without("client", name="alert"), [("client", {"name": "comms"})]),
]
