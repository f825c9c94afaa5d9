"""Breakers, retries and clients: herds on a half-open breaker, hung probes, callers that go away, broken networks."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from hardening.catalogue.scenario import Scenario
from hardening.claims.verdict import Verdict
from hardening.history.events import History
from hardening.history.workload import Workload, signal
from hardening.properties.classes import OPENS_AT_ONCE, half_open
from hardening.properties.faults import DOWNSTREAMS, MACHINE, http, names, network, schedules
from hardening.properties.rare import confirm, rare
from hardening.properties.strategies import (
    SETTINGS,
    alerts,
    latencies,
    scenarios,
    settings,
    signals,
    workloads,
)
from hardening.worlds.shared import unclosable


class TestClientFactoryRareFailures:
    """Downstream clients when downstreams and callers misbehave."""

    @rare(
        st.builds(
            half_open,
            st.sampled_from([10, 50, 200]),
            st.sampled_from(["status", "reset", "hang", "garbage_after", "invalid_json"]),
            st.sampled_from([None, 0.001, 0.01]),
        ),
        exercises=("C1.2",),
    )
    def test_200_callers_on_one_half_open_breaker_send_one_probe(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        probes = [event.value["event"] for event in history.states("breaker_probe", name="ticker")]
        assert probes.count("granted") <= 1 + sum(one in {"failure", "released"} for one in probes)

    @rare(
        scenarios(
            "misbehaving",
            workloads(signals(), alerts(), least=2),
            schedules(http(), least=1),
            settings=settings(),
            latency_s=latencies(),
            environment=st.just(unclosable.ASKED_FOR),
        ),
        exercises=("C1.5", "C1.6"),
    )
    def test_downstreams_that_answer_wrongly_in_any_way_are_kept_apart(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.select("invoke", "arrival")

    @rare(
        scenarios(
            "on-the-wire",
            workloads(signals(), alerts(), least=2),
            schedules(network(DOWNSTREAMS), least=1),
            settings=settings(),
        )
    )
    def test_any_trouble_on_the_wire_leaves_no_socket_and_no_slot(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert [event.value["found"] for event in history.states("leftovers")] == [[]]

    @rare(
        scenarios(
            "gone-callers",
            st.lists(st.integers(0, 30), min_size=5, max_size=25).map(
                lambda leaves: Workload.of(
                    signal(round(0.2 + i * 0.01, 3), f"GONE{i % 4}", disconnect_after_s=ms / 1000 or None)
                    for i, ms in enumerate(leaves)
                )
            ),
            schedules(http(["ticker"]), most=1),
            settings=st.sampled_from([OPENS_AT_ONCE, SETTINGS]),
            latency_s=st.sampled_from([{}, {"ticker": 0.02}]),
            environment=st.just(unclosable.ASKED_FOR),
        ),
        exercises=("C1.6", "C2.1"),
    )
    def test_callers_that_go_away_count_neither_as_success_nor_as_failure(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.states("permit_returned")

    @rare(
        scenarios(
            "names",
            workloads(signals(), alerts(), least=2),
            schedules(st.one_of(names(), network(["alert", "comms"]), MACHINE["clock_jump"]), least=1),
            settings=st.just(SETTINGS),
        )
    )
    def test_a_name_that_does_not_resolve_takes_nobody_else_down(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.states("client", event="built")

    @pytest.mark.live
    @pytest.mark.parametrize("example", [half_open(60, "status", 0.01)], ids=lambda example: example.name)
    def test_the_same_holds_in_real_processes(self, example: Scenario) -> None:
        confirm(example, met=("C1.2",))
