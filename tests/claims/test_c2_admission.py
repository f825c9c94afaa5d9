"""C2.1, C2.2, C2.4: the reserve, permits of a killed process, scaled limits, a client's own waiting."""

from __future__ import annotations

import pytest
from judge_story import Story, judged

from hardening.claims.verdict import Outcome


def test_a_product_may_not_draw_on_the_reserve():
    story = Story({"budgets": {"in_flight": 2, "critical_reserve": 1}})
    ident = story.ask()
    story.say("permit_taken", ident, pool="critical", in_flight=1)
    story.say("permit_returned", ident, pool="critical", in_flight=0, why="error")
    verdict = judged("C2.1", story)
    assert verdict.outcome is Outcome.FAIL
    assert "a permit of the reserve went to signal" in verdict.reason


@pytest.mark.parametrize(("reserve_out", "outcome"), [(0, Outcome.FAIL), (1, Outcome.PASS)])
def test_a_critical_request_draws_on_the_main_pool_only_when_the_reserve_is_out(reserve_out: int, outcome: Outcome):
    story = Story({"budgets": {"in_flight": 2, "critical_reserve": 1}})
    others = [story.ask("ready") for _ in range(reserve_out)]
    for other in others:
        story.say("permit_taken", other, pool="critical", in_flight=1)
    ident = story.ask("health")
    story.say("permit_taken", ident, pool="main", in_flight=1)
    story.say("permit_returned", ident, pool="main", in_flight=0, why="disconnect")
    story.lose(ident, "disconnected")
    for other in others:
        story.say("permit_returned", other, pool="critical", in_flight=0, why="ok")
        story.answer(other)
    story.wait(5).phase("quiet")
    assert judged("C2.1", story).outcome is outcome


def test_permits_that_a_killed_process_held_are_not_missed():
    story = Story()
    story.process("started")
    story.admit("x")
    story.wait(1).process("exited", exit_code=-9, signal="SIGKILL")
    story.wait(1).process("started")
    story.serve()
    story.wait(5).phase("quiet")
    assert judged("C2.1", story).outcome is not Outcome.FAIL


def test_scaled_settings_are_judged_by_what_ran():
    story = Story({"budgets": {"accepted_per_window": 2, "window_s": 1.0}})
    for _ in range(6):
        story.wait(0.6)
        story.serve()
    assert judged("C2.2", story).outcome is Outcome.UNKNOWN
    story = Story({"budgets": {"accepted_per_window": 2, "window_s": 1.0}})
    for _ in range(6):
        story.wait(0.3)
        story.serve()
    assert judged("C2.2", story).outcome is Outcome.FAIL


def test_a_client_that_waits_for_its_own_turn_is_not_the_services_lateness():
    story = Story()
    ident = story.ask()
    story.wait(5.2).say("request_done", ident, status=200, duration_s=4.9)
    story.answer(ident, 200, 5.2)
    assert judged("C2.4", story).outcome is Outcome.UNKNOWN
