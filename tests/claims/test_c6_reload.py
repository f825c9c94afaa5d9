"""C6.3: configurations that had to be refused, and numbers of configurations."""

from __future__ import annotations

import pytest
from judge_story import Story, judged

from hardening.claims.verdict import Outcome


@pytest.mark.parametrize(("generation", "wrong"), [(1, False), (2, True)])
def test_a_request_may_only_name_a_configuration_that_was_announced(generation: int, wrong: bool):
    story = Story()
    story.say("settings", generation=1, digest="d1")
    story.wait(0.5).say("reload", outcome="refused", actor="sighup", generation=1)
    story.wait(0.5).say("request_done", "r", status=200, duration_s=0.1, generation=generation)
    story.wait(1.0)
    assert (judged("C6.3", story).outcome is Outcome.FAIL) is wrong


@pytest.mark.parametrize(("refused", "expected"), [("debug", Outcome.FAIL), ("", Outcome.UNKNOWN)])
def test_a_configuration_that_had_to_be_refused_was_applied(refused: str, expected: Outcome) -> None:
    story = Story()
    story.probe("offered", by="admin", refused=refused)
    story.wait(0.1).say("reload", outcome="applied", actor="admin:x", generation=2, old_generation=1)
    found = judged("C6.3", story)
    assert found.outcome is expected, found.reason
    assert (found.reason == "what had to be refused was put in force") is bool(refused)


def test_what_was_offered_afterwards_may_be_applied() -> None:
    story = Story()
    story.probe("offered", by="sighup", refused="budgets.in_flight")
    story.wait(0.1).say("reload", outcome="refused", actor="sighup", generation=1)
    story.wait(0.1).probe("offered", by="sighup", refused="")
    story.wait(0.1).say("reload", outcome="applied", actor="sighup", generation=2, old_generation=1)
    assert judged("C6.3", story).outcome is Outcome.UNKNOWN


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
    found = judged("C6.3", story)
    assert found.outcome is expected, found.reason
