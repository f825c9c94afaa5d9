"""The live scenarios in which a dependency, the machine or the clock turns bad."""

from __future__ import annotations

import random
from typing import Any

from hardening.catalogue.scenario import Scenario
from hardening.faults.schedule import Schedule
from hardening.history.workload import Operation, Workload, alert, signal, steady
from hardening.worlds.shared import leaky_library

SYMBOLS = ("AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "TSLA")


def schedule(*faults: tuple[float, float, dict[str, object]]) -> Schedule:
    """A schedule from ``(at_s, for_s, fault)``."""
    return Schedule.from_json([{"at_s": at_s, "for_s": for_s, "fault": fault} for at_s, for_s, fault in faults])


def calm(seed: int, name: str, for_s: float = 1.5, per_s: float = 6.0) -> Workload:
    """The steady load of a scenario, its own for each seed."""
    return steady(random.Random(f"{name}-{seed}"), for_s=for_s, per_s=per_s, symbols=SYMBOLS)


def ticker_outage(seed: int) -> Scenario:
    """The ticker answers 500 until its breaker opens; a herd waits for its half-open moment."""
    open_s = 1.5
    cold = Workload.of(signal(0.1 + i * 0.1, f"OUT{i}") for i in range(36))
    warm = calm(seed, "ticker-warm", for_s=4.0, per_s=12.0)
    crowds = Workload.of(signal(2.3 + i * 0.02, f"HALF{i}") for i in range(90))
    return Scenario(
        name="ticker-outage",
        summary="the ticker answers 500 for two seconds; herds ask while its breaker opens, half opens and closes",
        steady=calm(seed, "ticker-outage", for_s=2.5, per_s=12.0),
        workload=cold + warm + crowds,
        settings={"downstreams": {"ticker": {"breaker": {"open_s": open_s}}}},
        schedule=schedule((0.3, 2.0, {"kind": "http_fault", "target": "ticker", "how": "status", "status": 500})),
        latency_s={"ticker": 0.25},
    )


def flaky_network(seed: int) -> Scenario:
    """The way to Redis is slow and uneven, connections to the ticker are reset, the user service is cut off."""
    cold = Workload.of(signal(0.1 + i * 0.06, f"FLAKY{i}") for i in range(60))
    return Scenario(
        name="flaky-network",
        summary="jitter to Redis, resets to the ticker, a cut to the user service: all on the wire",
        steady=calm(seed, "flaky", for_s=2.0, per_s=8.0),
        workload=cold,
        settings={
            "downstreams": {
                "ticker": {"breaker": {"open_s": 1.0, "failures": 50}},
                "user": {"breaker": {"open_s": 1.0}},
            },
            "retry": {"budget_min": 12},
        },
        schedule=schedule(
            (0.1, 3.2, {"kind": "net_latency", "target": "redis", "latency_ms": 10, "jitter_ms": 8}),
            (0.5, 0.8, {"kind": "net_reset", "target": "ticker"}),
            (2.4, 0.8, {"kind": "net_down", "target": "user"}),
        ),
    )


def deadline(seed: int) -> Scenario:
    """The ticker drips its head byte by byte: no request outlives its 5 seconds, unscaled."""
    asked = Workload.of(signal(0.3 + i * 0.15, f"DRIP{i}") for i in range(6))
    fault = {"kind": "http_fault", "target": "ticker", "how": "dripped_head", "latency_ms": 180.0}
    return Scenario(
        name="deadline",
        summary="the ticker drips its answer's head; requests end at 5,000 ms and their calls with them",
        steady=calm(seed, "deadline"),
        workload=asked + calm(seed, "deadline-warm", for_s=5.0, per_s=3.0),
        settings={"downstreams": {"ticker": {"timeout_s": 8.0, "breaker": {"open_s": 1.0, "failures": 20}}}},
        schedule=schedule((0.1, 6.2, fault)),
    )


def pressure(seed: int) -> Scenario:
    """Memory climbs to heavy and comes back, under load of all priorities."""
    asked = [
        signal(0.2 + i * 0.08, SYMBOLS[i % 6], key=key, priority=rank)
        for i, (key, rank) in enumerate([("demo", "normal"), ("low", "low"), ("high", "high")] * 34)
    ]
    asked += [Operation(0.5 + i * 0.5, "health", priority="critical") for i in range(16)]
    # Cold ones meet the failing ticker whatever the seed made warm: the breaker has to move as well.
    asked += [signal(0.4 + i * 0.2, f"COLD{i}", key="high", priority="high") for i in range(6)]
    return Scenario(
        name="pressure",
        summary="ballast takes memory to the heavy level and gives it back, while every priority asks",
        steady=calm(seed, "pressure"),
        workload=Workload.of(asked),
        settings={"downstreams": {"ticker": {"breaker": {"open_s": 1.0}}}},
        schedule=schedule(
            (0.2, 1.4, {"kind": "http_fault", "target": "ticker", "how": "status", "status": 503}),
            (2.0, 2.5, {"kind": "memory_pressure", "held_mb": 430.0}),
        ),
        recovery_s=16.0,
    )


def clock_jumps(seed: int) -> Scenario:
    """The wall clock jumps an hour ahead, then a day back, over TTLs and windows."""
    asked = calm(seed, "clock-work", for_s=5.0, per_s=10.0)
    return Scenario(
        name="clock-jumps",
        summary="the wall clock jumps an hour ahead and a day back",
        steady=calm(seed, "clock"),
        workload=asked + Workload.of(signal(0.4 + i * 0.4, f"CLOCK{i}") for i in range(11)),
        schedule=schedule(
            (0.8, 1.5, {"kind": "clock_jump", "offset_s": 3600.0}),
            (2.8, 1.5, {"kind": "clock_jump", "offset_s": -86400.0}),
        ),
    )


def damaged_entries(seed: int) -> Scenario:
    """Entries in Redis are corrupted, cut, of another version, under another key, while they are being read."""
    ways = ("corrupt", "truncate", "wrong_version", "swap")
    damage: list[tuple[float, float, dict[str, Any]]] = [
        (0.3 + i * 0.05, 3.5, {"kind": "redis_entries_damaged", "how": how, "seed": seed % 1000 + i, "entries_max": 2})
        for i, how in enumerate(ways)
    ]
    return Scenario(
        name="damaged-entries",
        summary="cache entries in Redis are damaged in four ways while they are read",
        steady=calm(seed, "damaged", for_s=1.5, per_s=12.0),
        workload=calm(seed, "damaged-work", for_s=5.2, per_s=12.0),
        schedule=schedule(*damage),
    )


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


def alert_outage(seed: int) -> Scenario:
    """The alert service answers 500 while alerts are accepted and signals asked for, which need it not."""
    posted = Workload.of(alert(0.4 + i * 0.2, SYMBOLS[i % 6], f"out-{seed}-{i}") for i in range(9))
    again = Workload.of(alert(3.0 + i * 0.1, SYMBOLS[i % 6], f"out-{seed}-{i}") for i in range(3))
    rule = {"indicator": "price", "op": ">", "value": 0.5}
    other = [alert(3.4, "AAPL", f"out-{seed}-0", body={"symbol": "AAPL", "rule": rule, "channel": "sms"})]
    # The same key and body of somebody else: a key is its user's own.
    other += [alert(3.5, SYMBOLS[i], f"out-{seed}-{i}", key="high") for i in range(2)]
    return Scenario(
        name="alert-outage",
        summary="the alert service fails; signals do not notice, alerts wait and are delivered",
        steady=calm(seed, "alert-outage", for_s=2.0, per_s=12.0),
        workload=posted + again + Workload.of(other) + calm(seed, "alert-work", for_s=3.5, per_s=12.0),
        settings={"downstreams": {"alert": {"breaker": {"open_s": 1.0}}}, "outbox": {"capacity": 4}},
        schedule=schedule((0.2, 2.2, {"kind": "http_fault", "target": "alert", "how": "status", "status": 500})),
    )


def rude_clients(seed: int) -> Scenario:
    """Clients that drip heads and bodies, a flood of silent connections, and no descriptor left."""
    return Scenario(
        name="rude-clients",
        summary="dripped heads and bodies, a connection flood, exhausted descriptors, while others are served",
        steady=calm(seed, "rude", for_s=1.5, per_s=6.0),
        workload=calm(seed, "rude-work", for_s=12.0, per_s=8.0),
        settings={"clients": {"head_s": 1.0, "body_s": 1.0}},
        # Each crowd stays for longer than its limit and the judge's patience: else nobody saw whether it would be cut.
        schedule=schedule(
            (0.2, 3.2, {"kind": "slow_head", "connections": 20}),
            (0.4, 3.2, {"kind": "slow_body", "connections": 20}),
            (4.0, 4.0, {"kind": "connection_flood", "connections": 300}),
            (8.6, 1.5, {"kind": "descriptors_exhausted"}),
        ),
    )


def unresolved_name(seed: int) -> Scenario:
    """The name of the comms service no longer resolves, and what was connected is cut; the others go on."""
    posted = Workload.of(alert(0.5 + i * 0.3, SYMBOLS[i % 6], f"name-{seed}-{i}") for i in range(6))
    return Scenario(
        name="unresolved-name",
        summary="the comms service's name stops resolving; alerts wait, signals do not notice",
        steady=calm(seed, "name"),
        workload=posted + calm(seed, "name-work", for_s=3.0, per_s=8.0),
        settings={"downstreams": {"comms": {"breaker": {"open_s": 1.0}}}},
        schedule=schedule(
            (0.1, 0.2, {"kind": "net_down", "target": "comms"}),
            (0.2, 2.4, {"kind": "dns_failure", "target": "comms"}),
        ),
        named=True,
    )


def hostile_lines(seed: int) -> Scenario:
    """A library logs lines of a megabyte, made of the beginnings of secrets, while requests are served."""
    return Scenario(
        name="hostile-lines",
        summary="log lines of 1 MB made to stall a redactor, under load",
        steady=calm(seed, "hostile", for_s=1.0),
        workload=calm(seed, "hostile-work", for_s=6.0, per_s=8.0),
        environment=leaky_library.variables(hostile_bytes=1_000_000),
        hostile_bytes=1_000_000,
        recovery_s=2.0,
    )


OUTAGES = (
    *(deadline, pressure, ticker_outage, flaky_network, alert_outage),
    *(rude_clients, hostile_lines, unresolved_name, clock_jumps, damaged_entries, full_disk),
)
