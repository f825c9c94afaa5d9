"""C1.3: late answers and refusals must not move a breaker."""

from __future__ import annotations

import pytest
from judge_story import Story, judged

from hardening.claims.verdict import Outcome


def half_open(story: Story, probe: str) -> None:
    for number in range(3):
        story.wait(0.1)
        if number == 2:
            story.breaker("closed", "open", open_s=60.0)
        story.call("ticker", "failed", 0.02, f"bad{number}")
    story.wait(60.0)
    story.say("breaker", probe, name="ticker", old="open", new="half_open")
    story.say("breaker_probe", probe, name="ticker", event="granted")


@pytest.mark.parametrize(("event", "state"), [("success", "closed"), ("failure", "open")])
@pytest.mark.parametrize(("mover", "expected"), [("probe", Outcome.UNKNOWN), ("late", Outcome.FAIL)])
def test_only_the_probe_moves_a_half_open_breaker(event: str, state: str, mover: str, expected: Outcome) -> None:
    story = Story()
    half_open(story, "probe")
    story.wait(0.5).say("breaker_probe", mover, name="ticker", event=event)
    story.say("breaker", mover, name="ticker", old="half_open", new=state, open_s=60.0)
    found = judged("C1.3", story)
    assert found.outcome is expected, found.reason
    if expected is Outcome.FAIL:
        assert found.reason == "ticker: an answer that was not its probe's moved it"
        assert [one["id"] for one in found.evidence] == ["probe", "late"]


@pytest.mark.parametrize(
    ("status", "outcome", "calls", "expected"),
    [
        (422, "failed", 1, Outcome.FAIL),
        (422, "client_error", 1, Outcome.UNKNOWN),
        (429, "failed", 1, Outcome.UNKNOWN),
        (500, "failed", 1, Outcome.UNKNOWN),
        (422, "failed", 2, Outcome.UNKNOWN),  # the other call of the same request may have been the one that failed
    ],
)
def test_a_refusal_is_no_failure(status: int, outcome: str, calls: int, expected: Outcome) -> None:
    story = Story()
    story.arrive("ticker", 0.01, status, request_id="r1")
    story.wait(0.02)
    for _ in range(calls):
        story.call("ticker", outcome, 0.02, "r1")
    found = judged("C1.3", story)
    assert found.outcome is expected, found.reason
