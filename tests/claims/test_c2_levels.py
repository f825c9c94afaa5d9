"""C2.3: any utilisation makes legal levels; pressure that the harness saw must raise the level."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_stories import SOUND
from judge_story import Story, judged

from hardening.claims.verdict import Outcome

LEVELS = {"light": 0.70, "moderate": 0.85, "heavy": 0.95}


NAMES = ["none", *LEVELS]


SHED = {"none": set(), "light": {"low"}, "moderate": {"low"}, "heavy": {"low", "normal", "high"}}


UTILISATIONS = st.lists(st.tuples(st.floats(0, 1.3), st.floats(0.1, 4.0)), max_size=40)


@settings(max_examples=100, deadline=None)
@given(samples=UTILISATIONS, seed=st.integers(0, 2**32))
def test_levels_that_follow_any_utilisation_by_the_rule_never_fail(samples: list[tuple[float, float]], seed: int):
    rng, story = random.Random(seed), Story()
    inside = dict.fromkeys(LEVELS, False)
    calm: dict[str, float | None] = dict.fromkeys(LEVELS)
    level = "none"
    for used, pause_s in samples:
        story.wait(pause_s)
        for name, threshold in LEVELS.items():
            if used >= threshold:
                inside[name], calm[name] = True, None
            elif used > threshold - 0.10:
                calm[name] = None
            elif inside[name]:
                since = calm[name] = story.now if calm[name] is None else calm[name]
                inside[name] = story.now - since < 5.0
        new = max((n for n in LEVELS if inside[n]), key=NAMES.index, default="none")
        if new != level:
            story.say("level", old=level, new=new, utilisation=round(used, 4))
            level = new
        priority = rng.choice(["high", "normal", "low"])
        ident = story.ask(priority=priority)
        if priority in SHED[level]:
            story.say("shed", ident, level=level, priority=priority, status=503, retry_after_s=5.0)
            story.answer(ident, 503, retry_after_s=5.0)
        else:
            story.admit(ident, priority=priority)
            story.answer(ident)
        story.answer(story.ask("health"))
    assert judged("C2.3", story).outcome is not Outcome.FAIL


def test_a_critical_client_that_left_before_it_was_connected_was_not_refused():
    for error, expected in (("disconnected", Outcome.PASS), ("ConnectionRefusedError", Outcome.FAIL)):
        story = SOUND["C2.3"]()
        history = story.history()
        pressed = next(e for e in history.states("level", new="heavy"))
        story.now = pressed.t + 0.01
        ident = story.ask("health")
        story.recorder.add(story.now, "client", "fail", "request", {"error": error, "latency_s": 0.0}, ident)
        verdict = judged("C2.3", story)
        assert verdict.outcome is expected, verdict.reason


def test_a_change_that_cannot_be_audited_was_answered_and_not_shed():
    for problem, expected in (("urn:signal-service:problem:audit", Outcome.PASS), ("x:shed", Outcome.FAIL)):
        story = SOUND["C2.3"]()
        pressed = next(e for e in story.history().states("level", new="heavy"))
        story.now = pressed.t + 0.01
        story.answer(story.ask("admin", method="POST"), 503, problem=problem)
        verdict = judged("C2.3", story)
        assert verdict.outcome is expected, verdict.reason


def test_a_critical_client_beyond_the_last_connection_was_cut_by_the_limit_if_the_service_says_so_too():
    for said, expected in ((True, Outcome.PASS), (False, Outcome.FAIL)):
        story = SOUND["C2.3"]()
        pressed = next(e for e in story.history().states("level", new="heavy"))
        story.now = pressed.t + 0.01
        ident = story.ask("health")
        if said:
            story.say("rejected", reason="connections", status=503, retry_after_s=1.0)
        story.answer(ident, 503, problem="urn:signal-service:problem:connections")
        verdict = judged("C2.3", story)
        assert verdict.outcome is expected, verdict.reason


MB = 1 << 20


def samples(story: Story, seconds: float, rss_mb: float = 80.0, cpu_share: float = 0.1) -> None:
    for _ in range(int(seconds * 2)):
        story.wait(0.5).say("sample", process="harness", rss_bytes=int(rss_mb * MB), cpu_share=cpu_share, fds=20)


def started(**settings: object) -> Story:
    story = Story(settings)
    story.say("startup", phase="ready", elapsed_s=0.1)
    samples(story, 8.0)
    return story


def by_memory(story: Story) -> None:
    samples(story, 5.0, rss_mb=480.0)


def by_processor(story: Story) -> None:
    samples(story, 12.0, cpu_share=0.8)


def by_the_loop(story: Story) -> None:
    story.inject("f", "event_loop_stall", "service", stall_ms=330.0)
    story.wait(1.0).heal("f", "event_loop_stall", "service")
    samples(story, 4.0)


CASES = [(by_memory, "moderate"), (by_processor, "moderate"), (by_the_loop, "heavy")]


@pytest.mark.parametrize(("press", "level"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_level_that_was_not_entered_is_a_failure(press: Callable[[Story], None], level: str) -> None:
    story = started()
    press(story)
    found = judged("C2.3", story)
    assert found.outcome is Outcome.FAIL
    assert "that level was not entered" in found.reason


@pytest.mark.parametrize(("press", "level"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_level_that_was_entered_is_none(press: Callable[[Story], None], level: str) -> None:
    story = started()
    used = {"moderate": 0.9, "heavy": 0.99}[level]
    if press is by_the_loop:
        story.inject("f", "event_loop_stall", "service", stall_ms=330.0)
        story.wait(0.5).say("level", old="none", new="heavy", utilisation=used, cause="loop_lag")
        story.wait(0.5).heal("f", "event_loop_stall", "service")
        samples(story, 4.0)
    else:
        story.wait(0.1).say("level", old="none", new=level, utilisation=used, cause="memory")
        press(story)
    assert judged("C2.3", story).outcome is Outcome.UNKNOWN


def test_what_is_too_short_or_not_quite_enough_proves_nothing() -> None:
    for press in (
        lambda story: samples(story, 1.0, rss_mb=480.0),
        lambda story: samples(story, 5.0, rss_mb=370.0),
        lambda story: samples(story, 4.0, cpu_share=0.8),
    ):
        story = started()
        press(story)
        assert judged("C2.3", story).outcome is Outcome.UNKNOWN


def test_a_budget_that_was_raised_meanwhile_is_judged_by_the_larger_one() -> None:
    story = started()
    story.say("settings", generation=2, digest="sha256:2", changed={"budgets.memory_mb": 1024})
    by_memory(story)
    assert judged("C2.3", story).outcome is Outcome.UNKNOWN


def test_a_process_that_stood_still_could_not_enter_anything() -> None:
    story = started()
    story.inject("s", "process_signal", "service", signal="STOP")
    by_memory(story)
    story.heal("s", "process_signal", "service")
    assert judged("C2.3", story).outcome is Outcome.UNKNOWN
