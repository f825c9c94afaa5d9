"""C6.2: flipped bytes on the way to a receiver, and a volatile store."""

from __future__ import annotations

import pytest
from judge_stories import SOUND
from judge_story import Story, judged

from hardening.claims.c6_delivery import judge_delivery
from hardening.claims.verdict import Outcome


@pytest.mark.parametrize(("kind", "expected"), [("net_corrupt", Outcome.UNKNOWN), ("net_latency", Outcome.FAIL)])
def test_an_alert_whose_key_was_flipped_on_its_way_was_not_invented(kind: str, expected: Outcome) -> None:
    story = SOUND["C6.2"]()
    story.inject("f7", kind, "comms")
    story.wait(0.1).arrive("comms", 0.1, method="POST", idempotency_key="nobody-sent-this")
    story.wait(0.5).heal("f7", kind, "comms")
    assert judge_delivery(story.history()).outcome is expected


@pytest.mark.parametrize(
    ("after_s", "durability", "degraded", "expected"),
    [
        (20.0, "durable", True, Outcome.FAIL),
        (20.0, "volatile", False, Outcome.FAIL),
        (20.0, "volatile", True, Outcome.UNKNOWN),
        (5.0, "durable", False, Outcome.UNKNOWN),  # it may not have asked yet
    ],
)
def test_a_store_that_forgets_is_told_in_ready(
    after_s: float, durability: str, degraded: bool, expected: Outcome
) -> None:
    story = Story()
    story.inject("f0", "redis_evicting", "redis")
    ident = story.wait(after_s).ask("ready")
    story.answer(ident, 200, durability=durability, degraded=degraded)
    story.wait(10.0).heal("f0", "redis_evicting", "redis")
    found = judged("C6.2", story)
    assert found.outcome is expected, found.reason
