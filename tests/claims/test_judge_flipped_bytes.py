"""What bytes flipped on the wire did is not held against the service."""

from __future__ import annotations

import pytest
from judge_sound import SOUND
from judge_story import Story

from hardening.claims.c1_clients import judge_attempts
from hardening.claims.c6_delivery import judge_delivery
from hardening.claims.verdict import Outcome


@pytest.mark.parametrize(("kind", "expected"), [("net_corrupt", Outcome.UNKNOWN), ("net_latency", Outcome.FAIL)])
def test_a_key_that_the_wire_destroyed_was_sent(kind: str, expected: Outcome) -> None:
    story = Story()
    story.inject("f0", kind, "alert")
    story.wait(0.1).arrive("alert", 0.1, method="POST")
    story.wait(0.5).heal("f0", kind, "alert")
    verdict = judge_attempts(story.history())
    assert verdict.outcome is expected, verdict.reason


@pytest.mark.parametrize(("kind", "expected"), [("net_corrupt", Outcome.UNKNOWN), ("net_latency", Outcome.FAIL)])
def test_an_alert_whose_key_was_flipped_on_its_way_was_not_invented(kind: str, expected: Outcome) -> None:
    story = SOUND["C6.2"]()
    story.inject("f7", kind, "comms")
    story.wait(0.1).arrive("comms", 0.1, method="POST", idempotency_key="nobody-sent-this")
    story.wait(0.5).heal("f7", kind, "comms")
    assert judge_delivery(story.history()).outcome is expected
