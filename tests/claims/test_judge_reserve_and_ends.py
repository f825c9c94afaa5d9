"""The reserve, counted answers, who is entitled, what comes after an end, and since when a stall counts."""

from __future__ import annotations

import pytest
from judge_sound import SOUND
from judge_story import Change, Story, changed, doubled, edited, without

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import Event, History


def verdict_of(claim: str, history: History) -> Verdict:
    return judge_all({"told": history}, [claim])[0]


def judged(claim: str, change: Change) -> Verdict:
    return verdict_of(claim, changed(SOUND[claim]().history(), change))


def test_a_product_may_not_draw_on_the_reserve():
    story = Story({"budgets": {"in_flight": 2, "critical_reserve": 1}})
    ident = story.ask()
    story.say("permit_taken", ident, pool="critical", in_flight=1)
    story.say("permit_returned", ident, pool="critical", in_flight=0, why="error")
    verdict = verdict_of("C2.1", story.history())
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
    assert verdict_of("C2.1", story.history()).outcome is outcome


def answers(**series: float) -> Change:
    named = {f"signal_requests_total{{route=signal,status={status.strip('_')}}}": n for status, n in series.items()}

    def change(events: list[Event]) -> list[Event]:
        done = [
            Event(0.5, "service", "state", "request_done", {"status": 503, "duration_s": 0.1}, f"d{i}") for i in "ab"
        ]
        # Under heavy pressure, which begins at 1 s, nobody counts them.
        done += [Event(3.0, "service", "state", "request_done", {"status": 503, "duration_s": 0.1}, "late")]
        return edited("probe", series=named)([*events, *done])

    return change


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (answers(_503=2), Outcome.PASS),
        (answers(_500=2), Outcome.FAIL),
        (answers(_503=1, _500=1), Outcome.FAIL),
        (answers(_503=3), Outcome.FAIL),
        (answers(_503=1), Outcome.FAIL),
        (answers(_503=1, other=1), Outcome.PASS),
    ],
    ids=["as they were", "as errors", "one as an error", "what essentials leave out", "one forgotten", "folded"],
)
def test_answers_are_counted_by_the_status_that_they_had(change: Change, outcome: Outcome):
    assert judged("C2.6", change).outcome is outcome


def test_who_is_entitled_to_nothing_is_served_nothing():
    verdict = judged("C4.5", edited("request", 5, of="invoke", entitled=False))
    assert verdict.outcome is Outcome.FAIL
    assert "not entitled to" in verdict.reason
    refused = edited("request", 5, of="ok", status=403, answered_user=None)
    story = changed(SOUND["C4.5"]().history(), edited("request", 5, of="invoke", entitled=False))
    assert verdict_of("C4.5", changed(story, refused)).outcome is not Outcome.FAIL


def test_nothing_is_called_once_the_clients_are_closed():
    def worker_goes_on(events: list[Event]) -> list[Event]:
        closed = next(e for e in events if e.value.get("phase") == "clients_closed")
        value = {"name": "alert", "outcome": "refused", "attempts": 0, "duration_s": 0.0}
        return [*events, Event(closed.t + 0.01, "service", "state", "call", value, "")]

    verdict = judged("C6.1", worker_goes_on)
    assert verdict.outcome is Outcome.FAIL
    assert "after its client was closed" in verdict.reason


def test_without_a_second_signal_nobody_knows_what_it_would_corrupt():
    verdict = judged("C6.1", without("process", signal="SIGINT"))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "second signal" in verdict.reason
    assert judged("C6.1", doubled("process", signal="SIGINT")).outcome is Outcome.PASS


@pytest.mark.parametrize(("lasted_s", "outcome"), [(11.0, Outcome.FAIL), (2.0, Outcome.PASS)])
def test_a_stall_counts_from_the_first_hostile_line_on(lasted_s: float, outcome: Outcome):
    story = Story()
    story.wait(10).say("loop_lag", lag_ms=900.0)
    story.wait(10.5).probe("hostile_line", bytes=1_000_000, lag_ms=3.0, lasted_s=lasted_s)
    assert verdict_of("C4.3", story.history()).outcome is outcome


@pytest.mark.parametrize(("computed_ms", "outcome"), [(251.0, Outcome.FAIL), (249.0, Outcome.UNKNOWN)])
def test_a_loop_made_late_by_a_busy_machine_settles_nothing(computed_ms: float, outcome: Outcome):
    story = Story()
    story.wait(10).probe("hostile_line", bytes=1_000_000, lag_ms=900.0, computed_ms=computed_ms)
    verdict = verdict_of("C4.3", story.history())
    assert verdict.outcome is outcome
    assert "900 ms" in verdict.reason


def test_a_lag_that_only_the_service_saw_is_the_machine_s_where_the_process_did_not_compute():
    story = Story()
    story.wait(10).say("loop_lag", lag_ms=900.0)
    story.wait(0.5).probe("hostile_line", bytes=1_000_000, lag_ms=3.0, computed_ms=2.0)
    assert verdict_of("C4.3", story.history()).outcome is Outcome.UNKNOWN


def test_without_a_client_that_fails_to_close_nobody_knows_what_becomes_of_the_others():
    sound = edited("client", where={"event": "close_failed"}, event="closed")
    verdict = judged("C1.6", sound)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "failed to close" in verdict.reason


@pytest.mark.parametrize(("back_after_s", "outcome"), [(2.0, Outcome.PASS), (20.0, Outcome.FAIL)])
def test_redis_that_is_back_is_used_again_while_it_is_needed(back_after_s: float, outcome: Outcome):
    story = Story()
    story.inject("f0", "redis_killed", "redis")
    story.say("redis", event="lost", error="ConnectionError")
    ident = story.wait(0.5).ask()
    story.wait(0.1).say("cache", ident, key="k", event="hit", layer="memory", age_s=3.0)
    story.answer(ident, 200, 0.1, source="cache", degraded=True)
    story.wait(1).heal("f0", "redis_killed", "redis")
    for second in range(1, 21):
        if second == back_after_s:
            story.say("redis", event="back")
        story.wait(1).say("cache", key=f"k{second}", event="load", load_id=f"l{second}")
        story.say("cache", key=f"k{second}", event="loaded", load_id=f"l{second}")
    verdict = verdict_of("C5.5", story.history())
    assert verdict.outcome is outcome, verdict.reason


@pytest.mark.parametrize(
    ("kind", "outcome"), [("descriptors_exhausted", Outcome.UNKNOWN), ("cpu_pressure", Outcome.FAIL)]
)
def test_who_waited_for_a_descriptor_was_never_in_flight(kind: str, outcome: Outcome):
    story = Story()
    story.process("started")
    story.say("startup", phase="listening", host="127.0.0.1", port=1)
    story.say("startup", phase="ready")
    story.inject("f0", kind, "service")
    ident = story.wait(1).ask()
    story.wait(0.1).process("signalled", signal="SIGTERM")
    story.wait(0.01).say("drain", phase="begin", signal="SIGTERM")
    story.wait(1.1).say("drain", phase="listener_closed")
    story.lose(ident)
    for phase in ("waited", "clients_closed", "done"):
        story.wait(0.05).say("drain", phase=phase)
    story.wait(0.1).process("exited", exit_code=0)
    verdict = verdict_of("C6.1", story.history())
    assert verdict.outcome is outcome, verdict.reason


def test_what_is_judged_in_memory_is_what_a_file_will_say():
    story = Story()
    story.wait(0.1234567891).say("loop_lag", lag_ms=1.0)
    assert [event.t for event in story.history().events] == [event.to_json()["t"] for event in story.history().events]


@pytest.mark.parametrize(
    ("asked_after", "version", "outcome"),
    [(True, 7, Outcome.FAIL), (True, 9, Outcome.UNKNOWN), (False, 7, Outcome.UNKNOWN)],
    ids=["from before", "written since", "who asked before"],
)
def test_what_was_invalidated_is_not_served_to_who_asks_afterwards(asked_after: bool, version: int, outcome: Outcome):
    story = Story()
    early = story.ask()
    admin = story.wait(1).ask("admin")
    story.say("cache", admin, key="k", event="invalidate", version=8)
    story.wait(0.1).answer(admin, 200)
    asker = story.wait(0.1).ask() if asked_after else early
    story.wait(0.1).say("cache", asker, key="k", event="hit", version=version, age_s=5.0, layer="redis")
    verdict = verdict_of("C5.3", story.history())
    assert verdict.outcome is outcome, verdict.reason


@pytest.mark.parametrize(("source", "outcome"), [("cache", Outcome.FAIL), ("stale", Outcome.UNKNOWN)])
def test_a_stale_copy_is_marked(source: str, outcome: Outcome):
    story = Story()
    ident = story.ask()
    story.wait(0.1).say("cache", ident, key="candles:AAPL:1m", event="stale", version=1, age_s=70.0)
    story.answer(ident, 200, 0.1, source=source)
    verdict = verdict_of("C5.5", story.history())
    assert verdict.outcome is outcome, verdict.reason
