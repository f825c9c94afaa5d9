"""Limits and pressure: memory to heavy and back, herds at the last permit and the last rate slot, honest counters."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from hardening.catalogue.pieces import schedule
from hardening.catalogue.scenario import Scenario
from hardening.claims.verdict import Verdict
from hardening.history.events import History
from hardening.properties.classes import everybody, last_permit
from hardening.properties.faults import CROWDS, MACHINE, fault, http, schedules
from hardening.properties.rare import confirm, rare
from hardening.properties.strategies import (
    SETTINGS,
    operators,
    scenario,
    scenarios,
    settings,
    signals,
    strangers,
    workloads,
)


class TestMetricsServiceRareFailures:
    """Budgets, levels and metrics at their edges."""

    @rare(
        st.builds(
            lambda held, at_s, for_s, ticker: scenario(
                "pressure",
                everybody(6.0),
                schedule(
                    (at_s, for_s, {"kind": "memory_pressure", "held_mb": held}),
                    *([(0.2, 1.0, {"kind": "http_fault", "how": "status", "status": 503})] if ticker else []),
                ),
                recovery_s=18.0,
            ),
            st.sampled_from([330.0, 380.0, 430.0, 480.0]),
            st.sampled_from([0.5, 1.0, 2.0]),
            st.sampled_from([0.5, 1.5, 3.0]),
            st.booleans(),
        ),
        exercises=("C2.3",),
    )
    def test_memory_pressure_climbs_to_heavy_and_back_under_load(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert [event.value["new"] for event in history.states("level")][-1:] in ([], ["none"])

    @rare(st.builds(last_permit, st.sampled_from([20, 60, 200]), st.integers(1, 3)), exercises=("C2.1",))
    def test_200_callers_on_the_last_permits_never_hold_more_than_there_are(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        refused = [*history.states("rejected", reason="permit"), *history.states("shed")]
        assert refused, "there was a permit for everybody"

    @rare(
        scenarios(
            "rate-race",
            workloads(signals(), least=4, most=6),
            schedules(st.one_of(MACHINE["clock_jump"], MACHINE["clock_drift"], MACHINE["event_loop_stall"]), most=2),
            settings=st.builds(
                lambda slots, window_s: {**SETTINGS, "budgets": {"accepted_per_window": slots, "window_s": window_s}},
                st.integers(3, 20),
                st.sampled_from([0.5, 2.0, 60.0]),
            ),
        ),
        exercises=("C2.2",),
    )
    def test_a_rate_window_is_exact_whatever_the_wall_clock_does(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.states("admitted")

    @rare(
        scenarios(
            "counted",
            workloads(signals(), strangers(), operators(), least=3),
            schedules(
                st.one_of(MACHINE["memory_pressure"], MACHINE["cpu_pressure"], http(["ticker", "user"])), least=1
            ),
            settings=settings(),
            recovery_s=st.just(20.0),
        )
    )
    def test_metrics_agree_with_what_clients_saw_under_any_pressure(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert any(event.value["probe"] == "metrics" for event in history.states("probe"))

    @rare(
        scenarios(
            "rude",
            workloads(signals(), operators(), least=2),
            schedules(st.one_of(*CROWDS.values(), fault("descriptors_exhausted")), least=1, for_s_max=3.0),
            settings=st.sampled_from(
                [SETTINGS, {**SETTINGS, "clients": {"head_s": 0.5, "body_s": 0.5, "connections": 40}}]
            ),
        )
    )
    def test_rude_clients_take_no_permit_and_harm_nobody(self, history: History, verdicts: tuple[Verdict, ...]) -> None:
        assert all(not event.value["permits"] for event in history.states("probe", probe="rude_clients"))

    @pytest.mark.live
    @pytest.mark.parametrize("example", [last_permit(200, 2)], ids=lambda example: example.name)
    def test_the_same_holds_in_real_processes(self, example: Scenario) -> None:
        confirm(example, met=("C2.1",))
