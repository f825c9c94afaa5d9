"""Shapes and operations come from the seed alone, and offer what they say they offer."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice, pairwise

import pytest

from hardening.commands.load import PEAKS, USUAL
from hardening.commands.load import SHAPES as COMMAND_SHAPES
from hardening.load.mix import PERSONAS, PRODUCT, Drawer, stream
from hardening.load.plan import LOADS, Plan, PlanError
from hardening.load.shapes import SHAPES, profile


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_fills_its_whole_duration_without_a_gap(shape: str) -> None:
    segments = profile(shape, 5.0, 60.0).segments
    assert segments[0].begin_s == 0
    assert segments[-1].end_s == pytest.approx(60.0)
    assert all(before.end_s == after.begin_s for before, after in pairwise(segments))


@pytest.mark.parametrize("shape", SHAPES)
def test_arrivals_repeat_with_the_seed_and_only_with_it(shape: str) -> None:
    def drawn(seed: int) -> list[float]:
        return list(profile(shape, 5.0, 30.0).arrivals(random.Random(seed)))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1) == sorted(drawn(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_as_many_requests_arrive_as_the_shape_offers(shape: str) -> None:
    shaped = profile(shape, 50.0, 60.0)
    offered = sum((one.from_per_s + one.to_per_s) / 2 * (one.end_s - one.begin_s) for one in shaped.segments)
    arrived = len(list(shaped.arrivals(random.Random(3))))
    assert abs(arrived - offered) < 5 * offered**0.5


def test_workers_share_the_rate_and_none_repeats_another() -> None:
    whole = profile("steady", 40.0, 60.0)
    shares = [list(whole.arrivals(random.Random(f"w{worker}"), 0.5)) for worker in range(2)]
    assert abs(sum(map(len, shares)) - 2400) < 250
    assert not set(shares[0]) & set(shares[1])


def test_a_burst_is_ten_times_for_ten_seconds_and_a_spike_recovers() -> None:
    burst = profile("burst", 5.0, 60.0).find("burst")
    assert burst is not None
    assert (burst.from_per_s, burst.end_s - burst.begin_s) == (50.0, 10.0)
    spike = profile("spike", 5.0, 60.0)
    assert spike.rate_at(12.0) == 100.0
    assert spike.rate_at(30.0) == 5.0
    assert spike.rate_at(99.0) == 0.0


def test_operations_repeat_with_the_seed_and_follow_their_weights() -> None:
    def drawn(seed: int, worker: int) -> list[tuple[str, str]]:
        arrivals = iter([i / 100 for i in range(3000)])
        return [(persona, str(operation.to_json())) for persona, operation in stream(seed, worker, arrivals)]

    assert drawn(1, 0) == drawn(1, 0)
    assert drawn(1, 0) != drawn(1, 1)
    counts = Counter(persona for persona, _ in drawn(1, 0))
    for persona in PRODUCT:
        assert abs(counts[persona] / 3000 - PERSONAS[persona].weight / 100) < 0.04


def test_an_alert_sent_again_is_the_same_alert_under_the_same_key() -> None:
    drawer = Drawer(random.Random(1), "t")
    operations = [drawer.next("alerter") for _ in range(200)]
    seen: dict[str, object] = {}
    for one in operations:
        assert seen.setdefault(one.headers["Idempotency-Key"], one.body) == one.body
    assert len(seen) < len(operations)


def test_no_two_users_draw_the_same_idempotency_key() -> None:
    keys = [
        {Drawer(random.Random(1), name).next("alerter").headers["Idempotency-Key"] for _ in islice(range(50), 50)}
        for name in ("0.1", "0.2")
    ]
    assert not keys[0] & keys[1]


def test_the_command_line_knows_the_shapes_as_the_generator_has_them() -> None:
    assert tuple(SHAPES) == COMMAND_SHAPES
    assert dict(LOADS) == dict(USUAL)
    for shape in SHAPES:
        top = max(max(one.from_per_s, one.to_per_s) for one in profile(shape, 1.0, 60.0).segments)
        assert top == PEAKS.get(shape, 1.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shape", "square"),
        ("rate_per_s", 0),
        ("rate_per_s", float("nan")),
        ("duration_s", -1),
        ("workers", 0),
        ("seed", "x"),
        ("pace_s", True),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(PlanError, match=f"{field} is .*allowed: "):
        Plan.from_json({field: value})


def test_a_plan_comes_back_from_json_as_it_was() -> None:
    plan = Plan.of("burst", 7.0, 12.0, seed=9, workers=2)
    assert Plan.from_json(plan.to_json()) == plan
    with pytest.raises(PlanError, match=r"plan\.speed"):
        Plan.from_json({"speed": 1})


def test_a_worker_that_was_told_something_else_is_found() -> None:
    own = Plan.of("open", 5.0, 60.0, workers=2, tag="1-")
    assert own.differs_from(Plan.of("open", 5.0, 60.0, workers=2, tag="2-", host="http://there").to_json()) == ""
    assert own.differs_from(Plan.of("open", 4.0, 60.0, workers=2).to_json()) == "rate_per_s is 4.0 there, 5.0 here"
    assert own.differs_from(Plan.of("steady", 5.0, 60.0, workers=2).to_json()) == "shape is 'steady' there, 'open' here"
