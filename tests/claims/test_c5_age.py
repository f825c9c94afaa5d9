"""C5.2, C5.5, C5.6: ages, stale copies, and Redis that is back."""

from __future__ import annotations

import pytest
from judge_story import Story, judged

from hardening.claims.c5_age import judge_clock, judge_ttl
from hardening.claims.verdict import Outcome
from hardening.history.events import Header, History, Recorder


def story(age_s: float) -> History:
    recorder = Recorder(Header("live", {}, "", 0, "unknown", (), {}, ""))
    jump = {"kind": "clock_jump", "target": "service"}
    recorder.add(1.0, "service", "state", "cache", {"key": "candles:A", "event": "write"})
    recorder.add(2.0, "harness", "fault", "inject", {**jump, "parameters": {}}, "f0")
    recorder.add(3.0, "service", "state", "cache", {"key": "candles:A", "event": "hit", "age_s": age_s}, "c1")
    recorder.add(4.0, "harness", "fault", "heal", {**jump, "bit": True, "bite": {}, "verified": True}, "f0")
    return recorder.history()


def test_an_age_on_the_monotonic_clock_passes() -> None:
    assert judge_clock(story(2.0)).outcome is Outcome.PASS


@pytest.mark.parametrize("age_s", [-3598.0, 3602.0, 4.0])
def test_an_age_on_another_clock_fails_and_cites_write_and_hit(age_s: float) -> None:
    verdict = judge_clock(story(age_s))
    assert verdict.outcome is Outcome.FAIL
    assert [event["value"]["event"] for event in verdict.evidence] == ["write", "hit"]


@pytest.mark.parametrize(("reloaded", "expected"), [(True, Outcome.UNKNOWN), (False, Outcome.FAIL)])
def test_an_entry_may_live_by_the_figure_that_a_reload_brought(reloaded: bool, expected: Outcome) -> None:
    recorder = Recorder(Header("live", {"cache": {"ttl_s": 2.0}}, "", 0, "unknown", (), {}, ""))
    recorder.add(1.0, "service", "state", "cache", {"key": "candles:A", "event": "write"})
    changed = {"changed": {"cache.ttl_s": 30.0}} if reloaded else {}
    recorder.add(2.0, "service", "state", "settings", {"generation": 2, "digest": "", **changed})
    hit = {"key": "candles:A", "event": "hit", "age_s": 8.0, "layer": "memory"}
    recorder.add(9.0, "service", "state", "cache", hit, "c1")
    assert judge_ttl(recorder.history()).outcome is expected


@pytest.mark.parametrize(("version", "expected"), [(8, Outcome.UNKNOWN), (7, Outcome.FAIL)])
def test_a_write_that_nobody_told_is_not_taken_for_the_last_one_that_was(version: int, expected: Outcome) -> None:
    recorder = Recorder(Header("simulated", {"cache": {"ttl_s": 2.0}}, "", 0, "unknown", (), {}, ""))
    recorder.add(1.0, "service", "state", "cache", {"key": "candles:A", "event": "write", "version": 7})
    # Its caller hung up while Redis was carrying it out: the service did not live to say so.
    for at_s, layer in ((5.0, "redis"), (5.5, "memory")):
        hit = {"key": "candles:A", "event": "hit", "age_s": 0.1, "layer": layer, "version": version}
        recorder.add(at_s, "service", "state", "cache", hit, "c1")
    assert judge_ttl(recorder.history()).outcome is expected


@pytest.mark.parametrize(("back_after_s", "outcome"), [(2.0, Outcome.PASS), (20.0, Outcome.FAIL)])
def test_redis_that_is_back_is_used_again_while_it_is_needed(back_after_s: float, outcome: Outcome):
    story = Story()
    story.inject("f0", "redis_killed", "redis")
    story.say("redis", event="lost", error="ConnectionError")
    ident = story.wait(0.5).ask()
    story.wait(0.1).say("cache", ident, key="k", event="hit", layer="memory", age_s=3.0)
    story.answer(ident, 200, 0.1, source="cache", degraded=True)
    story.wait(1).heal("f0", "redis_killed", "redis")
    for second in range(1, 21):
        if second == back_after_s:
            story.say("redis", event="back")
        story.wait(1).say("cache", key=f"k{second}", event="load", load_id=f"l{second}")
        story.say("cache", key=f"k{second}", event="loaded", load_id=f"l{second}")
    verdict = judged("C5.5", story)
    assert verdict.outcome is outcome, verdict.reason


@pytest.mark.parametrize(("source", "outcome"), [("cache", Outcome.FAIL), ("stale", Outcome.UNKNOWN)])
def test_a_stale_copy_is_marked(source: str, outcome: Outcome):
    story = Story()
    ident = story.ask()
    story.wait(0.1).say("cache", ident, key="candles:AAPL:1m", event="stale", version=1, age_s=70.0)
    story.answer(ident, 200, 0.1, source=source)
    verdict = judged("C5.5", story)
    assert verdict.outcome is outcome, verdict.reason
