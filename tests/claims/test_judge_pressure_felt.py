"""Pressure that is seen from outside must be felt: by memory, by processor, by the loop that stood still."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from judge_story import Story

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome

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


def verdict(story: Story) -> tuple[Outcome, str]:
    samples(story, 2.0)
    found = judge_all({"told": story.history()}, ["C2.3"])[0]
    return found.outcome, found.reason


CASES = [(by_memory, "moderate"), (by_processor, "moderate"), (by_the_loop, "heavy")]


@pytest.mark.parametrize(("press", "level"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_level_that_was_not_entered_is_a_failure(press: Callable[[Story], None], level: str) -> None:
    story = started()
    press(story)
    outcome, reason = verdict(story)
    assert outcome is Outcome.FAIL
    assert "that level was not entered" in reason


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
    assert verdict(story)[0] is Outcome.UNKNOWN


def test_what_is_too_short_or_not_quite_enough_proves_nothing() -> None:
    for press in (
        lambda story: samples(story, 1.0, rss_mb=480.0),
        lambda story: samples(story, 5.0, rss_mb=370.0),
        lambda story: samples(story, 4.0, cpu_share=0.8),
    ):
        story = started()
        press(story)
        assert verdict(story)[0] is Outcome.UNKNOWN


def test_a_budget_that_was_raised_meanwhile_is_judged_by_the_larger_one() -> None:
    story = started()
    story.say("settings", generation=2, digest="sha256:2", changed={"budgets.memory_mb": 1024})
    by_memory(story)
    assert verdict(story)[0] is Outcome.UNKNOWN


def test_a_process_that_stood_still_could_not_enter_anything() -> None:
    story = started()
    story.inject("s", "process_signal", "service", signal="STOP")
    by_memory(story)
    story.heal("s", "process_signal", "service")
    assert verdict(story)[0] is Outcome.UNKNOWN
