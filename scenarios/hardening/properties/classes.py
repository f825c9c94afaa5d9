"""Scenarios of the six classes of rare failures, each a function of a few parameters that Hypothesis draws.

The properties in ``scenarios/test_*.py`` and the benchmarks draw from them; nobody imports ``scenarios/test_*.py``.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hardening.catalogue.leaks import KEEP, planted_secrets
from hardening.catalogue.pieces import schedule
from hardening.catalogue.scenario import Reload, Scenario, StartupCase
from hardening.history.workload import Operation, Workload, alert, herd, invalidate, signal
from hardening.properties.faults import DOWNSTREAMS, MACHINE, http, schedules
from hardening.properties.secrets import leaks, own_secrets
from hardening.properties.strategies import KEYS, SETTINGS, scenario
from hardening.worlds.shared import leaky_library


def everybody(for_s: float, per_s: float = 6.0) -> Workload:
    """Callers of every priority in turn, and a health check each second."""
    keys = sorted(KEYS)
    asked = [
        signal(
            round(0.1 + i / per_s, 3),
            f"{'AAPL' if i % 2 else f'PRESS{i}'}",
            key=keys[i % 4],
            priority=KEYS[keys[i % 4]],
        )
        for i in range(int(for_s * per_s))
    ]
    asked += [Operation(0.15 + second, "health", priority="critical") for second in range(int(for_s))]
    return Workload.of(asked)


def last_permit(callers: int, permits: int) -> Scenario:
    """Callers on one permit: each holds it for the time of a slow ticker, some hang up."""
    asked = [
        signal(0.5 + i * 0.002, f"ONE{i}", disconnect_after_s=0.05 if i % 4 == 0 else None) for i in range(callers)
    ]
    return scenario(
        "last-permit",
        Workload.of(asked),
        schedule(),
        settings={**SETTINGS, "budgets": {"in_flight": permits}},
        latency_s={"ticker": 0.1},
    )


OPENS_AT_ONCE = {"downstreams": {name: {"breaker": {"open_s": 1.0, "failures": 1}} for name in DOWNSTREAMS}}


def half_open(callers: int, how: str, leave_s: float | None) -> Scenario:
    """A ticker that fails until its breaker opens, and a herd at the moment when it half opens."""
    cold = [signal(0.2 + i * 0.1, f"COLD{i}") for i in range(4)]
    crowd = [
        signal(1.9 + i * 0.004, f"HALF{i}", disconnect_after_s=leave_s if i % 3 == 0 else None) for i in range(callers)
    ]
    broken: dict[str, object] = {
        "kind": "http_fault",
        "target": "ticker",
        "how": how,
        "status": 500,
        "latency_ms": 3000.0,
    }
    return scenario("half-open", Workload.of([*cold, *crowd]), schedule((0.1, 1.2, broken)), settings=OPENS_AT_ONCE)


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
    """Valid, invalid and malformed configurations in mid-request, and a rollback."""
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


@st.composite
def leaking(draw: st.DrawFn) -> Scenario:
    """A library that logs secrets and candles, clients that send them, and perhaps a failing downstream."""
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


def one_key(callers: int, latency_s: float, leave_s: float | None, forget_s: float | None) -> Scenario:
    """Callers of one cold key; the first of them, or a third of all, go away; the key may be forgotten meanwhile."""
    half = callers // 2
    asked = herd(0.5, half, "HERD", disconnect_after_s=leave_s) + herd(0.51, callers - half, "HERD")
    asked += Workload.of(signal(at_s, "HERD") for at_s in (1.2, 2.6))
    if forget_s is not None:
        asked += Workload.of([invalidate(0.5 + forget_s, "HERD")])
    return scenario("one-key", asked, schedule(), latency_s={"ticker": latency_s})


def mixed_outage() -> Scenario:
    """Redis dies and the ticker fails at the same time, while signals and alerts are asked for."""
    asked = [signal(0.1 + i * 0.1, f"MIX{i}") for i in range(12)]
    asked += [alert(0.2 + i * 0.15, "AAPL", f"mix-{i}") for i in range(6)]
    broken = schedule(
        (0.4, 1.0, {"kind": "redis_killed"}),
        (0.6, 1.0, {"kind": "http_fault", "target": "ticker", "how": "status", "status": 503}),
    )
    return scenario("mixed-outage", Workload.of(asked), broken)
