"""What had to be refused, and what had to be said: configurations, bodies that are too large, a store that forgets."""

from __future__ import annotations

import pytest
from judge_story import Story

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome


def outcome(claim: str, story: Story) -> tuple[Outcome, str]:
    found = judge_all({"told": story.history()}, [claim])[0]
    return found.outcome, found.reason


@pytest.mark.parametrize(("refused", "expected"), [("debug", Outcome.FAIL), ("", Outcome.UNKNOWN)])
def test_a_configuration_that_had_to_be_refused_was_applied(refused: str, expected: Outcome) -> None:
    story = Story()
    story.probe("offered", by="admin", refused=refused)
    story.wait(0.1).say("reload", outcome="applied", actor="admin:x", generation=2, old_generation=1)
    found, reason = outcome("C6.3", story)
    assert found is expected, reason
    assert (reason == "what had to be refused was put in force") is bool(refused)


def test_what_was_offered_afterwards_may_be_applied() -> None:
    story = Story()
    story.probe("offered", by="sighup", refused="budgets.in_flight")
    story.wait(0.1).say("reload", outcome="refused", actor="sighup", generation=1)
    story.wait(0.1).probe("offered", by="sighup", refused="")
    story.wait(0.1).say("reload", outcome="applied", actor="sighup", generation=2, old_generation=1)
    assert outcome("C6.3", story)[0] is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("size", "status", "expected"),
    [
        (1_000_001, 422, Outcome.FAIL),
        (1_000_001, 202, Outcome.FAIL),
        (1_000_001, 413, Outcome.UNKNOWN),
        (1_000_001, 429, Outcome.UNKNOWN),
        (1_000_000, 422, Outcome.UNKNOWN),
    ],
)
def test_a_body_above_the_limit_is_refused_for_its_size(size: int, status: int, expected: Outcome) -> None:
    story = Story()
    story.answer(story.ask("alert", body_bytes=size), status)
    found, reason = outcome("C2.7", story)
    assert found is expected, reason


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
    found, reason = outcome("C6.2", story)
    assert found is expected, reason


@pytest.mark.parametrize(("full", "expected"), [(True, Outcome.UNKNOWN), (False, Outcome.FAIL)])
def test_a_refusal_whose_record_the_full_disk_lost_is_not_called_unaudited(full: bool, expected: Outcome) -> None:
    story = Story()
    story.line('{"action": "reload", "outcome": "refused"}', "audit")
    story.say("reload", outcome="refused", actor="sighup", generation=1)
    story.wait(5.0)
    if full:
        story.inject("f0", "disk_full", "service", where="audit")
    story.wait(1.0).say("reload", outcome="refused", actor="file", generation=1)
    story.wait(1.0)
    if full:
        story.heal("f0", "disk_full", "service")
    found, reason = outcome("C6.3", story)
    assert found is expected, reason
