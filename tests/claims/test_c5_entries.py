"""C5.4: when a bad entry was met, counted and deleted."""

from __future__ import annotations

import pytest
from judge_story import Story

from hardening.claims.c5_entries import judge_bad_entries
from hardening.claims.verdict import Outcome


@pytest.mark.parametrize(("age_s", "expected"), [(0.4, Outcome.PASS), (1.5, Outcome.FAIL)])
def test_a_younger_entry_than_the_bad_one_is_another(age_s: float, expected: Outcome) -> None:
    story = Story().wait(10.0)
    story.say("cache", "r1", key="candles:AAPL:1m", event="corrupt", why="checksum")
    story.wait(1.0).say("cache", "r2", key="candles:AAPL:1m", event="hit", layer="redis", version=1, age_s=age_s)
    verdict = judge_bad_entries(story.history())
    assert verdict.outcome is expected, verdict.reason


def planted(story: Story, key: str = "k") -> None:
    """A write, then its entry is damaged."""
    story.say("cache", "r0", key=key, event="write", load_id="l0")
    story.wait(5.0).inject("f0", "redis_entries_damaged", "redis", how="digit")
    story.recorder.add(
        story.now, "harness", "state", "probe", {"probe": "planted_entry", "key": key, "kind": "digit"}, "f0"
    )


@pytest.mark.parametrize(
    ("events", "expected", "reason"),
    [
        ((("corrupt", 1.0), ("write", 0.1)), Outcome.PASS, ""),
        ((("corrupt", 0.2), ("miss", 0.1), ("write", 0.1)), Outcome.PASS, ""),
        ((("miss", 1.0), ("write", 0.1)), Outcome.FAIL, "a bad entry was met and not counted"),
        ((("corrupt", 1.0), ("corrupt", 1.0)), Outcome.FAIL, "a bad entry was not deleted"),
        ((("corrupt", 1.0), ("corrupt", 0.01)), Outcome.PASS, ""),  # two looked at the same moment
        ((("corrupt", 1.0), ("write", 0.1), ("corrupt", 5.0)), Outcome.PASS, ""),
        ((("corrupt", 1.0), ("write", 0.1), ("miss", 400.0)), Outcome.PASS, ""),
    ],
)
def test_a_bad_entry_is_met_once_and_counted(
    events: tuple[tuple[str, float], ...], expected: Outcome, reason: str
) -> None:
    story = Story()
    planted(story)
    for event, after_s in events:
        story.wait(after_s).say("cache", "r1", key="k", event=event)
    verdict = judge_bad_entries(story.history())
    assert verdict.outcome is expected, verdict.reason
    assert verdict.reason == reason


@pytest.mark.parametrize("age_s", [9.0, 0.2])
def test_a_bad_entry_that_was_taken_for_a_good_one_is_known_by_its_age(age_s: float) -> None:
    story = Story()
    planted(story)
    story.wait(4.0).say("cache", "r1", key="k", event="hit", layer="redis", version=1, age_s=age_s)
    assert (judge_bad_entries(story.history()).outcome is Outcome.FAIL) is (age_s > 4.0)


@pytest.mark.parametrize("kind", ["redis_killed", "net_corrupt"])
def test_while_redis_itself_is_broken_nothing_is_known_of_its_entries(kind: str) -> None:
    story = Story()
    planted(story)
    story.inject("f1", kind, "redis")
    story.wait(1.0).say("cache", "r1", key="k", event="corrupt", why="checksum")
    story.wait(1.0).say("cache", "r2", key="k", event="corrupt", why="checksum")
    assert judge_bad_entries(story.history()).outcome is Outcome.PASS


def test_what_was_healed_is_missed_by_right() -> None:
    story = Story()
    planted(story)
    story.wait(1.0).heal("f0", "redis_entries_damaged", "redis")
    story.wait(1.0).say("cache", "r1", key="k", event="miss")
    assert judge_bad_entries(story.history()).outcome is Outcome.UNKNOWN
