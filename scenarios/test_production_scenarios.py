"""Everything at once: any workload against any overlapping faults, under any settings, in any interleaving."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from hardening.catalogue.pieces import schedule
from hardening.catalogue.scenario import Scenario
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import History
from hardening.properties.classes import mixed_outage
from hardening.properties.faults import PROCESS, REDIS, anything, fault, http, network, schedules
from hardening.properties.rare import confirm, rare
from hardening.properties.strategies import (
    alerts,
    latencies,
    reloads,
    scenarios,
    settings,
    signals,
    workloads,
)


class TestProductionScenarios:
    """What production would do on its worst day."""

    @rare(
        scenarios(
            "anything",
            workloads(),
            schedules(anything(), least=1),
            settings=settings(),
            latency_s=latencies(),
            reloads=st.one_of(st.just(()), reloads()),
        ),
        exercises=("C4.1", "C6.4"),
    )
    def test_anything_may_break_while_anything_is_asked(self, history: History, verdicts: tuple[Verdict, ...]) -> None:
        assert history.states("process", state="ready"), "the service never came up"

    @rare(
        scenarios(
            "cascade",
            workloads(signals(), alerts(), least=2),
            schedules(st.one_of(*REDIS.values(), http(["ticker", "user"]), network(["redis"])), least=2),
            settings=settings(),
        ),
        exercises=("C6.4",),
    )
    def test_a_redis_failure_that_cascades_into_retries_ends_where_it_began(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.states("phase", phase="quiet")

    @rare(
        scenarios(
            "accepted",
            workloads(alerts(), least=2),
            schedules(
                st.one_of(
                    fault("process_signal", signal=st.sampled_from(["KILL", "TERM"]), moment="mid_request"),
                    fault("redis_killed"),
                    fault("redis_clients_killed", mid_command=True, every_ms=200.0),
                    http(["alert", "comms"]),
                    network(["alert", "comms"]),
                ),
                least=1,
            ),
            latency_s=latencies(),
        )
    )
    def test_an_accepted_alert_survives_any_crash_and_arrives_once_in_effect(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert any(event.value["operation"] == "alert" for event in history.select("invoke", "request"))

    @rare(
        scenarios(
            "emptied",
            workloads(alerts(), least=2, most=3),
            st.just(schedule((0.5, 1.0, {"kind": "redis_killed", "keep_data": False}))),
        )
    )
    def test_a_store_that_comes_back_empty_is_said_to_have_broken_the_premise(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        verdict = next(v for v in verdicts if v.claim == "C6.2")
        accepted = [e for e in history.select("ok", "request") if e.value.get("delivery_id")]
        assert verdict.outcome is Outcome.UNKNOWN
        assert not accepted or "premise" in verdict.reason, verdict.reason

    @rare(
        scenarios(
            "every-signal",
            workloads(signals(), alerts(), least=1),
            schedules(st.one_of(*PROCESS.values()), least=1, most=1),
            latency_s=st.sampled_from([{}, {"ticker": 0.4}]),
        )
    )
    def test_every_signal_at_every_phase_leaves_a_service_that_works(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.states("phase", phase="shutdown")

    @pytest.mark.live
    @pytest.mark.parametrize("example", [mixed_outage()], ids=lambda example: example.name)
    def test_the_same_holds_in_real_processes(self, example: Scenario) -> None:
        confirm(example, met=("C6.4",))
