"""Starts with each dependency late, hanging, flapping, absent; signals while starting; ends while serving."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hardening.catalogue.live_outages import schedule
from hardening.catalogue.scenario import Reload, Scenario, StartupCase
from hardening.claims.verdict import Verdict
from hardening.history.events import History
from hardening.history.workload import Operation, Workload, signal
from hardening.properties.faults import fault, schedules
from hardening.properties.rare import confirm, rare
from hardening.properties.strategies import SETTINGS, latencies, reloads, scenario, scenarios, signals, workloads

CRITICAL, OPTIONAL = ("redis", "ticker", "user"), ("alert", "comms")


ABSENT_AND_LATE = [
    *(StartupCase("absent", name) for name in CRITICAL),
    *(StartupCase("late", name, appear_after_s=20.0) for name in CRITICAL),
]


def cases() -> SearchStrategy[StartupCase]:
    """One start under any difficulty."""
    seconds = st.sampled_from([0.5, 2.0, 7.0, 30.0, 54.0])
    downstream = st.sampled_from(["ticker", "user"])
    return st.one_of(
        st.builds(StartupCase, st.just("absent"), st.sampled_from((*CRITICAL, *OPTIONAL))),
        st.builds(StartupCase, st.just("late"), st.sampled_from(CRITICAL), appear_after_s=seconds),
        st.builds(StartupCase, st.just("hanging"), downstream),
        st.builds(
            StartupCase,
            st.just("flapping"),
            st.sampled_from(CRITICAL),
            appear_after_s=st.sampled_from([0.4, 3.0, 15.0]),
        ),
        st.builds(
            StartupCase,
            st.just("sigterm"),
            st.sampled_from(CRITICAL),
            signal_after_s=st.sampled_from([0.0, 0.4, 5.5, 20.0]),
        ),
    )


def ended(at_s: float, latency_s: float, callers: int, again: str = "INT") -> Scenario:
    """TERM with requests in flight, while readiness is asked, and a second signal ``again`` in the drain."""
    asked = [signal(round(at_s - 0.2 + i * 0.02, 3), f"LAST{i}") for i in range(callers)]
    asked += [
        Operation(round(at_s + 0.1 + i * 0.2, 3), "ready", path="/ready", key="operator", priority="critical")
        for i in range(4)
    ]
    second = schedule((at_s + 0.3, 0.1, {"kind": "process_signal", "signal": again, "restart": False}))
    return scenario("ended", Workload.of(asked), second, latency_s={"ticker": latency_s}, term_at_s=at_s)


def reload_storm() -> Scenario:
    """Good, bad, malformed and dangerous configurations in mid-request, and a rollback."""
    return scenario(
        "reload-storm",
        Workload.of(signal(round(0.1 + i * 0.06, 3), f"STORM{i % 9}") for i in range(40)),
        schedule(),
        latency_s={"ticker": 0.2},
        reloads=(
            Reload(0.4, {"cache": {"ttl_s": 30.0}}, "sighup"),
            Reload(0.8, {"budgets": {"in_flight": -5}}, "sighup"),
            Reload(1.2, "{ this is no configuration", "file"),
            Reload(1.7, {"budgets": {"in_flight": 40}}, "admin"),
            Reload(2.1, {}, "rollback"),
        ),
    )


class TestStartupResilienceRareFailures:
    """From the first attempt to the last request."""

    @rare(st.lists(cases(), min_size=1, max_size=3).map(tuple))
    def test_a_start_under_any_difficulty_serves_in_time_or_says_what_was_missing(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.states("startup", phase="attempt")

    @rare(
        st.permutations(ABSENT_AND_LATE).map(tuple),
        exercises=("C3.1",),
    )
    def test_each_critical_dependency_absent_and_late_in_any_order(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert len(history.states("process", state="started")) >= len(CRITICAL) * 2

    @rare(
        st.builds(
            ended,
            st.sampled_from([0.5, 1.0]),
            st.sampled_from([0.05, 0.3, 1.0, 3.0]),
            st.sampled_from([3, 12, 40]),
            st.sampled_from(["INT", "TERM"]),
        ),
        exercises=("C6.1",),
    )
    def test_a_service_that_is_told_to_end_ends_its_requests_first(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert [event.value["exit_code"] for event in history.states("process", name="service", state="exited")] == [0]

    @rare(
        scenarios(
            "reload-storms",
            workloads(signals(), least=3),
            schedules(st.one_of(fault("redis_killed"), fault("disk_full", where="audit")), most=1),
            settings=st.just(SETTINGS),
            latency_s=latencies(),
            reloads=reloads(8),
        )
    )
    def test_reload_storms_in_mid_request_are_atomic_refused_or_rolled_back(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.states("settings")

    @rare(
        scenarios(
            "told-twice",
            workloads(signals(), least=2),
            schedules(
                fault(
                    "process_signal",
                    signal=st.sampled_from(["TERM", "INT"]),
                    moment=st.sampled_from(["immediately", "mid_request", "before_first_byte"]),
                    second=st.sampled_from(["", "TERM", "INT", "HUP", "KILL"]),
                    deadline_ms=1000.0,
                ),
                least=1,
                most=1,
            ),
            latency_s=st.sampled_from([{}, {"ticker": 0.5}]),
        )
    )
    def test_a_second_signal_during_the_drain_corrupts_nothing(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.states("process", name="service", state="started")

    @pytest.mark.live
    @pytest.mark.parametrize(
        ("example", "met"),
        [(ended(1.0, 0.3, 8), ("C6.1",)), (reload_storm(), ("C6.3",))],
        ids=lambda one: getattr(one, "name", ""),
    )
    def test_the_same_holds_in_real_processes(self, example: Scenario, met: tuple[str, ...]) -> None:
        confirm(example, met=met)
