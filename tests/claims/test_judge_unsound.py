"""Every judge can fail: a sound story with one thing changed is a FAIL that cites the guilty events."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from judge_changes import Guilty, said
from judge_sound import LONG_SECRET, SOUND
from judge_story import Change, Story, changed, edited, without
from judge_unsound_data import DATA
from judge_unsound_service import SERVICE

from hardening.claims.claims import CLAIMS, judge_all
from hardening.claims.verdict import Outcome
from hardening.history.events import History

CASES = [*SERVICE, *DATA]


def verdict_of(claim: str, history: History):
    return judge_all({"changed": history}, [claim])[0]


@pytest.mark.parametrize(
    ("claim", "change", "guilty"),
    [pytest.param(c, change, guilty, id=f"{c}: {name}") for c, name, change, guilty in CASES],
)
def test_one_wrong_thing_fails_its_claim_and_is_cited(claim: str, change: Change, guilty: list[Guilty]):
    verdict = verdict_of(claim, changed(SOUND[claim]().history(), change))
    assert verdict.outcome is Outcome.FAIL, verdict.reason
    assert verdict.reason
    assert verdict.evidence
    for f, value in guilty:
        cited = [e for e in verdict.evidence if e["f"] == f and all(e["value"].get(k) == v for k, v in value.items())]
        assert cited, (f, value, verdict.reason, verdict.evidence)


def test_each_claim_is_turned_red_by_something():
    assert {claim for claim, *_ in CASES} == set(CLAIMS)


@pytest.mark.parametrize(("encode"), [quote, lambda s: s.encode().hex(), str.upper])
def test_a_leak_that_is_only_nearly_the_secret_is_no_leak(encode: Callable[[str], str]):
    story = SOUND["C4.1"]()
    story.line(encode("sk-live-0000000000000"))
    assert verdict_of("C4.1", story.history()).outcome is Outcome.PASS


def test_the_evidence_of_a_leak_does_not_repeat_the_secret():
    history = changed(SOUND["C4.1"]().history(), said("stdout", f"token={LONG_SECRET}"))
    assert LONG_SECRET not in str(verdict_of("C4.1", history).evidence)


def test_arrivals_of_calls_that_began_before_the_opening_are_allowed():
    story = Story()
    ident = story.ask()
    for _ in range(3):
        story.wait(0.1).call("ticker", "failed")
    story.breaker("closed", "open", open_s=60.0)
    story.wait(0.2).arrive("ticker", 0.01, 200, request_id=ident)
    story.wait(0.1).call("ticker", "ok", 0.5, ident)
    assert verdict_of("C1.2", story.history()).outcome is Outcome.UNKNOWN


def test_permits_that_a_killed_process_held_are_not_missed():
    story = Story()
    story.process("started")
    story.admit("x")
    story.wait(1).process("exited", exit_code=-9, signal="SIGKILL")
    story.wait(1).process("started")
    story.serve()
    story.wait(5).phase("quiet")
    assert verdict_of("C2.1", story.history()).outcome is not Outcome.FAIL


def test_scaled_settings_are_judged_by_what_ran():
    story = Story({"budgets": {"accepted_per_window": 2, "window_s": 1.0}})
    for _ in range(6):
        story.wait(0.6)
        story.serve()
    assert verdict_of("C2.2", story.history()).outcome is Outcome.UNKNOWN
    story = Story({"budgets": {"accepted_per_window": 2, "window_s": 1.0}})
    for _ in range(6):
        story.wait(0.3)
        story.serve()
    assert verdict_of("C2.2", story.history()).outcome is Outcome.FAIL


def test_a_log_with_gaps_proves_nothing_about_what_is_paired_or_counted():
    story = SOUND["C2.1"]()
    story.probe("metrics", counters={"signal_log_dropped": 3.0})
    history = changed(story.history(), without("permit_returned", why="cancelled"))
    assert verdict_of("C2.1", history).outcome is Outcome.UNKNOWN


def test_counters_are_read_by_the_names_that_were_scraped():
    scraped = {
        "signal_level_changes_total{new=heavy,old=none}": 1.0,
        "signal_shed_total{level=heavy,priority=low}": 1.0,
        "signal_rejected_total{reason=rate}": 1.0,
        "signal_breaker_changes_total{name=ticker,new=open}": 1.0,
    }
    sound = changed(SOUND["C2.6"]().history(), edited("probe", counters=scraped))
    assert verdict_of("C2.6", sound).outcome is Outcome.PASS
    wrong = changed(sound, edited("probe", counters={**scraped, "signal_shed_total{level=heavy,priority=low}": 2.0}))
    assert verdict_of("C2.6", wrong).outcome is Outcome.FAIL


def test_a_retry_budget_begins_anew_with_a_process():
    story = Story()
    for _ in range(2):
        story.process("started")
        for number in range(3):
            story.wait(0.1).arrive("ticker", 0.01, 200, request_id=f"q{story.now}{number}", attempt=2)
        story.wait(0.1).process("exited", exit_code=-9, signal="SIGKILL")
    assert verdict_of("C1.5", story.history()).outcome is not Outcome.FAIL


def test_a_client_that_waits_for_its_own_turn_is_not_the_services_lateness():
    story = Story()
    ident = story.ask()
    story.wait(5.2).say("request_done", ident, status=200, duration_s=4.9)
    story.answer(ident, 200, 5.2)
    assert verdict_of("C2.4", story.history()).outcome is Outcome.UNKNOWN


def test_attempts_that_all_call_themselves_the_first_are_counted_all_the_same():
    story = Story()
    ident = story.ask()
    for _ in range(4):
        story.wait(0.05).arrive("ticker", 0.01, 503, request_id=ident, attempt=1)
    story.call("ticker", "failed", 0.2, ident, attempts=3)
    verdict = verdict_of("C1.5", story.history())
    assert verdict.outcome is Outcome.FAIL
    assert len(verdict.evidence) == 4


def test_long_histories_are_judged_in_time_that_grows_with_them():
    def cost_s(rounds: int) -> float:
        story = Story()
        for number in range(rounds):
            for name in ("miss", "locks", "load", "loaded", "write"):
                story.say("cache", f"q{number}", key=f"k{number % 97}", event=name, load_id=str(number), count=0)
            story.wait(61.0)
            story.serve()
        history = story.history()
        began_s = time.process_time()
        judge_all({"long": history})
        return time.process_time() - began_s

    cost_s(100)
    small_s = min(cost_s(400) for _ in range(3))
    assert cost_s(3200) < 8 * 4 * small_s
