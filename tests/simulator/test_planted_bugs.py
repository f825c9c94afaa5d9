# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""The tester is tested: planted bugs are found, shrunk and replayed; their correct twins raise no alarm."""

import functools

import planted_cache
import planted_life
import planted_limits
import pytest

from hardening.simulator import draw, explore, io, replay
from hardening.simulator.core.plan import Bounds
from hardening.simulator.search.sandbox import sandbox

PLANTED = {**planted_cache.PLANTED, **planted_limits.PLANTED, **planted_life.PLANTED}
NAMES = sorted(PLANTED)


class Tools:
    """What the programs wait and draw with."""

    io = staticmethod(io)
    draw = staticmethod(draw)


@pytest.fixture(scope="module", autouse=True)
def _frozen_once():
    """One freeze for all explorations of this file."""
    with sandbox(Bounds()):
        yield


def program(name, *, broken):
    return functools.partial(PLANTED[name][0], Tools, broken=broken)


def test_there_are_enough_planted_bugs():
    assert len(PLANTED) >= 24


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_bug_is_found_and_shrunk_and_replayed(name, scale):
    for seed in range(scale(2, 20)):
        found = explore(program(name, broken=True), runs=500, seed=seed, cancel=PLANTED[name][1]).counterexample
        assert found is not None, f"not found within 500 schedules, seed {seed}"
        assert len(found.plan) <= 4
        assert found.repeats
    for _ in range(scale(5, 100)):
        again = replay(program(name, broken=True), found.plan)
        assert again.failed
        assert again.same_trace
        assert type(again.exception) is type(found.exception)


@pytest.mark.parametrize("name", NAMES)
def test_a_correct_twin_raises_no_alarm(name, scale):
    report = explore(program(name, broken=False), runs=scale(300, 10_000), seed=11, cancel=PLANTED[name][1])
    assert report.counterexample is None, report.counterexample.story()
