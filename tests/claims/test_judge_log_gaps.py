"""Lines of the service's log that were lost are no broken promise: what counts on them is unknown, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from judge_story import Story

from hardening.claims.claims import judge_all
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


def outcome(story: Story) -> Outcome:
    return judge_all({"told": story.history()}, ["C2.1"])[0].outcome


def test_under_a_full_disk_of_the_log_a_request_without_its_lines_is_unknown():
    assert outcome(served_unseen()) is Outcome.UNKNOWN


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
    assert outcome(story) is expected


def test_a_client_whose_end_was_not_written_down_is_not_called_unclosed():
    for where, expected in (("logs", Outcome.UNKNOWN), ("audit", Outcome.FAIL)):
        story = served_unseen(where=where)
        story.process("started")
        story.say("client", name="ticker", event="built")
        story.process("exited", exit_code=0)
        assert judge_all({"told": story.history()}, ["C1.6"])[0].outcome is expected


@pytest.mark.parametrize("fault", [{"where": "audit"}, {"kind": "log_reader_blocked", "where": ""}])
def test_under_faults_that_lose_no_line_it_is_a_failure(fault: dict[str, Any]):
    assert outcome(served_unseen(**fault)) is Outcome.FAIL


@pytest.mark.parametrize(("dropped", "expected"), [(3.0, Outcome.UNKNOWN), (0.0, Outcome.FAIL)])
def test_lines_that_the_service_says_it_dropped_are_a_gap(dropped: float, expected: Outcome):
    story = served_unseen(where="audit")
    counters = {"rejected": {}, "sheds": 0.0, "level_changes": 0.0, "breaker_changes": 0.0}
    story.probe("metrics", counters=counters, series={"signal_log_dropped": dropped})
    assert outcome(story) is expected
