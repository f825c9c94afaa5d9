"""Secrets wherever they can hide, market data that only looks like one, and an audit log on a disk that is full."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from hardening.catalogue.live_catalogue import KEEP, planted_secrets
from hardening.catalogue.live_outages import schedule
from hardening.catalogue.scenario import Scenario
from hardening.claims.verdict import Verdict
from hardening.history.events import History
from hardening.history.workload import Operation, Workload, signal
from hardening.properties.faults import MACHINE, http, schedules
from hardening.properties.rare import confirm, rare
from hardening.properties.secrets import leaks, own_secrets
from hardening.properties.strategies import (
    SETTINGS,
    operators,
    reloads,
    scenario,
    scenarios,
    signals,
    strangers,
    workloads,
)
from hardening.worlds.shared import leaky_library


@st.composite
def leaking(draw: st.DrawFn) -> Scenario:
    """A library that says secrets and candles, clients that send them, and perhaps a downstream that fails."""
    fields = draw(leaks())
    broken = draw(schedules(st.one_of(http(["ticker", "user"]), MACHINE["log_reader_blocked"]), most=1))
    return scenario("leaking", fields.pop("workload"), broken, settings=SETTINGS, **fields)


def full_disk() -> Scenario:
    """The audit log's disk fills while wrong keys knock and an operator wants a reload; a library leaks beside it."""
    planted = planted_secrets(0)
    wrong = [
        signal(round(0.4 + i * 0.2, 3), "AAPL", key="", headers={"X-API-Key": f"nobody-{i:012d}"}, sends="wrong")
        for i in range(5)
    ]
    admin = [Operation(at_s, "admin", "POST", "/admin/reload", "operator", "critical") for at_s in (0.8, 1.3)]
    good = [signal(round(0.2 + i * 0.1, 3), ("AAPL", "MSFT")[i % 2], key=("demo", "high")[i % 2]) for i in range(16)]
    return scenario(
        "full-disk-and-leaks",
        Workload.of([*wrong, *admin, *good]),
        schedule((0.3, 1.5, {"kind": "disk_full", "where": "audit"}), (0.6, 0.8, {"kind": "log_reader_blocked"})),
        canaries=planted,
        keep=KEEP,
        environment=leaky_library.variables([*planted, *own_secrets()], KEEP),
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
