"""C4.6: full disks, and what cannot be known while one is full."""

from __future__ import annotations

import pytest
from judge_stories import SOUND
from judge_story import Story, judged

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


@pytest.mark.parametrize(("log_too", "expected"), [(False, Outcome.FAIL), (True, Outcome.UNKNOWN)])
def test_a_lost_record_whose_line_is_lost_too_is_not_called_uncounted(log_too: bool, expected: Outcome) -> None:
    story = Story()
    if log_too:
        story.inject("f0", "disk_full", "service", where="logs")
    story.wait(0.5).inject("f1", "disk_full", "service", where="audit")
    story.wait(2.0).heal("f1", "disk_full", "service")
    if log_too:
        story.heal("f0", "disk_full", "service")
    story.wait(2.0).serve()
    found = judged("C4.6", story)
    assert found.outcome is expected, found.reason
