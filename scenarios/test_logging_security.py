"""Secrets wherever they can hide, market data that only looks like one, and an audit log on a disk that is full."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from hardening.catalogue.scenario import Scenario
from hardening.claims.verdict import Verdict
from hardening.history.events import History
from hardening.properties.classes import full_disk, leaking
from hardening.properties.faults import MACHINE, http, schedules
from hardening.properties.rare import confirm, rare
from hardening.properties.strategies import (
    SETTINGS,
    operators,
    reloads,
    scenarios,
    signals,
    strangers,
    workloads,
)


class TestLoggingSecurityRareFailures:
    """What leaves the process, and who may ask."""

    @rare(leaking(), exercises=("C4.1", "C4.2"))
    def test_no_secret_leaves_whatever_it_hides_in_and_candles_stay_as_they_are(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert any(
            "a library" in str(e.value["text"]) or "some.library" in str(e.value["text"])
            for e in history.select("log", "line")
        )

    @rare(
        scenarios(
            "strangers",
            workloads(strangers(), signals(), operators(), least=3),
            schedules(st.one_of(MACHINE["disk_full"], MACHINE["log_reader_blocked"]), most=2),
            settings=st.just(SETTINGS),
        ),
        exercises=("C4.5",),
    )
    def test_nobody_is_served_without_a_key_of_the_right_scope(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        assert history.select("ok", "request")

    @rare(
        scenarios(
            "audited",
            workloads(strangers(), signals(), least=3),
            schedules(st.one_of(MACHINE["disk_full"], http(["ticker"]), MACHINE["memory_pressure"]), least=1),
            settings=st.just({"downstreams": {"ticker": {"breaker": {"open_s": 1.0, "failures": 1}}}}),
            reloads=reloads(3),
            recovery_s=st.just(20.0),
        ),
        exercises=("C4.4",),
    )
    def test_every_security_event_is_in_the_chain_whatever_the_disk_does(
        self, history: History, verdicts: tuple[Verdict, ...]
    ) -> None:
        refused = [event for event in history.states("rejected") if event.value["reason"] in {"key", "scope", "rate"}]
        checked = history.states("probe", probe="audit_chain")
        assert checked or not refused  # without a security event there is no log whose chain could be checked

    @pytest.mark.live
    @pytest.mark.parametrize("example", [full_disk()], ids=lambda example: example.name)
    def test_the_same_holds_in_real_processes(self, example: Scenario) -> None:
        confirm(example, met=("C4.1", "C4.2", "C4.6"))
