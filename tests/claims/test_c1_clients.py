"""C1.5 to C1.7: attempts, keys, clients that fail to close."""

from __future__ import annotations

import pytest
from judge_stories import judged_after
from judge_story import Story, edited, judged

from hardening.claims.c1_clients import judge_attempts
from hardening.claims.verdict import Outcome


@pytest.mark.parametrize(("kind", "expected"), [("net_corrupt", Outcome.UNKNOWN), ("net_latency", Outcome.FAIL)])
def test_a_key_that_the_wire_destroyed_was_sent(kind: str, expected: Outcome) -> None:
    story = Story()
    story.inject("f0", kind, "alert")
    story.wait(0.1).arrive("alert", 0.1, method="POST")
    story.wait(0.5).heal("f0", kind, "alert")
    verdict = judge_attempts(story.history())
    assert verdict.outcome is expected, verdict.reason


def test_a_retry_budget_begins_anew_with_a_process():
    story = Story()
    for _ in range(2):
        story.process("started")
        for number in range(3):
            story.wait(0.1).arrive("ticker", 0.01, 200, request_id=f"q{story.now}{number}", attempt=2)
        story.wait(0.1).process("exited", exit_code=-9, signal="SIGKILL")
    assert judged("C1.5", story).outcome is not Outcome.FAIL


def test_attempts_that_all_call_themselves_the_first_are_counted_all_the_same():
    story = Story()
    ident = story.ask()
    for _ in range(4):
        story.wait(0.05).arrive("ticker", 0.01, 503, request_id=ident, attempt=1)
    story.call("ticker", "failed", 0.2, ident, attempts=3)
    verdict = judged("C1.5", story)
    assert verdict.outcome is Outcome.FAIL
    assert len(verdict.evidence) == 4


def test_without_a_client_that_fails_to_close_nobody_knows_what_becomes_of_the_others():
    sound = edited("client", where={"event": "close_failed"}, event="closed")
    verdict = judged_after("C1.6", sound)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "failed to close" in verdict.reason
