"""The cache: one key for 200 callers, entries gone bad, Redis gone, invalidations in mid-load, clocks that jump."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from hardening.catalogue.scenario import Scenario
from hardening.claims.verdict import Verdict
from hardening.history.events import History
from hardening.history.workload import Workload, invalidate, signal
from hardening.properties.classes import one_key
from hardening.properties.faults import MACHINE, PROCESS, REDIS, http, network, schedules
from hardening.properties.rare import confirm, rare
from hardening.properties.strategies import (
    SETTINGS,
    SYMBOLS,
    latencies,
    operators,
    scenarios,
    settings,
    signals,
    workloads,
)

_FAST = st.sampled_from([{**SETTINGS, "cache": {"ttl_s": ttl_s, "stale_s": 1.0}} for ttl_s in (60.0, 0.5, 2.0)])


class TestHistoricalDataRareFailures:
    """Candles and their cache."""

    @rare(
        st.builds(
            one_key,
            st.sampled_from([6, 30, 200]),
            st.sampled_from([0.05, 0.4, 1.2]),
            st.sampled_from([None, 0.005, 0.1]),
            st.sampled_from([None, 0.0, 0.02, 0.3]),
        ),
        exercises=("C5.1", "C5.3"),
    )
    def test_200_callers_on_one_key_cause_one_load(self, history: History, verdicts: tuple[Verdict, ...]) -> None:
        assert history.states("cache", event="load")

    @rare(
        scenarios(
            "bad-entries",
            workloads(signals(), least=2),
            schedules(REDIS["redis_entries_damaged"], least=1, most=1),
            steady=st.just(Workload.of(signal(i * 0.1, SYMBOLS[i % 3]) for i in range(9))),
        )
    )
    def test_bad_entries_of_any_sort_are_misses(self, history: History, verdicts: tuple[Verdict, ...]) -> None:
        assert all(event.value["event"] != "raised" for event in history.states("cache"))

    @rare(
        scenarios(
            "redis-gone",
            workloads(signals(), operators(), least=2),
            schedules(st.one_of(*REDIS.values(), network(["redis"])), least=1),
            settings=_FAST,
        ),
        exercises=("C5.5",),
    )
    def test_without_redis_copies_are_marked_and_never_too_old(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.states("cache")

    @rare(
        scenarios(
            "invalidated",
            st.tuples(
                workloads(signals(cold="KEY"), least=1, most=4), workloads(operators(cold="KEY"), least=1, most=3)
            ).map(lambda pair: pair[0] + pair[1] + Workload.of([invalidate(0.6, "KEY0"), signal(0.5, "KEY0")])),
            schedules(st.one_of(network(["redis"]), REDIS["redis_killed"], http(["ticker"])), most=1),
            settings=_FAST,
            latency_s=st.sampled_from([{"ticker": 0.3}, {"ticker": 0.05}, {"ticker": 1.2}]),
        ),
        exercises=("C5.3",),
    )
    def test_an_invalidation_in_mid_load_is_never_overwritten(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert any(event.value["event"] == "invalidate" for event in history.states("cache"))

    @rare(
        scenarios(
            "clocks",
            workloads(signals(), least=3),
            schedules(st.one_of(MACHINE["clock_jump"], MACHINE["clock_drift"], REDIS["redis_killed"]), least=1),
            settings=settings(),
        ),
        exercises=("C5.6",),
    )
    def test_a_wall_clock_that_jumps_neither_serves_nor_expires_wrongly(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.states("cache")

    @rare(
        scenarios(
            "restarted-busy",
            workloads(signals(), least=3),
            schedules(st.one_of(*PROCESS.values(), REDIS["redis_killed"]), least=1, most=2),
            latency_s=latencies(),
        )
    )
    def test_a_restart_in_mid_load_leaves_no_lock_behind(self, history: History, verdicts: tuple[Verdict, ...]) -> None:
        assert history.states("process", state="exited")

    @pytest.mark.live
    @pytest.mark.parametrize("example", [one_key(60, 1.2, 0.6, 0.3)], ids=lambda example: example.name)
    def test_the_same_holds_in_real_processes(self, example: Scenario) -> None:
        confirm(example, met=("C5.1", "C5.3"))
