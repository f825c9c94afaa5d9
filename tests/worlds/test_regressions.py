"""Sessions in which a true bug of the service was found: each is run again, and the claim that it broke holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.judge.verdict import Outcome
from scenarios.session import Session
from scenarios.sim_runner import run_simulated, spec_for
from scenarios.simulator.plan import Plan

SESSIONS = sorted((Path(__file__).parent / "sessions").glob("*.session.json"))


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.name.removesuffix(".session.json"))
def test_what_failed_once_holds_now(path: Path) -> None:
    session = Session.load(path)
    assert session.failures, "a session that broke nothing proves nothing"
    scenario = session.startup or session.scenario
    outcome = run_simulated(scenario, spec_for(scenario, session.name, session.seed), Plan.from_json(session.plan))
    assert not outcome.problem
    assert [v.reason for v in outcome.verdicts if v.outcome is Outcome.FAIL] == []


def test_there_are_sessions_to_run_again() -> None:
    assert SESSIONS
