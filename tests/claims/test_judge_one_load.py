"""C5.1: who is harmed when the last caller of a load goes away, and who only asked for the same key before."""

from __future__ import annotations

import pytest
from judge_story import Story

from hardening.claims.claims import judge_all
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
    found = judge_all({"told": story.history()}, ["C5.1"])[0]
    assert found.outcome is expected, found.reason
