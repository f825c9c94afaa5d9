"""The gate's scenario: real commands on good and bad certificates, judged like every other."""

from __future__ import annotations

import asyncio

import pytest

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome
from hardening.history.events import parse
from hardening.runs.gate import run_gates
from hardening.worlds.spec import RunContext

pytestmark = pytest.mark.live


def outcomes(sabotage: str = "") -> dict[str, Outcome]:
    run = asyncio.run(run_gates(RunContext(seed=5, sabotage=sabotage)))
    assert not run.problem
    stored = parse(run.history.dump())
    return {verdict.claim: verdict.outcome for verdict in judge_all({"gate": stored}, ["C7.1", "C7.3"])}


def test_the_gate_and_the_verification_hold() -> None:
    assert outcomes() == {"C7.1": Outcome.PASS, "C7.3": Outcome.PASS}


def test_a_verification_that_believes_the_digests_is_found_out() -> None:
    assert outcomes("verdicts_not_rejudged")["C7.3"] is Outcome.FAIL
