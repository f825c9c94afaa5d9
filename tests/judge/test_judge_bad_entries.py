"""C5.4: a hit after a bad entry is that entry again only if it is old enough to have been there."""

from __future__ import annotations

import pytest
from judge_story import Story

from scenarios.judge.cache import judge_bad_entries
from scenarios.judge.verdict import Outcome


@pytest.mark.parametrize(("age_s", "expected"), [(0.4, Outcome.PASS), (1.5, Outcome.FAIL)])
def test_a_younger_entry_than_the_bad_one_is_another(age_s: float, expected: Outcome) -> None:
    story = Story().wait(10.0)
    story.say("cache", "r1", key="candles:AAPL:1m", event="corrupt", why="checksum")
    story.wait(1.0).say("cache", "r2", key="candles:AAPL:1m", event="hit", layer="redis", version=1, age_s=age_s)
    verdict = judge_bad_entries(story.history())
    assert verdict.outcome is expected, verdict.reason
