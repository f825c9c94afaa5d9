"""Shrinking: what is left is what the failure needs, whatever that is, within the runs that are allowed."""

from __future__ import annotations

import dataclasses

import pytest
from acted_world import FAULTS, Acted, asks, cuts, session_of
from hypothesis import given
from hypothesis import strategies as st

from hardening.catalogue.scenario import StartupCase
from hardening.sessions.session import Session
from hardening.sessions.smaller import EARLIEST_S, NotFailingError, moved_to_the_beginning, only, parts_of, shrink


@given(
    st.sets(st.sampled_from(FAULTS), max_size=3),
    st.sets(st.integers(0, 39), max_size=3),
    st.sets(st.integers(0, 2), max_size=1),
    st.sets(st.integers(0, 5), max_size=2),
)
def test_what_is_left_is_what_the_failure_needs(
    links: set[str], symbols: set[int], reloads: set[int], decisions: set[int]
) -> None:
    def fails(session: Session) -> bool:
        ttls = {reload.settings["cache"]["ttl_s"] for reload in session.scenario.reloads}  # type: ignore[index,call-overload]
        kept = [decision[1] for decision in (session.plan or {})["decisions"]]
        return (
            all(cuts(session, link) for link in links)
            and all(asks(session, f"S{number}") for number in symbols)
            and {10.0 + number for number in reloads} <= ttls
            and decisions <= set(kept)
        )

    done = shrink(session_of(world="simulated"), Acted(fails), runs_max=2000)
    assert fails(done.session)
    assert dict(done.after) == {
        "decision": len(decisions),
        "fault": len(links),
        "reload": len(reloads),
        "start": 0,
        "request": len(symbols),
        "steady": 0,
    }


def test_what_is_left_begins_at_once() -> None:
    done = shrink(session_of(), Acted(lambda s: cuts(s, "user") and asks(s, "S7")), runs_max=500)
    times = [timed.at_s for timed in done.session.scenario.schedule.faults]
    times += [one.at_s for one in done.session.scenario.workload.operations]
    assert min(times) == pytest.approx(EARLIEST_S)


def test_a_failure_that_needs_its_time_keeps_it() -> None:
    done = shrink(session_of(), Acted(lambda s: any(o.at_s > 3 for o in s.scenario.workload.operations)), runs_max=500)
    assert done.session.scenario.workload.operations[0].at_s > 3


def test_moving_keeps_the_distances() -> None:
    scenario = session_of().scenario
    moved = moved_to_the_beginning(scenario)
    gap_s = scenario.workload.operations[0].at_s - scenario.schedule.faults[0].at_s
    assert moved.workload.operations[0].at_s - moved.schedule.faults[0].at_s == pytest.approx(gap_s)
    assert moved_to_the_beginning(moved) == moved


def test_no_more_runs_than_allowed() -> None:
    runner = Acted(lambda s: cuts(s, "user") and asks(s, "S7"))
    done = shrink(session_of(), runner, runs_max=12)
    assert len(runner.seen) == done.runs <= 12
    assert asks(done.session, "S7")


def test_a_failure_that_comes_and_goes_is_tried_more_than_once() -> None:
    runner = Acted(lambda s: cuts(s, "user"), flaky=0.4)
    done = shrink(session_of(), runner, runs_max=2000, tries=12)
    assert [timed.fault.target for timed in done.session.scenario.schedule.faults] == ["user"]


def test_another_failure_is_not_followed() -> None:
    """A part that makes another claim fail is no smaller instance of this one."""
    with pytest.raises(NotFailingError, match="night did not fail in 1 runs"):
        shrink(session_of(), Acted(lambda _s: True, claim="C5.1"), runs_max=50)


def test_the_last_start_stays() -> None:
    cases = (StartupCase("absent", "redis"), StartupCase("absent", "user"))
    session = dataclasses.replace(session_of(), startup=cases)
    assert len(shrink(session, Acted(lambda _s: True), runs_max=100).session.startup) == 1


def test_the_shrunk_session_says_whose_it_is_and_what_was_found() -> None:
    done = shrink(session_of(), Acted(lambda s: cuts(s, "user")), runs_max=500)
    assert done.session.name == "night-shrunk"
    assert "the smallest part of night" in done.session.scenario.summary
    assert [judged.claim for judged in done.session.failures] == ["C2.1"]
    assert "faults 5 -> 1" in done.lines()[0]


def test_leaving_nothing_out_changes_nothing() -> None:
    session = session_of(world="simulated")
    assert only(session, parts_of(session)).scenario == session.scenario
