"""Toxics by themselves, in a time that the test makes: no socket, no clock, no wait."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults.toxics import (
    DIRECTIONS,
    TYPES,
    AttributeRefusedError,
    Direction,
    End,
    Link,
    Payload,
    Tally,
    ToxicSpec,
    plan_connect,
    seeded_draws,
)

BYTES = bytes(range(256)) * 40


def spec(kind: str, stream: str = "downstream", toxicity: float = 1.0, name: str = "", **attributes: Any) -> ToxicSpec:
    cls = TYPES[kind]
    return ToxicSpec(name or kind, cls, stream, toxicity, cls.read_attributes(attributes))


class Driver:
    """Drives a link in virtual time and keeps what came out, with its time."""

    def __init__(self, *specs: ToxicSpec, seed: int = 1, number: int = 1) -> None:
        self.now = 0.0
        self.out: list[tuple[float, Direction, Payload]] = []
        self.link = Link("p", number, seeded_draws(seed), specs, self.now)

    def feed(self, data: Payload, direction: Direction = "downstream") -> None:
        self._keep(self.link.feed(direction, data, self.now))

    def at(self, now: float) -> None:
        """Move to ``now``, waking the link whenever it asks."""
        while (due := self.link.next_at()) <= now:
            self.now = max(self.now, due)
            self._keep(self.link.advance(self.now))
        self.now = now

    def add(self, new: ToxicSpec) -> None:
        self.link.add(new, self.now)
        self._keep(self.link.advance(self.now))

    def update(self, changed: ToxicSpec, toxicity: float = 1.0, **attributes: Any) -> None:
        changed.attributes = changed.kind.read_attributes(attributes, changed.attributes)
        changed.toxicity = toxicity
        self.link.update(changed.name, self.now)
        self._keep(self.link.advance(self.now))

    def remove(self, name: str) -> None:
        self.link.remove(name, self.now)
        self._keep(self.link.advance(self.now))

    def _keep(self, due: list[tuple[Direction, Payload]]) -> None:
        self.out += [(self.now, direction, payload) for direction, payload in due]

    def data(self, direction: Direction = "downstream") -> bytes:
        return b"".join(p for _, way, p in self.out if way == direction and isinstance(p, bytes))

    def events(self, direction: Direction = "downstream") -> list[tuple[float, Payload]]:
        return [(round(at, 6), payload) for at, way, payload in self.out if way == direction]


# --- one toxic at a time ---------------------------------------------------------------------------------------------


def test_latency_counts_from_the_arrival_of_each_chunk() -> None:
    driver = Driver(spec("latency", latency=100))
    driver.feed(b"a")
    driver.at(0.03)
    driver.feed(b"b")
    driver.at(1)
    assert driver.events() == [(0.1, b"a"), (0.13, b"b")]


def test_two_latencies_add_up_exactly_even_when_the_driver_wakes_late() -> None:
    driver = Driver(spec("latency", latency=100, name="one"), spec("latency", latency=50, name="two"))
    driver.feed(b"a")
    driver.now = 0.12  # late for the first, in time for the second
    assert driver.link.advance(0.12) == []
    assert driver.link.next_at() == pytest.approx(0.15)


def test_jitter_never_reorders() -> None:
    driver = Driver(spec("latency", latency=50, jitter=50))
    for number in range(100):
        driver.feed(bytes([number]))
        driver.at(driver.now + 0.001)
    driver.at(5)
    assert driver.data() == bytes(range(100))
    assert all(at - 0.001 * number <= 0.1 + 1e-9 for number, (at, _) in enumerate(driver.events()))


def test_what_waits_behind_a_slow_chunk_counts_as_late_for_the_next_toxic() -> None:
    def released(*more: ToxicSpec) -> list[float]:
        driver = Driver(spec("latency", latency=50, jitter=50), *more)
        for number in range(40):
            driver.feed(bytes([number]))
            driver.at(driver.now + 0.001)
        driver.at(5)
        return [at for at, _ in driver.events()]

    first, both = released(), released(spec("latency", latency=100, name="next"))
    assert first == sorted(first)
    assert both == pytest.approx([at + 0.1 for at in first])


def test_bandwidth_carries_a_slice_when_the_line_had_the_time() -> None:
    driver = Driver(spec("bandwidth", rate=10))
    driver.feed(bytes(2500))
    driver.at(1)
    assert [(at, len(data)) for at, data in driver.events() if isinstance(data, bytes)] == [
        (0.1, 1000),
        (0.2, 1000),
        (0.25, 500),
    ]


def test_a_bandwidth_of_zero_holds_bytes_and_the_end_until_the_rate_changes() -> None:
    thin = spec("bandwidth", rate=0)
    driver = Driver(thin)
    driver.feed(b"held")
    driver.feed(End.CLOSE)
    driver.at(1000)
    assert driver.out == []
    assert driver.link.next_at() == math.inf
    driver.update(thin, rate=4)
    driver.at(1001)
    assert driver.events() == [(1000.001, b"held"), (1000.001, End.CLOSE)]


def test_a_new_rate_acts_on_what_is_already_held() -> None:
    thin = spec("bandwidth", rate=1)
    driver = Driver(thin)
    driver.feed(bytes(10_000))
    driver.at(1)
    assert len(driver.data()) == 1000
    driver.update(thin, rate=1_000)
    driver.at(1.01)
    assert len(driver.data()) == 10_000


def test_slow_close_delays_only_the_end() -> None:
    driver = Driver(spec("slow_close", delay=70))
    driver.feed(b"a")
    driver.feed(End.CLOSE)
    driver.at(1)
    assert driver.events() == [(0, b"a"), (0.07, End.CLOSE)]


def test_a_timeout_is_counted_from_the_last_bytes() -> None:
    driver = Driver(spec("timeout", timeout=100))
    driver.at(0.05)
    driver.feed(b"lost")
    driver.at(0.14)
    assert driver.out == []
    driver.at(1)
    assert driver.events() == [(0.15, End.CLOSE)]


def test_a_timeout_that_is_removed_closes_and_one_that_is_spared_by_an_update_does_not() -> None:
    removed, spared = spec("timeout"), spec("timeout")
    first, second = Driver(removed), Driver(spared)
    first.feed(b"lost")
    first.remove("timeout")
    assert first.events() == [(0, End.CLOSE)]
    second.feed(b"lost")
    second.update(spared, toxicity=0)
    second.feed(b"kept")
    assert second.events() == [(0, b"kept")]


def test_reset_peer_waits_for_the_first_bytes() -> None:
    driver = Driver(spec("reset_peer", timeout=20))
    driver.at(5)
    assert driver.out == []
    driver.feed(b"lost")
    driver.at(5.01)
    driver.feed(b"lost too")
    driver.at(6)
    assert driver.events() == [(5.02, End.RESET)]


def test_a_reset_peer_that_goes_before_its_time_hands_on_the_end_it_kept() -> None:
    driver = Driver(spec("reset_peer", timeout=20))
    driver.feed(End.CLOSE)
    driver.remove("reset_peer")
    assert driver.events() == [(0, End.CLOSE)]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=12), st.integers(0, 200))
def test_limit_data_passes_exactly_so_many_bytes_however_they_come(chunks: list[bytes], limit: int) -> None:
    driver = Driver(spec("limit_data", bytes=limit))
    for chunk in chunks:
        driver.feed(chunk)
    whole = b"".join(chunks)
    assert driver.data() == whole[:limit]
    assert (End.CLOSE in [payload for _, _, payload in driver.out]) == (bool(whole) and len(whole) >= limit)


def test_half_close_ends_one_direction_after_its_bytes() -> None:
    driver = Driver(spec("half_close", bytes=3))
    driver.feed(b"abcdef")
    driver.feed(b"up", "upstream")
    assert driver.events() == [(0, b"abc"), (0, End.HALF_CLOSE)]
    assert driver.data("upstream") == b"up"


def test_half_close_without_a_limit_turns_the_end_into_a_half_one() -> None:
    driver = Driver(spec("half_close"))
    driver.feed(BYTES)
    driver.feed(End.CLOSE)
    assert driver.data() == BYTES
    assert driver.events()[-1] == (0, End.HALF_CLOSE)


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 5000))
def test_the_slicer_changes_no_byte_and_keeps_its_sizes(average: int, variation: int, delay: int) -> None:
    variation = min(variation, average)
    driver = Driver(spec("slicer", average_size=average, size_variation=variation, delay=delay))
    driver.feed(BYTES[:2000])
    driver.feed(End.CLOSE)
    driver.at(1e6)
    assert driver.data() == BYTES[:2000]
    sizes = [len(payload) for _, payload in driver.events() if isinstance(payload, bytes)]
    assert max(sizes) <= max(average + variation, 1)
    assert driver.events()[-1] == (round(len(sizes) * delay / 1e6, 6), End.CLOSE)


def test_loss_stalls_what_is_behind_a_lost_segment_and_loses_nothing() -> None:
    lossy = spec("loss", probability=0.2, delay=100)
    driver = Driver(lossy)
    driver.feed(BYTES)
    driver.at(100)
    assert driver.data() == BYTES
    assert lossy.tally["lost_segments"] >= 1
    assert all(at == 0 or at >= 0.1 for at, _ in driver.events())


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=8))
def test_losses_and_flipped_bits_follow_offsets_not_chunks(cuts: list[int]) -> None:
    results = []
    for sizes in (cuts, [sum(cuts)]):
        lossy, corrupt = spec("loss", probability=0.3), spec("corrupt", probability=0.01)
        driver = Driver(lossy, corrupt)
        start = 0
        for size in sizes:
            driver.feed((BYTES * 5)[start : start + size])
            start += size
        driver.at(1e4)
        results.append((driver.data(), lossy.tally.get("lost_segments"), corrupt.tally.get("corrupted_bytes")))
    assert results[0] == results[1]


@given(st.floats(0, 1), st.binary(max_size=500))
def test_corrupt_counts_the_bytes_it_changed(probability: float, data: bytes) -> None:
    corrupt = spec("corrupt", probability=probability)
    driver = Driver(corrupt)
    driver.feed(data)
    changed = sum(a != b for a, b in zip(data, driver.data(), strict=True))
    assert changed == corrupt.tally.get("corrupted_bytes", 0)
    assert probability < 1 or changed == len(data)


# --- the connect phase -----------------------------------------------------------------------------------------------


def plans(count: int, *specs: ToxicSpec) -> list[tuple[float, bool]]:
    result = []
    for number in range(1, count + 1):
        plan = Link("p", number, seeded_draws(1), (), 0).connect_plan(specs)
        result.append((round(plan.delay_s, 6), plan.refused))
    return result


def test_connect_delays_add_up_and_refuse_nothing() -> None:
    assert plans(2, spec("connect_delay", delay=100), spec("connect_delay", delay=50, name="b")) == [(0.15, False)] * 2


def test_connect_refuse_turns_away_the_share_that_toxicity_says() -> None:
    refused = [refused for _, refused in plans(400, spec("connect_refuse", toxicity=0.5))]
    assert 140 < sum(refused) < 260


def test_fail_first_fails_so_many_connections_and_no_more() -> None:
    assert [refused for _, refused in plans(5, spec("fail_first", connections=3))] == [True, True, True, False, False]


def test_fail_first_fails_so_many_requests_over_all_connections() -> None:
    first = spec("fail_first", requests=2)
    one, two = Driver(first), Driver(first, number=2)
    one.feed(b"ask", "upstream")
    two.feed(b"a", "upstream")
    assert one.events("upstream") == two.events("upstream") == [(0, End.RESET)]
    three = Driver(first, number=3)
    three.feed(b"ask", "upstream")
    three.feed(b"answer")
    three.feed(b"again", "upstream")
    assert three.data("upstream") == b"askagain"


def test_a_plan_without_connect_toxics_dials_at_once() -> None:
    plan = plan_connect([TYPES["latency"]({"latency": 1, "jitter": 0}, Random(1), Tally(), Tally())])
    assert (plan.delay_s, plan.refused) == (0.0, False)


# --- draws -----------------------------------------------------------------------------------------------------------


def run_with(seed: int, number: int = 1, other: bool = False) -> list[tuple[float, Payload]]:
    specs = [spec("latency", latency=500, jitter=400), spec("slicer", average_size=100, size_variation=60)]
    if other:
        specs.insert(0, spec("corrupt", "upstream", probability=0.5))
    driver = Driver(*specs, seed=seed, number=number)
    for _ in range(5):
        driver.feed(b"upstream noise", "upstream")
        driver.feed(BYTES[:1000])
    driver.at(100)
    return driver.events()


def test_the_same_seed_repeats_every_draw() -> None:
    assert run_with(7) == run_with(7)
    assert run_with(7) != run_with(8)


def test_connections_draw_differently() -> None:
    assert run_with(7, number=1) != run_with(7, number=2)


def test_another_toxic_does_not_disturb_the_draws_of_this_one() -> None:
    assert run_with(7) == run_with(7, other=True)


def test_toxicity_is_drawn_for_each_connection_and_direction() -> None:
    def hit(number: int, stream: str) -> bool:
        driver = Driver(spec("timeout", stream, toxicity=0.5), number=number)
        driver.feed(b"x", "upstream" if stream == "upstream" else "downstream")
        return not driver.out

    by_stream = [[hit(number, stream) for number in range(1, 201)] for stream in DIRECTIONS]
    assert all(70 < sum(hits) < 130 for hits in by_stream)
    assert by_stream[0] != by_stream[1]


def test_a_toxicity_of_zero_spares_and_a_later_one_hits() -> None:
    slow = spec("latency", toxicity=0, latency=100)
    driver = Driver(slow)
    driver.feed(b"a")
    driver.update(slow, toxicity=1)
    driver.feed(b"b")
    driver.at(1)
    assert driver.events() == [(0, b"a"), (0.1, b"b")]


# --- no byte is lost that was not meant to be ------------------------------------------------------------------------

GENTLE = st.sampled_from(
    [
        ("latency", {"latency": 50, "jitter": 50}),
        ("latency", {"latency": 5}),
        ("bandwidth", {"rate": 1}),
        ("bandwidth", {"rate": 0}),
        ("slicer", {"average_size": 3, "size_variation": 2, "delay": 500}),
        ("slow_close", {"delay": 30}),
        ("loss", {"probability": 0.5, "delay": 20}),
        ("half_close", {}),
        ("http_error", {"path": "^/nowhere$"}),
        ("redis_error", {"commands": ["NEVER"]}),
        ("fail_first", {"connections": 1}),
        ("noop", {}),
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.binary(min_size=1, max_size=40), st.sampled_from(DIRECTIONS)),
        st.tuples(st.just("add"), GENTLE, st.sampled_from(DIRECTIONS)),
        st.tuples(st.just("update"), st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0])),
        st.tuples(st.just("remove"), st.integers(0, 5), st.none()),
        st.tuples(st.just("wait"), st.floats(0, 0.1), st.none()),
    ),
    max_size=25,
)


@given(STEPS, st.booleans())
def test_no_sequence_of_changes_loses_or_reorders_a_byte(steps: list[tuple[str, Any, Any]], is_ended: bool) -> None:
    driver, present, sent = Driver(), dict[str, ToxicSpec](), dict.fromkeys(DIRECTIONS, b"")
    for number, (what, first, second) in enumerate(steps):
        if what == "feed":
            driver.feed(first, second)
            sent[second] += first
        elif what == "add":
            new = spec(first[0], second, name=str(number), **first[1])
            present[new.name] = new
            driver.add(new)
        elif what == "wait":
            driver.at(driver.now + first)
        elif first < len(present):
            chosen = list(present.values())[first]
            if what == "update":
                driver.update(chosen, toxicity=second)
            else:
                del present[chosen.name]
                driver.remove(chosen.name)
    if is_ended:
        for direction in DIRECTIONS:
            driver.feed(End.CLOSE, direction)
    for name in present:
        driver.remove(name)
    driver.at(driver.now + 1e6)
    for direction in DIRECTIONS:
        assert driver.data(direction) == sent[direction]
        ends = [payload for _, payload in driver.events(direction) if isinstance(payload, End)]
        assert len(ends) == is_ended
        assert not ends or isinstance(driver.events(direction)[-1][1], End)
        assert driver.link.held_bytes(direction) == 0
    assert driver.link.is_clear


def test_removed_toxics_hand_on_in_order_through_those_that_stay() -> None:
    driver = Driver(spec("bandwidth", rate=0), spec("latency", latency=100))
    driver.feed(b"held")
    driver.at(1)
    driver.remove("bandwidth")
    driver.feed(b" behind")
    driver.at(2)
    assert driver.data() == b"held behind"
    assert driver.events()[0][0] == 1.1


# --- attributes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "attributes", "field"),
    [
        ("bandwidth", {"rate": -1}, "rate"),
        ("slicer", {}, "average_size"),
        ("slicer", {"average_size": 10, "size_variation": 11}, "size_variation"),
        ("slicer", {"average_size": 10, "size_variation": -1}, "size_variation"),
        ("loss", {"probability": 1.5}, "probability"),
        ("corrupt", {"probability": -0.1}, "probability"),
        ("corrupt", {"probability": "half"}, "probability"),
        ("connect_delay", {"delay": -1}, "delay"),
        ("connect_refuse", {"unlisten": 2}, "unlisten"),
        ("fail_first", {}, "connections"),
        ("http_error", {"status": 99}, "status"),
        ("http_error", {"path": "("}, "path"),
        ("http_error", {"headers": {"X-A": "1\r\nX-B: 2"}}, "headers"),
        ("http_error", {"headers": {"bad name": "1"}}, "headers"),
        ("http_error", {"headers": {"X-A": 1}}, "headers"),
        ("http_error", {"body": 5}, "body"),
        ("redis_error", {"error": "A\r\nB"}, "error"),
        ("redis_error", {"error": ""}, "error"),
        ("redis_error", {"commands": "GET"}, "commands"),
        ("half_close", {"bytes": -1}, "bytes"),
        ("latency", {"latency": 2**63}, "latency"),
        ("latency", {"latency": True}, "latency"),
    ],
)
def test_a_bad_attribute_is_named_with_its_value_and_what_is_allowed(
    kind: str, attributes: dict[str, Any], field: str
) -> None:
    with pytest.raises(AttributeRefusedError) as caught:
        TYPES[kind].read_attributes(attributes)
    assert caught.value.attribute == field
    assert str(caught.value).startswith(f"attribute {field} is ")
    assert "allowed: " in str(caught.value)
    assert "\n" not in str(caught.value)
