"""C4.6: a request that a full disk did not answer is a failure, unless the service was away for another reason."""

from __future__ import annotations

import pytest
from judge_sound import SOUND

from hardening.claims.c4_audit import judge_full_disk
from hardening.claims.verdict import Outcome


@pytest.mark.parametrize(("restarted", "expected"), [(False, Outcome.FAIL), (True, Outcome.PASS)])
def test_who_asked_between_two_lives_was_not_blocked_by_the_disk(restarted: bool, expected: Outcome) -> None:
    story = SOUND["C4.6"]()
    story.wait(1).inject("f8", "disk_full", "logs")
    if restarted:
        story.wait(0.1).inject("f9", "process_signal", "service")
    story.wait(0.1).lose(story.ask(), "ConnectionRefusedError")
    if restarted:
        story.wait(0.1).heal("f9", "process_signal", "service")
    story.wait(1).heal("f8", "disk_full", "logs")
    verdict = judge_full_disk(story.history())
    assert verdict.outcome is expected, verdict.reason
