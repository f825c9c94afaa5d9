"""Every budget has a made-up run that keeps it and one that breaks it; what was not exercised is UNKNOWN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from load_records import Record

from hardening.claims.verdict import Exit, Outcome, Verdict
from hardening.history.events import Event
from hardening.load import budgets
from hardening.load.judge import judge_budgets, judge_history
from hardening.load.plan import Plan
from hardening.load.view import Run

BUDGETS = budgets.load()
Story = Callable[[Record], None]
BURST = Plan.of("burst", 5.0, 60.0, embedded=True)
SOAK = Plan.of("soak", 5.0, 60.0, embedded=True)


def full_window(record: Record, count: int = 300, *, told_off_s: float = 0.0) -> None:
    for i in range(count):
        record.ask(i * 0.01)
    at_s = 10.0
    record.refuse(at_s, 60.0 - at_s + told_off_s)


def overload(record: Record, accepted: int) -> None:
    full_window(record, accepted)


def counters(record: Record, statuses: dict[str, float]) -> None:
    record.see(0.0, {f"signal_requests_total{{route=signal,status={s}}}": 0.0 for s in statuses})
    for i in range(10):
        record.ask(1 + i * 0.1)
    record.see(5.0, {f"signal_requests_total{{route=signal,status={s}}}": n for s, n in statuses.items()})


def growth(record: Record, mb_per_s: float) -> None:
    for i in range(1200):
        record.ask(i * 0.05)
    for second in range(60):
        record.sample(float(second), 80 + second * mb_per_s + (second % 3) * 0.01)


def many(record: Record, slow_s: float, every: int, **more: object) -> None:
    for i in range(1200):
        record.ask(i * 0.05, took_s=slow_s if i % every == 0 else 0.01, **more)  # type: ignore[arg-type]


def spike_then(record: Record, slow_until_s: float) -> None:
    for i in range(540):
        at_s = i * 0.1
        record.ask(at_s, took_s=0.9 if 20 <= at_s < slow_until_s else 0.02)


def alerts(record: Record, *ids: str, undelivered: float = 0, dead: float = 0) -> None:
    record.scrape(0.0, outbox_undelivered=0, outbox_dead=0)
    for number, name in enumerate(ids):
        record.ask(1.0 + number, 202, operation="alert", key="k", delivery_id=name)
    record.scrape(9.0, outbox_undelivered=undelivered, outbox_dead=dead)


def shed(record: Record, level: str, priority: str) -> None:
    record.state(1.0, "shed", level=level, priority=priority, status=503, retry_after_s=5.0)


def turned_away(record: Record, critical_status: int, **more: object) -> None:
    for i in range(5):
        record.refuse(1.0 + i, 10.0)
    record.ask(3.0, critical_status, operation="health", priority="critical", **more)  # type: ignore[arg-type]


def at_rest(record: Record, left: float) -> None:
    record.ask(1.0)
    record.see(5.0, {"signal_in_flight{name=main}": left})


def busy(record: Record, share: float) -> None:
    for i in range(120):
        record.sample(i * 0.5, 80, share if 40 <= i < 60 else 0.1)


def lone(record: Record, second: int) -> None:
    record.refuse(50.0, 10.0, persona="lone")
    record.ask(60.1, second, persona="lone", **({"problem": "rate"} if second == 429 else {}))


CASES: list[tuple[str, Plan, Story, Story]] = [
    ("rate.accepted", BURST, lambda r: full_window(r, 300), lambda r: full_window(r, 301)),
    ("rate.overload", BURST, lambda r: overload(r, 300), lambda r: overload(r, 280)),
    ("retry_after.429", BURST, full_window, lambda r: full_window(r, told_off_s=-49)),
    ("retry_after.429", BURST, lambda r: full_window(r, told_off_s=0.3), lambda r: full_window(r, told_off_s=5)),
    ("retry_after.429", BURST, full_window, lambda r: r.refuse(1.0, None)),
    ("retry_after.503", BURST, lambda r: r.ask(1, 503, problem="shed", retry_after_s=5.0), lambda r: r.ask(1, 503)),
    (
        "retry_after.503",
        BURST,
        lambda r: r.ask(1, 503, problem="busy", retry_after_s=1.0),
        lambda r: r.ask(1, 503, retry_after_s=90.0),
    ),
    ("lone_client.admitted", BURST, lambda r: lone(r, 200), lambda r: lone(r, 429)),
    (
        "in_flight.max",
        BURST,
        lambda r: r.state(1, "permit_taken", pool="main", in_flight=50),
        lambda r: r.state(1, "permit_taken", pool="main", in_flight=51),
    ),
    ("in_flight.at_rest", BURST, lambda r: at_rest(r, 0), lambda r: at_rest(r, 1)),
    ("memory.rss", BURST, lambda r: r.sample(1, 511), lambda r: r.sample(1, 513)),
    ("memory.growth", SOAK, lambda r: growth(r, 0.001), lambda r: growth(r, 0.5)),
    ("memory.per_request", SOAK, lambda r: growth(r, 0.001), lambda r: growth(r, 20 / 1024)),
    ("cpu.share", BURST, lambda r: busy(r, 0.7), lambda r: busy(r, 1.0)),
    ("request.longest", BURST, lambda r: r.ask(1, took_s=5.05), lambda r: r.ask(1, took_s=5.2)),
    ("latency.signal.p50", BURST, lambda r: many(r, 9.0, 3), lambda r: many(r, 0.2, 1)),
    ("latency.signal.p95", BURST, lambda r: many(r, 9.0, 21), lambda r: many(r, 0.6, 19)),
    ("latency.signal.p99", BURST, lambda r: many(r, 9.0, 120), lambda r: many(r, 1.1, 90)),
    ("latency.signal.p99_9", BURST, lambda r: many(r, 2.4, 1), lambda r: many(r, 2.6, 600)),
    (
        "latency.critical.p95",
        BURST,
        lambda r: many(r, 0.4, 1, operation="health"),
        lambda r: many(r, 0.6, 10, operation="health"),
    ),
    ("errors.share", BURST, lambda r: r.ask(1, 503, problem="shed"), lambda r: r.ask(1, 500)),
    (
        "errors.share",
        BURST,
        lambda r: r.ask(1, error="disconnected", operation="rude"),
        lambda r: r.ask(1, error="ConnectionResetError"),
    ),
    ("errors.share", BURST, lambda r: r.ask(1, 401, operation="rude"), lambda r: r.ask(1, 200, operation="rude")),
    ("critical.refused", BURST, lambda r: turned_away(r, 200), lambda r: turned_away(r, 429)),
    (
        "critical.refused",
        BURST,
        lambda r: turned_away(r, 503, problem="connections"),
        lambda r: turned_away(r, 503, problem="shed"),
    ),
    ("shed.order", BURST, lambda r: shed(r, "light", "low"), lambda r: shed(r, "light", "high")),
    ("alerts.lost", BURST, lambda r: alerts(r, "a", "a"), lambda r: alerts(r, "a", dead=1)),
    ("alerts.twice", BURST, lambda r: alerts(r, "a", "a"), lambda r: alerts(r, "a", "b")),
    ("recovery.spike", BURST, lambda r: spike_then(r, 24), lambda r: spike_then(r, 40)),
    ("agreement.counters", BURST, lambda r: counters(r, {"200": 10}), lambda r: counters(r, {"200": 9})),
    ("agreement.counters", BURST, lambda r: counters(r, {"200": 10}), lambda r: counters(r, {"200": 12})),
]


def line(name: str, plan: Plan, story: Story) -> tuple[Outcome, str]:
    record = Record(plan)
    story(record)
    found = {one.claim: one for one in judge_budgets(record.run(), BUDGETS)}[name]
    return found.outcome, found.reason


@pytest.mark.parametrize(("name", "plan", "legal", "illegal"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_a_budget_passes_what_keeps_it_and_fails_what_breaks_it(
    name: str, plan: Plan, legal: Story, illegal: Story
) -> None:
    assert line(name, plan, legal) == (Outcome.PASS, "")
    outcome, reason = line(name, plan, illegal)
    assert outcome is Outcome.FAIL
    assert reason


def test_every_kind_of_budget_has_a_case_that_turns_it_red() -> None:
    shown = {case[0] for case in CASES}
    assert {name for name in budgets.BUDGETS if not name.startswith("latency.")} <= shown


def test_a_run_in_which_nothing_happened_leaves_every_budget_unknown() -> None:
    lines = judge_budgets(Record().run(), BUDGETS)
    assert [one.claim for one in lines] == list(budgets.BUDGETS)
    assert {one.outcome for one in lines} == {Outcome.UNKNOWN}
    assert all(one.reason for one in lines)


def test_a_late_answer_counts_from_when_the_request_was_meant_to_start() -> None:
    record = Record(BURST)
    for i in range(200):
        record.ask(i * 0.1, late_s=3.0, took_s=0.01)
    found = {one.claim: one for one in judge_budgets(record.run(), BUDGETS)}["latency.signal.p50"]
    assert found.outcome is Outcome.FAIL
    assert found.figures["figure"] == pytest.approx(3010.0)


def test_in_open_arrivals_the_generators_own_lateness_is_not_blamed_on_the_service() -> None:
    record = Record(Plan.of("open", 5.0, 60.0, embedded=True))
    for i in range(200):
        record.ask(i * 0.1, late_s=3.0, took_s=0.01)
    found = {one.claim: one for one in judge_budgets(record.run(), BUDGETS)}["latency.signal.p50"]
    assert found.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("worker", "late_s", "expected"),
    [
        (0, 0.8, Outcome.UNKNOWN),  # without that it took 200 ms
        (0, 0.3, Outcome.FAIL),  # even so it took 700 ms
        (1, 0.8, Outcome.FAIL),  # that was another generator
    ],
)
def test_what_the_generator_had_no_time_for_is_not_blamed_on_the_service(
    worker: int, late_s: float, expected: Outcome
) -> None:
    record = Record(Plan.of("steady", 5.0, 60.0, embedded=True))
    for i in range(40):
        record.ask(float(i), took_s=1.0)
    record.lag(worker, *((i + 0.1, i + 0.1 + late_s) for i in range(40)))
    found = {one.claim: one for one in judge_budgets(record.run(), BUDGETS)}["latency.signal.p95"]
    assert found.outcome is expected, found
    assert found.figures["figure"] == pytest.approx(1000.0)


@pytest.mark.parametrize(("waited", "expected"), [((0.0, 30.0), Outcome.UNKNOWN), ((30.0, 60.0), Outcome.FAIL)])
def test_who_may_have_waited_for_the_machines_disk_is_not_blamed_on_the_service(
    waited: tuple[float, float], expected: Outcome
) -> None:
    """Slow from 5 s to 20 s."""
    record = Record(Plan.of("steady", 5.0, 60.0, embedded=True))
    for i in range(100):
        record.ask(i * 0.5, took_s=0.9 if 10 <= i < 40 else 0.01)
    record.probe(59.0, "disk_waits", spans=[list(waited)], longest_ms=900)
    found = {one.claim: one for one in judge_budgets(record.run(), BUDGETS)}["latency.signal.p95"]
    assert found.outcome is expected, found
    assert found.figures["figure"] == pytest.approx(900.0)


def test_refusals_do_not_flatter_the_percentiles() -> None:
    record = Record(BURST)
    for i in range(100):
        record.ask(i * 0.1, took_s=0.2)
        record.refuse(i * 0.1 + 0.01, 30.0)
    found = {one.claim: one for one in judge_budgets(record.run(), BUDGETS)}["latency.signal.p50"]
    assert found.outcome is Outcome.FAIL
    assert found.premise_count == 100


def test_on_somebody_elses_service_the_first_window_is_not_judged_for_refusals() -> None:
    record = Record(Plan.of("burst", 5.0, 60.0))
    full_window(record, 100)
    lines = {one.claim: one.outcome for one in judge_budgets(record.run(), BUDGETS)}
    assert lines["rate.overload"] is Outcome.UNKNOWN
    assert lines["retry_after.429"] is Outcome.UNKNOWN


def test_a_fault_excuses_errors_while_it_lasts_and_no_longer() -> None:
    fault = {"kind": "redis_killed", "target": "redis"}
    inject = Record(BURST)
    inject.ask(1.0)
    window = [
        Event(5.0, "harness", "fault", "inject", {**fault, "parameters": {}}, "f0"),
        Event(8.0, "harness", "fault", "heal", {**fault, "bit": True, "bite": {}, "verified": True}, "f0"),
    ]
    inject.events += window
    inject.ask(6.0, 500)
    assert budgets.BUDGETS["errors.share"](inject.run(), BUDGETS).outcome is Outcome.PASS
    inject.ask(40.0, 500)
    assert budgets.BUDGETS["errors.share"](inject.run(), BUDGETS).outcome is Outcome.FAIL


def test_a_judge_that_crashes_is_unknown() -> None:
    def broken(run: Run, limits: object) -> Verdict:
        raise ZeroDivisionError("by design")

    crashing = replace(budgets.BUDGETS["rate.accepted"], judge=broken)
    found = crashing(Record().run(), BUDGETS)
    assert found.outcome is Outcome.UNKNOWN
    assert "by design" in found.reason


def test_exit_codes_follow_the_lines() -> None:
    nothing = judge_history(Record(BURST).history(), BUDGETS)
    assert nothing.exit_code is Exit.UNKNOWN
    assert "rate.overload" in nothing.missing
    bad = Record(BURST)
    bad.ask(1.0, 500)
    assert judge_history(bad.history(), BUDGETS).exit_code is Exit.FAILED


def test_a_run_that_was_ended_early_for_its_errors_fails() -> None:
    record = Record(BURST)
    record.ask(1.0)
    record.state(2.0, "probe", probe="aborted", why="60% of the last ten seconds' requests were errors")
    found = budgets.BUDGETS["errors.share"](record.run(), BUDGETS)
    assert found.outcome is Outcome.FAIL
    assert "ended early" in found.reason
