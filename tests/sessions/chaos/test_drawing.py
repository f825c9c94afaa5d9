"""Schedules drawn from profiles: the same for a seed, possible in their world, nothing in another's way."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.faults.catalogue import CATALOGUE, build
from hardening.sessions.chaos.draw import TAIL_S, NothingToDrawError, draw, in_the_way
from hardening.sessions.chaos.ingredients import NEVER_DRAWN, PROFILES, VARIANTS
from hardening.sessions.chaos.support import OWN_TOXICS, live_support, staging_support

LIVE = live_support(own_toxics=True)
STAGING = staging_support(frozenset({"redis", "ticker"}), own_toxics=False, redis=True)
NAMES = st.sampled_from(sorted(PROFILES))
SEEDS = st.integers(0, 2**63 - 1)


def test_every_kind_is_drawn_or_says_why_not() -> None:
    assert set(VARIANTS) | set(NEVER_DRAWN) == set(CATALOGUE)
    assert not set(VARIANTS) & set(NEVER_DRAWN)
    assert set(PROFILES["everything"].kinds) == set(VARIANTS)


@pytest.mark.parametrize("kind", sorted(VARIANTS))
def test_every_variant_is_a_fault_that_the_live_world_can_do(kind: str) -> None:
    for variant in VARIANTS[kind]:
        assert LIVE.refusal(build({"kind": kind, **variant})) == ""


@given(NAMES, SEEDS, st.floats(10, 600))
def test_a_schedule_follows_from_its_seed_and_ends_in_time(name: str, seed: int, duration_s: float) -> None:
    drawn = draw(PROFILES[name], LIVE, seed, duration_s)
    assert drawn == draw(PROFILES[name], LIVE, seed, duration_s)
    assert drawn.faults
    assert drawn.last_heal_s <= duration_s - TAIL_S + 0.2


@given(NAMES, SEEDS, st.floats(10, 300))
def test_no_two_faults_of_a_schedule_get_into_each_others_way(name: str, seed: int, duration_s: float) -> None:
    drawn = draw(PROFILES[name], LIVE, seed, duration_s).faults
    assert not [(a, b) for a, b in combinations(drawn, 2) if in_the_way(a, b)]


@given(NAMES, SEEDS)
def test_what_the_world_cannot_do_is_not_drawn(name: str, seed: int) -> None:
    try:
        drawn = draw(PROFILES[name], STAGING, seed, 60).faults
    except NothingToDrawError:
        assert name in {"clock", "process-signals"}
        return
    assert not [timed for timed in drawn if STAGING.refusal(timed.fault)]
    assert {timed.fault.protocol for timed in drawn} <= {"link", "redis", "listener"}
    assert not {timed.fault.kind for timed in drawn} & OWN_TOXICS


def test_seeds_differ() -> None:
    assert len({repr(draw(PROFILES["everything"], LIVE, seed, 60)) for seed in range(20)}) == 20


def test_a_long_session_meets_every_kind_of_its_profile() -> None:
    for profile in PROFILES.values():
        drawn = draw(profile, LIVE, 0, 1800)
        assert {timed.fault.kind for timed in drawn.faults} == set(profile.kinds), profile.name


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "process_signal"}, "a world with a process service (the target has none)"),
        ({"kind": "net_down", "target": "user"}, "a world with a link user (the target has redis, ticker)"),
        ({"kind": "net_loss", "target": "ticker"}, "the embedded Toxiproxy"),
        ({"kind": "redis_killed"}, "a Redis whose process is ours"),
        ({"kind": "redis_refusing"}, "nobody could heal it"),
        ({"kind": "redis_loading"}, "a Redis on this machine"),
    ],
)
def test_what_a_target_cannot_do_is_refused_with_what_is_missing(fault: dict[str, str], said: str) -> None:
    assert said in STAGING.refusal(build(fault))


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "net_down", "target": "ticker"},
        {"kind": "redis_read_only"},
        {"kind": "redis_client_pause"},
        {"kind": "slow_head"},
    ],
)
def test_what_a_target_can_do_is_not_refused(fault: dict[str, str]) -> None:
    assert STAGING.refusal(build(fault)) == ""
