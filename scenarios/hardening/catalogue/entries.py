"""Scenarios about what the cache serves: slow loads, invalidations, damaged entries, a wall clock that jumps.

In: a seed. Out: scenarios as data; times in seconds from the first fault's zero.
"""

from __future__ import annotations

from typing import Any

from hardening.catalogue.pieces import BREAKERS_S, SYMBOLS, calm, every, listed, schedule
from hardening.catalogue.scenario import Scenario
from hardening.history.workload import Workload, invalidate, signal


@listed()
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


@listed()
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


@listed("simulated")
def slow_loads(seed: int) -> Scenario:
    """Loads of 1.2 s whose key is forgotten meanwhile, entries that live their full minute, and another one."""
    herds = [
        signal(at_s + i * 0.05, "SLOW0", disconnect_after_s=0.4 if i % 3 == 0 else None)
        for at_s in (0.5, 63.0)
        for i in range(8)
    ]
    # Asked before, while and after the operator has the key forgotten: the slow load may serve the first two only.
    crossed = [signal(4.0 + i * 0.25, f"SLOW{1 + i % 3}") for i in range(12)]
    forgotten = [invalidate(4.6 + i * 0.4, f"SLOW{1 + i % 3}") for i in range(6)]
    gone = [signal(8.0, "SLOW4", disconnect_after_s=0.5), invalidate(8.3, "SLOW4"), signal(8.4, "SLOW4")]
    aged = [signal(at_s, symbol) for at_s in (58.0, 64.5, 66.0) for symbol in ("SLOW1", "SLOW2")]
    # Forgotten while it lies whole and fresh in Redis: who asks then must not get it from there.
    void = [invalidate(59.5, "SLOW2"), *(signal(60.0 + i * 0.3, "SLOW2") for i in range(3))]
    return Scenario(
        name="slow-loads",
        summary="slow loads cross invalidations and each other; entries live their minute, unscaled",
        steady=calm(seed, "slow", for_s=3.0, per_s=3.0),
        workload=Workload.of([*herds, *crossed, *forgotten, *gone, *aged, *void]),
        latency_s={"ticker": 1.2},
        recovery_s=2.0,
    )


@listed("simulated")
def clock_windows(seed: int) -> Scenario:
    """The wall clock jumps and drifts across an entry's minute, a breaker's minute and a full rate window."""
    fail = {"kind": "http_fault", "target": "ticker", "how": "status", "status": 500}
    cold = [signal(0.6 + i * 0.5, f"TIME{i}") for i in range(10)]
    crowd = [signal(20.0 + i * 0.02, SYMBOLS[i % 6], key=("demo", "high")[i % 2]) for i in range(290)]
    return Scenario(
        name="clock-windows",
        summary="the wall clock jumps over an entry's TTL, an open breaker and a full rate window, both ways",
        steady=calm(seed, "windows", for_s=4.0, per_s=4.0),
        workload=Workload.of([*cold, *crowd]) + every(0.8, 0.3, 110.0),
        schedule=schedule(
            (0.5, 5.0, fail),
            (8.0, 6.0, {"kind": "clock_jump", "offset_s": 61.0}),
            (21.0, 10.0, {"kind": "clock_jump", "offset_s": 61.0}),
            (34.0, 6.0, {"kind": "clock_jump", "offset_s": -3600.0}),
            (44.0, 10.0, {"kind": "clock_drift", "rate": 10.0}),
        ),
        recovery_s=BREAKERS_S + 10.0,
    )


@listed("simulated")
def every_damage(seed: int) -> Scenario:
    """Entries in Redis change places, are altered, cut, emptied, of another version or type, while they are read."""
    ways = ("swap", "wrong_version", "digit", "corrupt", "truncate", "empty", "wrong_type")
    damage = [
        (1.0 + i * 5.0, 4.0, {"kind": "redis_entries_damaged", "how": how, "seed": seed % 1000 + i})
        for i, how in enumerate(ways)
    ]
    return Scenario(
        name="every-damage",
        summary="all entries in Redis are damaged in seven ways, one after the other, and read in between",
        steady=calm(seed, "every", for_s=3.0, per_s=6.0),
        workload=every(0.25, 0.2, 38.0, SYMBOLS[:4]),
        schedule=schedule(*damage),
        recovery_s=3.0,
    )
