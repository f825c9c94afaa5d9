"""Stories of C5: a sound one for each claim, and what is wrong once one thing in it is changed."""

from __future__ import annotations

from judge_changes import Case, arrival, chain, late, said
from judge_story import Story, edited, state, with_events, without

from hardening.history.events import Event


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


def shared_lateness(events: list[Event]) -> list[Event]:
    """Both loads of C5.1's key at once: the follower loads as well."""
    join = next(e for e in events if e.value.get("event") == "join")
    join.value.update({"event": "load", "load_id": "l2"})  # type: ignore[attr-defined]
    return events


WRONG: list[Case] = [
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
]
