"""Starts with each dependency late, hanging, flapping, absent; signals while starting; ends while serving."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from hardening.catalogue.scenario import Scenario
from hardening.claims.verdict import Verdict
from hardening.history.events import History
from hardening.properties.classes import ABSENT_AND_LATE, CRITICAL, cases, ended, reload_storm
from hardening.properties.faults import fault, schedules
from hardening.properties.rare import confirm, rare
from hardening.properties.strategies import SETTINGS, latencies, reloads, scenarios, signals, workloads


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
