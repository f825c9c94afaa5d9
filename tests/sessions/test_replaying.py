"""Replays: k of N, what they spread over, whether a simulated run was the very same."""

from __future__ import annotations

import dataclasses

import pytest
from acted_world import Acted, session_of

from hardening.claims.verdict import Exit
from hardening.sessions.replay import replay
from hardening.sessions.runners import in_world


def test_all_runs_reproduce_what_always_fails() -> None:
    done = replay(session_of(), Acted(lambda _s: True), 3)
    assert (done.reproduced, len(done.attempts)) == (3, 3)
    assert done.exit_code is Exit.FAILED
    assert "night: 3 of 3 reproduced (C2.1)" in done.lines()


def test_some_runs_reproduce_what_fails_now_and_then() -> None:
    done = replay(session_of(), Acted(lambda _s: True, flaky=0.5), 40)
    assert 0 < done.reproduced < 40
    assert done.exit_code is Exit.FAILED


def test_nothing_reproduces_what_is_fixed() -> None:
    done = replay(session_of(), Acted(lambda _s: False), 3)
    assert done.reproduced == 0
    assert done.exit_code is Exit.OK


def test_another_claim_that_fails_is_not_the_same_failure_and_is_said() -> None:
    done = replay(session_of(), Acted(lambda _s: True, claim="C5.1"), 2)
    assert done.reproduced == 0
    assert done.exit_code is Exit.FAILED
    assert "failed as well: C5.1" in done.lines()


def test_the_spread_says_when_it_failed_and_how_fast_it_was() -> None:
    spread = replay(session_of(), Acted(lambda _s: True), 3).spread()
    assert spread["failed_at_s"] == (3.0, 5.0)
    assert spread["latency_s_p99"][0] < spread["latency_s_p99"][1]


@pytest.mark.parametrize(("digest", "exact"), [("sha256:a", True), ("sha256:b", False)])
def test_a_simulated_run_is_the_same_when_its_trace_is(digest: str, exact: bool) -> None:
    session = dataclasses.replace(session_of(world="simulated"), trace_digest="sha256:a")
    done = replay(session, Acted(lambda _s: True, digest=digest), 2)
    assert done.exact is exact
    assert any(("the same, step by step" if exact else "the trace differs") in line for line in done.lines())


def test_a_live_run_has_no_trace_to_compare() -> None:
    assert replay(session_of(), Acted(lambda _s: True), 1).exact is None


def test_trouble_in_every_run_is_no_success() -> None:
    assert replay(session_of(), Acted(lambda _s: False, problem="no port"), 2).exit_code is Exit.HARNESS


def test_a_session_carried_into_another_world_leaves_its_plan_behind() -> None:
    session = dataclasses.replace(session_of(world="simulated"), trace_digest="sha256:a")
    carried = in_world(session, "live")
    assert (carried.world, carried.plan, carried.trace_digest) == ("live", None, "")
    assert carried.scenario == session.scenario
    assert in_world(session, "simulated") is session
