"""C4.6: an audit record that is lost is counted in the log; with the log's disk full as well, nobody can hear it."""

from __future__ import annotations

import pytest
from judge_story import Story

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome


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
    found = judge_all({"told": story.history()}, ["C4.6"])[0]
    assert found.outcome is expected, found.reason
