"""What a session comes to: no trouble, abort or toothless fault is taken for a success."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hardening.catalogue.scenario import Scenario
from hardening.claims.verdict import Exit
from hardening.history.events import Header, History, Recorder
from hardening.sessions.chaos.conduct import KEY_STOP, conclude, so_far
from hardening.sessions.session import Judged, Session

PASSING = (Judged("C2.1", "PASS"), Judged("C2.2", "UNKNOWN", "nothing exercised it"))
FAILING = (*PASSING, Judged("C6.4", "FAIL", "a breaker is open"))


def recorder() -> Recorder:
    return Recorder(Header("live", {}, "", 0, "", (), {}, ""))


def history(*bites: bool) -> History:
    made = recorder()
    for number, bit in enumerate(bites):
        value: dict[str, Any] = {"kind": "net_down", "target": "user"}
        made.add(number, "harness", "fault", "inject", {**value, "parameters": {}}, f"f{number}")
        healed = {**value, "bit": bit, "bite": {}, "verified": True}
        made.add(number + 0.5, "harness", "fault", "heal", healed, f"f{number}")
    return made.history()


def session(**changes: Any) -> Session:
    return dataclasses.replace(Session("night", "live", Scenario("x", ""), 0, verdicts=PASSING), **changes)


def phases(before: float, after: float) -> dict[str, Any]:
    return {"phases": {"steady": {"error_share": before}, "quiet": {"error_share": after}}}


@pytest.mark.parametrize(
    ("changes", "bites", "code", "said"),
    [
        ({}, (True, False), Exit.OK, "1 of 2 faults had an effect, 1 claims held, none failed"),
        ({"verdicts": FAILING}, (True,), Exit.FAILED, "C6.4: a breaker is open"),
        ({"verdicts": FAILING, "problem": "no port", "aborted": "Ctrl-C"}, (True,), Exit.FAILED, "C6.4"),
        ({"problem": "HealError: still down"}, (True,), Exit.HARNESS, "still down"),
        ({"aborted": "no steady state: 0 requests ended"}, (), Exit.UNKNOWN, "no steady state"),
        ({"aborted": "error rate 95% is above 90%"}, (True,), Exit.FAILED, "cut short: error rate"),
        ({"aborted": "latency p95 9 s is above 8 s"}, (True,), Exit.FAILED, "cut short: latency"),
        ({"aborted": "Ctrl-C"}, (True,), Exit.HARNESS, "everything is healed"),
        ({"aborted": "SIGTERM"}, (True,), Exit.HARNESS, "everything is healed"),
        ({"aborted": KEY_STOP}, (True,), Exit.OK, "stopped by the key q"),
        ({}, (False, False), Exit.UNKNOWN, "no fault had an effect"),
        ({}, (), Exit.UNKNOWN, "nothing was broken"),
        ({"world": "target", "figures": phases(0.0, 0.3)}, (True,), Exit.FAILED, "steady state is not back: 30%"),
        ({"world": "target", "figures": phases(0.0, 0.02)}, (True,), Exit.OK, "none failed"),
    ],
)
def test_a_session_comes_to(changes: dict[str, Any], bites: tuple[bool, ...], code: Exit, said: str) -> None:
    found, why = conclude(session(**changes), history(*bites))
    assert found is code
    assert said in why


def test_claims_so_far_are_judged_at_a_moment_of_rest() -> None:
    """A request under way is no request that never ended."""
    made = recorder()
    asked = {"method": "GET", "path": "/", "operation": "signal", "user": "a", "priority": "normal"}
    made.add(1.0, "client", "invoke", "request", asked, "c1")
    made.add(1.1, "client", "ok", "request", {"status": 200, "latency_s": 0.1}, "c1")
    made.add(3.0, "client", "invoke", "request", asked, "c2")
    made.add(3.5, "harness", "state", "phase", {"phase": "faults"})
    rest = so_far(made.history())
    assert rest is not None
    assert [event.id for event in rest.events] == ["c1", "c1"]


def test_before_any_rest_nothing_is_judged() -> None:
    made = recorder()
    asked = {"method": "GET", "path": "/", "operation": "signal", "user": "a", "priority": "normal"}
    made.add(0.01, "client", "invoke", "request", asked, "c1")
    made.add(5.0, "harness", "state", "phase", {"phase": "faults"})
    assert so_far(made.history()) is None
