from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signal_service.admission.limits import RateWindow
from signal_service.problems import retry_after

steps = st.lists(st.floats(0, 90, allow_nan=False), min_size=1, max_size=200)


def _admitted(window: RateWindow, times: list[float]) -> list[float]:
    accepted = []
    for now in times:
        if window.wait_s(now) == 0.0:
            window.record(now)
            accepted.append(now)
    return accepted


@given(gaps=steps, capacity=st.integers(1, 8))
def test_no_sliding_window_ever_holds_more_than_the_capacity(gaps: list[float], capacity: int):
    times, now = [], 0.0
    for gap in gaps:
        now += gap
        times.append(now)
    accepted = _admitted(RateWindow(capacity, 60.0), times)
    for end in accepted:
        assert sum(1 for one in accepted if one <= end and one + 60.0 > end) <= capacity


@given(gaps=steps, capacity=st.integers(1, 8))
def test_nobody_is_refused_while_a_slot_is_free(gaps: list[float], capacity: int):
    window, accepted, now = RateWindow(capacity, 60.0), [], 0.0
    for gap in gaps:
        now += gap
        used = sum(1 for one in accepted if one + 60.0 > now)
        wait_s = window.wait_s(now)
        assert (wait_s == 0.0) == (used < capacity)
        if wait_s == 0.0:
            window.record(now)
            accepted.append(now)


@given(gaps=st.lists(st.floats(0.001, 30), min_size=5, max_size=60), capacity=st.integers(1, 5))
def test_a_client_that_waits_as_told_gets_in(gaps: list[float], capacity: int):
    window, now = RateWindow(capacity, 60.0), 12345.678
    for gap in gaps:
        now += gap
        wait_s = window.wait_s(now)
        if wait_s > 0:
            assert wait_s <= 60.0
            now += retry_after(wait_s)[1]
            assert window.wait_s(now) == 0.0
        window.record(now)


def test_the_wait_is_the_moment_when_the_oldest_slot_comes_free():
    window = RateWindow(2, 60.0)
    assert [window.record(10.0), window.record(15.0)] == [1, 2]
    assert window.wait_s(30.0) == 40.0
    assert window.wait_s(69.0) == 1.0
    assert window.wait_s(70.0) == 0.0


def test_a_smaller_capacity_counts_what_was_admitted_before():
    window = RateWindow(4, 60.0)
    for now in (0.0, 1.0, 2.0, 3.0):
        window.record(now)
    window.resize(2, 60.0)
    assert window.wait_s(10.0) == 52.0  # three of the four have to leave: at 0, 1 and 2 plus 60
    assert window.wait_s(62.0) == 0.0
