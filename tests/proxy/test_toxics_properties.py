"""What holds for all toxics: draws repeat, no byte is lost by accident, bad attributes are named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toxic_driver import BYTES, Driver, spec

from hardening.toxics import DIRECTIONS, TYPES, AttributeRefusedError, End, Payload, ToxicSpec

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
