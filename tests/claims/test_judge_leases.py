"""A lease ends with the call that held it, a breaker opens at the last failure it allows, a number is announced."""

from __future__ import annotations

import pytest
from judge_story import Story

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome


def failing(claim: str, story: Story) -> bool:
    return judge_all({"told": story.history()}, [claim])[0].outcome is Outcome.FAIL


def half_open(story: Story, ident: str) -> None:
    story.open_and_close("ticker", failures=3, open_s=60.0)
    for number in range(3):
        story.wait(0.3)
        if number == 2:
            story.breaker("closed", "open", open_s=60.0)
        story.call("ticker", "failed", 0.02, f"again-{number}")
    story.wait(60.0).breaker("open", "half_open")
    story.say("breaker_probe", ident, name="ticker", event="granted")


@pytest.mark.parametrize(("after_s", "wrong"), [(0.0, False), (4.0, True)])
def test_the_lease_of_a_cancelled_probe_ends_with_its_call(after_s: float, wrong: bool):
    story = Story()
    half_open(story, "gone")
    story.wait(0.4)
    if not after_s:
        story.say("breaker_probe", "gone", name="ticker", event="released")
    story.call("ticker", "cancelled", 0.4, "gone")
    story.wait(after_s or 1.0)
    story.say("breaker_probe", "next", name="ticker", event="released")
    story.wait(1.0)
    assert failing("C1.2", story) is wrong


@pytest.mark.parametrize(("failures", "wrong"), [(3, False), (4, True)])
def test_a_breaker_that_opens_one_failure_late_is_found_however_soon_that_failure_comes(failures: int, wrong: bool):
    story = Story()
    for number in range(failures):
        story.wait(0.1)
        if number == failures - 1:
            story.breaker("closed", "open", open_s=60.0)
        story.call("ticker", "failed", 0.02, f"f{number}")
    story.wait(1.0)
    assert failing("C1.2", story) is wrong


@pytest.mark.parametrize(("generation", "wrong"), [(1, False), (2, True)])
def test_a_request_may_only_name_a_configuration_that_was_announced(generation: int, wrong: bool):
    story = Story()
    story.say("settings", generation=1, digest="d1")
    story.wait(0.5).say("reload", outcome="refused", actor="sighup", generation=1)
    story.wait(0.5).say("request_done", "r", status=200, duration_s=0.1, generation=generation)
    story.wait(1.0)
    assert failing("C6.3", story) is wrong
