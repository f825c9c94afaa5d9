"""Lost lines of the service's log: a claim that counts on the log is UNKNOWN, not FAIL."""

from __future__ import annotations

from typing import Any

import pytest
from judge_stories import SOUND
from judge_story import Story, changed, judged, without

from hardening.claims.verdict import Outcome


def served_unseen(**fault: Any) -> Story:
    """A client is served, and the service's log says nothing of it."""
    story = Story()
    parameters = {"kind": "disk_full", "target": "service", "where": "logs", **fault}
    what = {"kind": parameters["kind"], "target": "service"}
    story.recorder.add(0.0, "harness", "fault", "inject", {**what, "parameters": parameters}, "f0")
    story.serve()
    story.wait(1.0).answer(story.ask())
    healed = {**what, "bit": True, "bite": {"writes_refused": 9.0}, "verified": True}
    story.recorder.add(story.now, "harness", "fault", "heal", healed, "f0")
    return story


def test_under_a_full_disk_of_the_log_a_request_without_its_lines_is_unknown():
    assert judged("C2.1", served_unseen()).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(("ended", "expected"), [(True, Outcome.UNKNOWN), (False, Outcome.FAIL)])
def test_lines_that_nobody_had_read_when_the_process_ended_are_lost(ended: bool, expected: Outcome):
    story = Story()
    story.process("started")
    story.wait(0.1).inject("f0", "log_reader_blocked", "service")
    story.serve()
    story.wait(1.0).answer(story.ask())
    if ended:
        story.process("exited", exit_code=0)
    story.wait(0.1).heal("f0", "log_reader_blocked", "service")
    assert judged("C2.1", story).outcome is expected


def test_a_client_whose_end_was_not_written_down_is_not_called_unclosed():
    for where, expected in (("logs", Outcome.UNKNOWN), ("audit", Outcome.FAIL)):
        story = served_unseen(where=where)
        story.process("started")
        story.say("client", name="ticker", event="built")
        story.process("exited", exit_code=0)
        assert judged("C1.6", story).outcome is expected


@pytest.mark.parametrize("fault", [{"where": "audit"}, {"kind": "log_reader_blocked", "where": ""}])
def test_under_faults_that_lose_no_line_it_is_a_failure(fault: dict[str, Any]):
    assert judged("C2.1", served_unseen(**fault)).outcome is Outcome.FAIL


@pytest.mark.parametrize(("dropped", "expected"), [(3.0, Outcome.UNKNOWN), (0.0, Outcome.FAIL)])
def test_lines_that_the_service_says_it_dropped_are_a_gap(dropped: float, expected: Outcome):
    story = served_unseen(where="audit")
    counters = {"rejected": {}, "sheds": 0.0, "level_changes": 0.0, "breaker_changes": 0.0}
    story.probe("metrics", counters=counters, series={"signal_log_dropped": dropped})
    assert judged("C2.1", story).outcome is expected


def test_a_log_with_gaps_proves_nothing_about_what_is_paired_or_counted():
    story = SOUND["C2.1"]()
    story.probe("metrics", counters={"signal_log_dropped": 3.0})
    history = changed(story.history(), without("permit_returned", why="cancelled"))
    assert judged("C2.1", history).outcome is Outcome.UNKNOWN
