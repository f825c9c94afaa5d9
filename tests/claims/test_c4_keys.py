"""C4.5: a user without entitlement gets nothing."""

from __future__ import annotations

from judge_stories import SOUND, judged_after
from judge_story import changed, edited, judged

from hardening.claims.verdict import Outcome


def test_who_is_entitled_to_nothing_is_served_nothing():
    verdict = judged_after("C4.5", edited("request", 5, of="invoke", entitled=False))
    assert verdict.outcome is Outcome.FAIL
    assert "not entitled to" in verdict.reason
    refused = edited("request", 5, of="ok", status=403, answered_user=None)
    story = changed(SOUND["C4.5"]().history(), edited("request", 5, of="invoke", entitled=False))
    assert judged("C4.5", changed(story, refused)).outcome is not Outcome.FAIL
