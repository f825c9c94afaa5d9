"""The scenarios of the simulated world: each runs clean, and with the live ones they exercise every claim they can."""

from __future__ import annotations

import pytest

from hardening.catalogue.entries import clock_windows
from hardening.catalogue.outages import breakers_unscaled
from hardening.catalogue.pieces import Entry
from hardening.catalogue.scenario import Scenario
from hardening.catalogue.selection import THEMES, catalogue, live_names, simulated_scenarios
from hardening.claims.claims import CLAIMS
from hardening.claims.verdict import Outcome
from hardening.runs.runner import spec_of
from hardening.runs.simulated import SimOutcome, run_simulated
from hardening.worlds.spec import RunContext

pytestmark = pytest.mark.timeout(600)
"""The first test runs every scenario, some forty processor seconds: on a busy machine two minutes are too few."""

REAL_TIME_ONLY = {"C1.1", "C2.5", "C4.3", "C7.1", "C7.2", "C7.3"}
"""Claims about real memory, real time, and processes other than the service."""


@pytest.fixture(scope="module")
def ran() -> dict[str, SimOutcome]:
    """Each scenario under its default schedule, run once for all tests here."""
    return {
        name: run_simulated(scenario, spec_of(scenario, RunContext(), name))
        for name, scenario in simulated_scenarios(0).items()
    }


def test_every_scenario_passes_under_its_default_schedule(ran: dict[str, SimOutcome]) -> None:
    failed = {name: str(one.error or one.problem) for name, one in ran.items() if one.error or one.problem}
    assert not failed


def test_between_them_they_exercise_every_claim_that_virtual_time_can_show(ran: dict[str, SimOutcome]) -> None:
    shown = {v.claim for one in ran.values() for v in one.verdicts if v.outcome is Outcome.PASS}
    assert set(CLAIMS) - shown == REAL_TIME_ONLY


def test_each_claim_is_shown_by_the_scenario_that_says_so(ran: dict[str, SimOutcome]) -> None:
    for claim in set(CLAIMS) - REAL_TIME_ONLY:
        for name in CLAIMS[claim].shown_by:
            assert next(v for v in ran[name].verdicts if v.claim == claim).outcome is Outcome.PASS, (claim, name)


def test_each_scenario_has_the_name_of_its_entry_which_is_its_alone() -> None:
    every = [one for theme in THEMES for one in vars(theme).values() if isinstance(one, Entry)]
    assert len(catalogue()) == len(every)
    for name, entry in catalogue().items():
        program = entry(0)
        assert not isinstance(program, Scenario) or program.name == name
    assert set(live_names()) | set(simulated_scenarios(0)) >= set(catalogue())


def virtual() -> dict[str, Scenario]:
    """Scenarios that only the simulated world runs."""
    made = {name: one(0) for name, one in catalogue().items() if one.where == "simulated"}
    return {name: one for name, one in made.items() if isinstance(one, Scenario)}


def test_every_fault_of_a_scenario_for_virtual_time_has_an_effect(ran: dict[str, SimOutcome]) -> None:
    for name in virtual():
        blunt = [e.value["kind"] for e in ran[name].history.select("fault", "heal") if not e.value["bit"]]
        assert not blunt, name


def test_figures_run_unscaled_but_for_those_that_are_named() -> None:
    scaled = {name: dict(one.settings) for name, one in virtual().items() if one.settings}
    assert scaled == {
        "hung-probe": {"downstreams": {"ticker": {"timeout_s": 30.0}}},
        # Late answers come within a request's time only if the breaker opens and closes within it.
        "late-answers": {"downstreams": {"ticker": {"timeout_s": 4.0, "retries": 1, "breaker": {"open_s": 2.0}}}},
    }


def test_each_of_the_four_breakers_opens_and_closes_again(ran: dict[str, SimOutcome]) -> None:
    for name in ("ticker", "user", "alert", "comms"):
        moves = [e.value["new"] for e in ran[breakers_unscaled.name].history.states("breaker", name=name)]
        assert (moves[0], moves[-1]) == ("open", "closed"), name


def test_the_services_clock_moves_nobody_elses(ran: dict[str, SimOutcome]) -> None:
    # Redis would expire entries at other times than it was told to, were its clock moved as well.
    assert not ran[clock_windows.name].history.states("cache", event="corrupt")
