"""C1.1, C1.2, C1.4: what a breaker may do."""

from __future__ import annotations

import pytest
from judge_story import Story, judged

from hardening.claims.verdict import Outcome


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
    assert (judged("C1.2", story).outcome is Outcome.FAIL) is wrong


@pytest.mark.parametrize(("failures", "wrong"), [(3, False), (4, True)])
def test_a_breaker_that_opens_one_failure_late_is_found_however_soon_that_failure_comes(failures: int, wrong: bool):
    story = Story()
    for number in range(failures):
        story.wait(0.1)
        if number == failures - 1:
            story.breaker("closed", "open", open_s=60.0)
        story.call("ticker", "failed", 0.02, f"f{number}")
    story.wait(1.0)
    assert (judged("C1.2", story).outcome is Outcome.FAIL) is wrong


def test_arrivals_of_calls_that_began_before_the_opening_are_allowed():
    story = Story()
    ident = story.ask()
    for _ in range(3):
        story.wait(0.1).call("ticker", "failed")
    story.breaker("closed", "open", open_s=60.0)
    story.wait(0.2).arrive("ticker", 0.01, 200, request_id=ident)
    story.wait(0.1).call("ticker", "ok", 0.5, ident)
    assert judged("C1.2", story).outcome is Outcome.UNKNOWN
