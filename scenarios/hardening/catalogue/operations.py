"""Scenarios about the operation of the process: signals, reloads, kills, full disks, a store that forgets.

In: a seed. Out: scenarios as data; times in seconds from the first fault's zero.
"""

from __future__ import annotations

from hardening.catalogue.pieces import BREAKERS_S, SYMBOLS, calm, every, listed, schedule
from hardening.catalogue.scenario import Reload, Scenario
from hardening.history.workload import Operation, Workload, alert, signal
from hardening.worlds.shared.keys import Secrets


@listed(confirm=3)
def signals(seed: int) -> Scenario:
    """Reloads good and bad in mid-request, then TERM in mid-request, and INT while it drains."""
    asked = Workload.of(signal(i * 0.08, f"SIG{i % 25}") for i in range(50))
    last = Workload.of(signal(4.35 + i * 0.01, f"LAST{i}") for i in range(10))
    last += Workload.of(
        Operation(4.6 + i * 0.2, "ready", path="/ready", key="operator", priority="critical") for i in range(3)
    )
    return Scenario(
        name="signals",
        summary="reloads good and bad in mid-request, and TERM with requests in flight, INT in its drain",
        steady=calm(seed, "signals", for_s=1.0),
        workload=asked + last,
        latency_s={"ticker": 0.3},
        reloads=(
            Reload(0.6, {"cache": {"ttl_s": 30.0}}, "sighup"),
            Reload(1.0, {"budgets": {"in_flight": -5}}, "sighup", refused="budgets.in_flight"),
            Reload(1.3, "{ this is no configuration", "file", refused="the whole file"),
            Reload(1.7, {"debug": True}, "admin", refused="debug"),
            Reload(2.1, {"service_token": "changeme"}, "sighup", refused="service_token"),
            Reload(2.6, {"budgets": {"in_flight": 40}}, "admin"),
            Reload(3.2, {}, "rollback"),
        ),
        # Somebody gets impatient: the second signal comes while those of the first are still being served.
        schedule=schedule((4.62, 0.1, {"kind": "process_signal", "signal": "INT", "restart": False})),
        term_at_s=4.5,
    )


@listed(confirm=1)
def service_killed(seed: int) -> Scenario:
    """Alerts are accepted, the service is killed, Redis too; after the restart every one is delivered."""
    alerts = Workload.of(alert(0.1 + i * 0.05, SYMBOLS[i % 6], f"key-{seed}-{i}") for i in range(40))
    again = Workload.of(alert(3.6 + i * 0.2, SYMBOLS[i % 6], f"key-{seed}-{i}") for i in range(5))
    other = Workload.of(
        alert(
            3.7 + i * 0.2,
            "TSLA",
            f"key-{seed}-{i}",
            body={"symbol": "TSLA", "rule": {"indicator": "price", "op": ">", "value": 0.5}, "channel": "sms"},
        )
        for i in range(2)
    )
    return Scenario(
        name="service-killed",
        summary="SIGKILL of the service between accepting alerts and delivering them, Redis killed on top",
        steady=calm(seed, "killed", for_s=1.0, per_s=4.0),
        workload=alerts + again + other + calm(seed, "killed-after", for_s=4.0, per_s=4.0).shifted(2.5),
        latency_s={"alert": 0.15, "comms": 0.1},
        schedule=schedule(
            (1.0, 0.3, {"kind": "process_signal", "signal": "KILL"}), (1.5, 0.6, {"kind": "redis_killed"})
        ),
    )


@listed()
def full_disk(seed: int) -> Scenario:
    """The audit log's disk is full and the log's reader is blocked: requests go on, admin changes do not."""
    wrong = [
        Operation(0.8 + i * 0.3, "signal", path="/v2/signals/AAPL", headers={"X-API-Key": "nobody's"}, sends="wrong")
        for i in range(6)
    ]
    admin = [Operation(1.5 + i * 0.5, "admin", "POST", "/admin/reload", "operator", "critical") for i in range(2)]
    return Scenario(
        name="full-disk",
        summary="the disk of the audit log is full and nobody reads the log, under load",
        steady=calm(seed, "disk"),
        workload=calm(seed, "disk-work", for_s=4.0, per_s=10.0) + Workload.of([*wrong, *admin]),
        schedule=schedule(
            (0.5, 2.5, {"kind": "disk_full", "where": "audit"}), (1.0, 1.0, {"kind": "log_reader_blocked"})
        ),
    )


@listed("simulated")
def refused_alerts(seed: int) -> Scenario:
    """Comms refuses alerts for good while the alert service fails for long; the service is killed in between."""
    posted = [alert(0.6 + i * 0.2, SYMBOLS[i], f"refused-{seed}-{i}", key=("demo", "high")[i % 2]) for i in range(4)]
    fail = {"kind": "http_fault", "how": "status"}
    return Scenario(
        name="refused-alerts",
        summary="comms refuses alerts for good, the alert service fails until its breaker opens twice; SIGKILL on top",
        steady=calm(seed, "refused", for_s=2.0, per_s=4.0),
        workload=Workload.of(posted) + every(1.0, 0.3, 50.0),
        schedule=schedule(
            (0.5, 2.5, {**fail, "target": "comms", "status": 422}),
            (0.5, 40.0, {**fail, "target": "alert", "status": 500}),
            (2.0, 0.3, {"kind": "process_signal", "signal": "KILL"}),
        ),
        recovery_s=BREAKERS_S + 10.0,
    )


@listed("simulated")
def volatile_store(seed: int) -> Scenario:
    """Redis is set to evict for a while: the service cannot keep its promise of alerts, and has to say so."""
    asked = [Operation(1.0 + i, "ready", path="/ready", key="operator", priority="critical") for i in range(45)]
    return Scenario(
        name="volatile-store",
        summary="Redis is set to evict for half a minute: the promise of alerts is gone, and /ready says so meanwhile",
        steady=calm(seed, "volatile", for_s=2.0, per_s=4.0),
        workload=Workload.of([*asked, *(alert(2.0 + i * 3.0, SYMBOLS[i % 6], f"vol-{seed}-{i}") for i in range(6))]),
        schedule=schedule((1.0, 30.0, {"kind": "redis_evicting"})),
        recovery_s=15.0,
    )


@listed("simulated")
def reload_while_open(seed: int) -> Scenario:
    """A breaker that is open when settings change stays open for the time it was given; the next time it is theirs.

    So it is with keys: one that is taken out opens nothing any more, and the rollback brings it back.
    """
    cold = [signal(0.6 + i * 0.5, f"WAIT{i}") for i in range(40)]
    again = [signal(80.0 + i * 0.25, f"AGAIN{i}") for i in range(24)]
    revoked = [signal(68.0 + i, "AAPL", key="reader", sends="wrong") for i in range(3)]
    back = [signal(73.0 + i, "AAPL", key="reader") for i in range(2)]
    fails = {"kind": "http_fault", "target": "ticker", "how": "status", "status": 500}
    fewer = [key for key in Secrets.draw(seed).api_keys() if key["id"] != "reader"]
    return Scenario(
        name="reload-while-open",
        summary="reloads and rollbacks while the ticker's breaker is open for its minute, unscaled; a key taken out",
        steady=calm(seed, "reload-open", for_s=3.0, per_s=4.0),
        workload=Workload.of([*cold, *revoked, *back, *again]) + every(2.0, 0.5, 84.0),
        reloads=(
            Reload(6.0, {"downstreams": {"ticker": {"breaker": {"failures": 4}}}}, "sighup"),
            Reload(10.0, {"cache": {"ttl_s": 50.0}}, "admin"),
            Reload(14.0, {}, "rollback"),
            Reload(67.0, {"api_keys": fewer}, "admin"),
            Reload(72.0, {}, "rollback"),
            Reload(76.0, {"downstreams": {"ticker": {"breaker": {"open_s": 20.0}}}}, "sighup"),
        ),
        schedule=schedule((0.5, 4.0, fails), (80.0, 4.0, fails)),
        recovery_s=BREAKERS_S + 10.0,
    )
