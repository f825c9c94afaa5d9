"""Toxics by themselves, in a time that the test makes: no socket, no clock, no wait."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toxic_driver import BYTES, Driver, spec

from hardening.toxics import End, Link, ToxicSpec, seeded_draws

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
    late = spec("latency", latency=1)
    plan = Link("proxy", 1, seeded_draws(1), (), 0.0).connect_plan([late])
    assert (plan.delay_s, plan.refused) == (0.0, False)
