"""Stories of C2: a sound one for each claim, and what is wrong once one thing in it is changed."""

from __future__ import annotations

from judge_changes import Case, asked, chain, late
from judge_story import Story, doubled, edited, state, with_events, without

from hardening.history.events import Event


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


def growing(events: list[Event]) -> list[Event]:
    for number, event in enumerate(e for e in events if e.f == "sample"):
        event.value["rss_bytes"] += number * 1_000_000  # type: ignore[index]
    return events


WRONG: list[Case] = [
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
    ("C2.3", "critical held to the rate", edited("request", 1, of="ok", status=429), [("request", {"status": 429})]),
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
        "full metrics at heavy",
        chain(without("metrics_mode"), with_events(state(5.0, "settings", generation=1, digest="d"))),
        [("level", {"new": "heavy"})],
    ),
    (
        "C2.6",
        "reduced metrics for ever",
        with_events(
            state(6.0, "level", old="heavy", new="none", utilisation=0.1),
            state(9.0, "settings", generation=1, digest="d"),
        ),
        [("metrics_mode", {"mode": "essential"}), ("level", {"old": "heavy"})],
    ),
    ("C2.7", "not cut", edited("probe", 0, cut=149), [("probe", {"cut": 149})]),
    ("C2.7", "cut too late", edited("probe", 1, longest_s=30.0), [("probe", {"longest_s": 30.0})]),
    ("C2.7", "took permits", edited("probe", 1, permits=3), [("probe", {"permits": 3})]),
    ("C2.7", "others starved", edited("probe", 2, served=0), [("probe", {"served": 0})]),
    ("C2.7", "no bound on connections", edited("probe", 2, accepted_max=400), [("probe", {"accepted_max": 400})]),
]
