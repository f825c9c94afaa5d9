"""What a session concludes while it runs: limits, steady state, what is broken now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from hardening.history.events import Event, EventType
from hardening.sessions.chaos.watch import Figures, Limits, Watch


@dataclass
class Told:
    """A watch that is told a story."""

    limits: Limits = field(default_factory=lambda: Limits(0.5, 2.0, 10.0, 4))
    t: float = 0.0
    number: int = 0

    def __post_init__(self) -> None:
        self.watch = Watch(lambda: self.t, self.limits)

    def tell(self, kind: EventType, f: str, value: dict[str, Any], id_: str = "") -> None:
        self.watch.saw(Event(self.t, "harness", kind, f, value, id_))

    def phase(self, name: str, **more: str) -> None:
        self.tell("state", "phase", {"phase": name, **more})

    def ask(self) -> str:
        self.number += 1
        self.tell("invoke", "request", {"operation": "signal"}, f"c{self.number}")
        return f"c{self.number}"

    def answer(self, status: int, latency_s: float = 0.01) -> None:
        id_ = self.ask()
        if status:
            self.tell("ok", "request", {"status": status, "latency_s": latency_s}, id_)
        else:
            self.tell("fail", "request", {"error": "refused", "latency_s": latency_s}, id_)


@pytest.mark.parametrize("status", [500, 503, 0])
def test_an_error_rate_above_its_limit_cuts_the_session_short(status: int) -> None:
    told = Told()
    told.phase("faults")
    for code in (200, 200, status, status):
        told.answer(code)
    assert told.watch.exceeded() == ""
    told.answer(status)
    assert "error rate 60% is above 50% (5 requests in 10 s)" in told.watch.exceeded()


@pytest.mark.parametrize("status", [200, 404, 422, 429])
def test_refusals_with_a_reason_are_no_errors(status: int) -> None:
    told = Told()
    told.phase("faults")
    for _ in range(10):
        told.answer(status)
    assert told.watch.exceeded() == ""


def test_slow_answers_cut_the_session_short() -> None:
    told = Told()
    told.phase("faults")
    for _ in range(5):
        told.answer(200, latency_s=2.5)
    assert "latency p95 2.50 s is above 2 s" in told.watch.exceeded()


def test_answers_that_never_come_count_once_they_are_overdue() -> None:
    told = Told()
    told.phase("faults")
    for _ in range(5):
        told.ask()
    told.t = 1.9
    assert told.watch.exceeded() == ""
    told.t = 2.1
    assert "error rate 100%" in told.watch.exceeded()


def test_what_is_longer_ago_than_the_window_does_not_count() -> None:
    told = Told()
    told.phase("faults")
    for _ in range(5):
        told.answer(500)
    told.t = 11.0
    assert told.watch.exceeded() == ""


def test_a_handful_of_requests_concludes_nothing() -> None:
    told = Told()
    told.phase("faults")
    for _ in range(3):
        told.answer(500)
    assert told.watch.exceeded() == ""


@pytest.mark.parametrize("phase", ["steady", "recovery", "quiet"])
def test_limits_hold_while_faults_run_and_at_no_other_time(phase: str) -> None:
    told = Told()
    told.phase(phase)
    for _ in range(10):
        told.answer(500)
    assert told.watch.exceeded() == ""


def test_without_a_steady_state_nothing_may_be_broken() -> None:
    told = Told()
    told.phase("steady")
    assert "0 requests ended" in told.watch.refusal()
    for status in (200,) * 9 + (500,):
        told.answer(status)
    assert "10% of 10 requests failed before any fault" in told.watch.refusal()


def test_with_a_steady_state_faults_may_begin() -> None:
    told = Told()
    told.phase("steady")
    for _ in range(10):
        told.answer(200)
    assert told.watch.refusal() == ""


def test_faults_level_and_breakers_are_those_of_now() -> None:
    told = Told()
    told.tell("fault", "inject", {"kind": "net_down", "target": "user", "parameters": {}}, "f0")
    told.tell("fault", "inject", {"kind": "redis_killed", "target": "redis", "parameters": {}}, "f1")
    told.tell("fault", "heal", {"kind": "net_down", "target": "user", "bit": True, "bite": {}, "verified": True}, "f0")
    told.tell("state", "breaker", {"name": "user", "old": "closed", "new": "open"})
    told.tell("state", "level", {"old": "none", "new": "light", "utilisation": 0.8})
    assert [held.kind for held in told.watch.held.values()] == ["redis_killed"]
    assert [(healed.kind, healed.bit) for healed in told.watch.healed] == [("net_down", True)]
    assert told.watch.breakers == {"user": "open"}
    assert told.watch.level == "light"


def test_each_second_shows_its_slowest_answer() -> None:
    told = Told()
    told.t = 10.0
    told.answer(200, 0.5)
    told.answer(200, 0.1)
    told.t = 12.5
    told.answer(200, 0.2)
    assert told.watch.latencies_s(4) == [None, 0.5, None, 0.2]


def test_figures_of_nothing_are_honest() -> None:
    assert Figures.of([]) == Figures(0, 0.0, None, None)


def test_a_stop_is_heard_and_the_first_one_counts() -> None:
    async def story() -> None:
        told = Told()
        waiting = asyncio.ensure_future(told.watch.tripped())
        told.watch.stop("key q")
        told.watch.stop("Ctrl-C")
        trip = await asyncio.wait_for(waiting, 5)
        assert (trip.reason, trip.hurry) == ("key q", True)

    asyncio.run(story())


def test_an_exceeded_limit_trips_and_leaves_time_to_recover() -> None:
    async def story() -> None:
        told = Told()
        told.phase("faults")
        for _ in range(5):
            told.answer(500)
        trip = await asyncio.wait_for(told.watch.tripped(), 5)
        assert trip.reason.startswith("error rate 100%")
        assert not trip.hurry

    asyncio.run(story())


def test_the_reason_of_an_abort_is_kept() -> None:
    told = Told()
    told.phase("faults")
    told.phase("aborted", reason="latency")
    assert told.watch.aborted == "latency"
    assert told.watch.phase == "faults"
