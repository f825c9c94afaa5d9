"""C5.1 and C5.3: callers of one load, and what is served after an invalidation."""

from __future__ import annotations

import pytest
from judge_story import Story, judged

from hardening.claims.verdict import Outcome


@pytest.mark.parametrize(("served_before", "expected"), [(True, Outcome.PASS), (False, Outcome.FAIL)])
def test_a_caller_of_an_earlier_look_up_is_not_harmed_by_a_later_load(served_before: bool, expected: Outcome) -> None:
    story = Story()
    early, leader = story.ask(), story.ask()
    story.say("cache", early, key="k", event="join")
    if served_before:
        story.wait(0.1).say("request_done", early, status=200, duration_s=0.1)
        story.answer(early)
    story.wait(1.0).say("cache", leader, key="k", event="load", load_id="l1")
    story.wait(0.1).lose(leader, "disconnected", 0.1)
    story.say("permit_returned", leader, pool="main", in_flight=0, why="disconnect")
    story.say("cache", leader, key="k", event="load_failed", load_id="l1", why="abandoned")
    found = judged("C5.1", story)
    assert found.outcome is expected, found.reason


@pytest.mark.parametrize(
    ("asked_after", "version", "outcome"),
    [(True, 7, Outcome.FAIL), (True, 9, Outcome.UNKNOWN), (False, 7, Outcome.UNKNOWN)],
    ids=["from before", "written since", "who asked before"],
)
def test_what_was_invalidated_is_not_served_to_who_asks_afterwards(asked_after: bool, version: int, outcome: Outcome):
    story = Story()
    early = story.ask()
    admin = story.wait(1).ask("admin")
    story.say("cache", admin, key="k", event="invalidate", version=8)
    story.wait(0.1).answer(admin, 200)
    asker = story.wait(0.1).ask() if asked_after else early
    story.wait(0.1).say("cache", asker, key="k", event="hit", version=version, age_s=5.0, layer="redis")
    verdict = judged("C5.3", story)
    assert verdict.outcome is outcome, verdict.reason
