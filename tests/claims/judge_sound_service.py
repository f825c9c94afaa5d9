"""Sound stories of C1, C2 and C3."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from judge_story import Story, all_clients

from hardening.claims.limits import DOWNSTREAMS


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


def c2_1() -> Story:
    story = Story({"budgets": {"in_flight": 2, "critical_reserve": 1}})
    first, second = story.ask(), story.ask()
    story.admit(first, 1)
    story.admit(second, 2)
    story.wait(0.1).say("permit_returned", first, pool="main", in_flight=1, why="cancelled")
    story.lose(first, "disconnected")
    story.wait(0.1).say("permit_returned", second, pool="main", in_flight=0, why="ok")
    story.answer(second)
    watcher = story.ask("health")
    story.say("permit_taken", watcher, pool="critical", in_flight=1)
    story.say("permit_returned", watcher, pool="critical", in_flight=0, why="ok")
    story.answer(watcher)
    story.wait(5).phase("quiet")
    return story


def c2_2() -> Story:
    story = Story({"budgets": {"accepted_per_window": 3, "window_s": 60.0}})
    for _ in range(3):
        story.wait(1)
        story.serve()
    story.wait(1)
    ident = story.ask()
    left_s = 1.0 + 60.0 - story.now
    story.say("rejected", ident, reason="rate", status=429, retry_after_s=round(left_s, 3))
    story.answer(ident, 429, retry_after_s=float(int(left_s) + 1))
    story.wait(left_s)
    story.serve()
    return story


def c2_3() -> Story:
    story = Story()
    story.say("level", old="none", new="light", utilisation=0.72, cause="cpu")
    for level, priority in (("light", "low"), ("heavy", "normal")):
        if level == "heavy":
            story.wait(1).say("level", old="light", new="heavy", utilisation=0.97, cause="cpu")
            story.say("metrics_mode", mode="essential")
        ident = story.wait(0.1).ask(priority=priority)
        story.say("shed", ident, level=level, priority=priority, status=503, retry_after_s=5.0)
        story.answer(ident, 503, retry_after_s=5.0)
        ident = story.ask("health")
        story.wait(0.01).answer(ident)
    story.wait(6).say("level", old="heavy", new="light", utilisation=0.66, cause="cpu")
    story.say("metrics_mode", mode="full")
    story.serve(priority="normal")
    story.wait(6).say("level", old="light", new="none", utilisation=0.2, cause="cpu")
    story.serve(priority="low")
    return story


def c2_4() -> Story:
    story = Story()
    ident = story.ask()
    story.admit(ident)
    story.arrive("ticker", 5.02, 200, request_id=ident)
    story.wait(5.01).say("permit_returned", ident, pool="main", in_flight=0, why="timeout")
    story.say("request_done", ident, status=504, duration_s=5.01)
    story.answer(ident, 504, 5.01)
    story.wait(5).serve()
    return story


def c2_5() -> Story:
    story = Story()
    story.probe("soak", phase="begin")
    for number in range(60):
        rss_bytes = 200_000_000 + (number % 7) * 100_000
        story.wait(1).say("sample", process="harness", rss_bytes=rss_bytes, cpu_share=0.5, fds=40)
    story.probe("soak", phase="end", distinct_keys=100_000, metrics_scrapes=500)
    return story


def c2_6() -> Story:
    story = Story()
    ident = story.ask()
    story.say("rejected", ident, reason="rate", status=429, retry_after_s=60.0)
    story.answer(ident, 429, retry_after_s=60.0)
    story.wait(1).say("level", old="none", new="heavy", utilisation=0.99)
    story.say("shed", "x", level="heavy", priority="low", status=503, retry_after_s=5.0)
    story.wait(0.1).say("metrics_mode", mode="essential")
    story.breaker("closed", "open", open_s=60.0)
    story.wait(3).probe(
        "metrics", counters={"level_changes": 1, "sheds": 1, "rejected": {"rate": 1}, "breaker_changes": 1}
    )
    return story


def c2_7() -> Story:
    story = Story()
    for kind in ("slow_head", "slow_body", "flood", "descriptors"):
        story.wait(10).answer(story.ask())
        story.wait(10).probe(
            "rude_clients",
            kind=kind,
            connections=150,
            cut=150,
            longest_s=10.1,
            served=12,
            permits=0,
            accepted_max=150,
        )
    return story


def _started(story: Story, case: str, dependency: str, **more: object) -> None:
    value = {"served": True, "served_early": False, "exit_code": None, "line": "", "elapsed_s": 4.0, **more}
    story.wait(10).probe("startup", case=case, dependency=dependency, **value)


def c3_1() -> Story:
    story = Story()
    for name in ("redis", "ticker", "user"):
        line = f"start-up failed, no answer from: {name}"
        _started(story, "absent", name, served=False, exit_code=1, line=line, elapsed_s=60.4)
        _started(story, "late", name)
    story.process("started")
    story.wait(1).say("startup", phase="ready")
    story.wait(1).serve()
    return story


def c3_2() -> Story:
    story = Story()
    for name in ("alert", "comms"):
        _started(story, "absent", name, degraded=[name], recovered=True)
    return story


def c3_3() -> Story:
    story = Story()
    for number, wait_s in enumerate((0.31, 0.77, 1.2, 3.9), start=1):
        story.wait(wait_s).say(
            "startup", phase="attempt", dependency="redis", attempt=number, wait_s=wait_s, elapsed_s=story.now
        )
    _started(story, "hanging", "ticker", served=False, exit_code=1, line="ticker", elapsed_s=60.2)
    _started(story, "sigterm", "redis", served=False, exit_code=0, elapsed_s=0.2, leftovers=[])
    return story


SERVICE: Mapping[str, Callable[[], Story]] = {
    name.replace("_", ".").upper(): told
    for name, told in list(globals().items())
    if name.startswith("c") and name[1].isdigit()
}
"""By claim."""
