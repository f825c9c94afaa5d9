"""Scenarios with more work than the service may take, or with clients that misbehave.

In: a seed. Out: scenarios as data; times in seconds from the first fault's zero.
"""

from __future__ import annotations

from hardening.catalogue.pieces import SYMBOLS, calm, listed, schedule
from hardening.catalogue.scenario import Reload, Scenario
from hardening.history.workload import Operation, Workload, herd, signal
from hardening.worlds.shared import unclosable


@listed(confirm=7)
def burst(seed: int) -> Scenario:
    """More than a minute's budget in two seconds, one slow look-up beside it."""
    asked = Workload.of(
        signal(i * 0.006, SYMBOLS[i % len(SYMBOLS)], key=("demo", "high", "low")[i % 3]) for i in range(380)
    )
    watched = [Operation(2.4 + i * 0.1, "health", path="/health", priority="critical") for i in range(3)]
    watched.append(Operation(2.45, "metrics", path="/metrics", key="operator", priority="critical"))
    return Scenario(
        name="burst",
        summary="380 requests in 2.3 seconds against a budget of 300 a minute, and somebody who watches",
        steady=Workload.of(signal(0.1 * i, symbol) for i, symbol in enumerate(SYMBOLS)),
        workload=asked + Workload.of(watched),
        recovery_s=1.0,
    )


@listed(confirm=6)
def cancelled_herd(seed: int) -> Scenario:
    """Herds on cold keys of a slow ticker, half of whose callers go away; STOP and CONT on top; a close that fails."""
    herds = Workload()
    for round_number in range(3):
        at_s = 0.2 + round_number * 1.2
        herds += herd(at_s, 20, f"HERD{round_number}")
        # In the second round who comes first, and loads for all, goes away.
        first_s = 0.005 if round_number == 1 else 0.0
        herds += herd(at_s - first_s, 20, f"HERD{round_number}", disconnect_after_s=0.12)
    crowd = Workload.of(signal(4.0, f"CROWD{i}", disconnect_after_s=0.2 if i % 3 == 0 else None) for i in range(90))
    lonely = Workload.of(signal(0.5 + i * 0.4, f"LONELY{i}", disconnect_after_s=0.25) for i in range(8))
    return Scenario(
        name="cancelled-herd",
        summary="callers by the dozen on one cold key and on ninety, many of whom hang up",
        steady=calm(seed, "herd", for_s=1.0, per_s=4.0),
        workload=herds + lonely + crowd,
        latency_s={"ticker": 0.4},
        # One failure opens it: were a caller's hanging up counted as one, the breaker would show it.
        settings={"downstreams": {"ticker": {"breaker": {"failures": 1, "open_s": 1.0}}}},
        schedule=schedule((4.5, 0.5, {"kind": "process_signal", "signal": "STOP"})),
        environment=unclosable.ASKED_FOR,
    )


@listed(confirm=4)
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


@listed()
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


@listed("simulated")
def rate_minutes(seed: int) -> Scenario:
    """Three minutes against a budget of 300 in any sliding 60 s, in bursts that no fixed minute would hold."""
    burst = [signal(0.5 + i * 0.01, SYMBOLS[i % 6]) for i in range(180)]
    later = [signal(40.0 + i * 0.02, SYMBOLS[i % 6], key=("demo", "high")[i % 2]) for i in range(200)]
    # The first burst leaves the window after 60 s, the second one 40 s later: a fixed minute would take 300 here.
    third = [signal(61.0 + i * 0.02, SYMBOLS[i % 6]) for i in range(260)]
    trickle = [signal(104.0 + i * 0.4, SYMBOLS[i % 6]) for i in range(60)]
    return Scenario(
        name="rate-minutes",
        summary="700 requests in two minutes, in bursts across the borders of a sliding window of 60 s",
        steady=calm(seed, "rate", for_s=1.0, per_s=5.0),
        workload=Workload.of([*burst, *later, *third, *trickle]),
        schedule=schedule((62.0, 3.0, {"kind": "clock_jump", "offset_s": 61.0})),
        # What was accepted under the old configuration still counts under the new one.
        reloads=(Reload(50.0, {"cache": {"stale_s": 299.0}}, "sighup"),),
        recovery_s=2.0,
    )


@listed("simulated")
def permits_and_slots(seed: int) -> Scenario:
    """Five crowds of 70 on 50 permits, and then who asks for what is cached: what was refused has cost no slot."""
    crowds = [signal(0.5 + round_ * 9.0, f"SLOT{round_}X{i}") for round_ in range(5) for i in range(70)]
    shed = [signal(37.5 + i * 0.05, SYMBOLS[i % 6], key="low", priority="low") for i in range(40)]
    after = [signal(45.0 + i * 0.1, SYMBOLS[i % 6]) for i in range(60)]
    return Scenario(
        name="permits-and-slots",
        summary="crowds on the last permits and work that is shed, and then a rate window that must still have room",
        steady=calm(seed, "slots", for_s=1.0, per_s=4.0),
        workload=Workload.of([*crowds, *shed, *after]),
        latency_s={"ticker": 0.8},
        recovery_s=6.0,
    )


@listed("simulated")
def levels(seed: int) -> Scenario:
    """Memory, processor and loop each take the service to a level of their own and let it go; all priorities ask."""
    ranks = [("demo", "normal"), ("low", "low"), ("high", "high")]
    asked = [
        signal(0.2 + i * 0.2, SYMBOLS[i % 6] if i % 4 else f"COLD{i}", key=key, priority=rank)
        for i, (key, rank) in enumerate(ranks * 117)
    ]
    watched = [Operation(0.5 + i * 2.0, "health", path="/health", priority="critical") for i in range(34)]
    return Scenario(
        name="levels",
        summary="memory, processor and event loop take the service to moderate, light and heavy, one after the other",
        steady=calm(seed, "levels", for_s=3.0, per_s=6.0),
        workload=Workload.of([*asked, *watched]),
        schedule=schedule(
            (1.0, 6.0, {"kind": "memory_pressure", "held_mb": 397.0}),
            (14.0, 5.0, {"kind": "memory_pressure", "held_mb": 330.0}),
            (26.0, 9.0, {"kind": "cpu_pressure", "share": 0.87}),
            (50.0, 3.0, {"kind": "event_loop_stall", "stall_ms": 330.0, "every_ms": 1000.0}),
        ),
        recovery_s=20.0,
    )


@listed("simulated")
def rude_unscaled(seed: int) -> Scenario:
    """Heads and bodies that drip for longer than 10 s, bodies above 1 MB, 300 connections against 200."""
    large = "9" * 1_100_000
    chunked = {"Transfer-Encoding": "chunked"}
    bodies = [
        Operation(
            14.2 + i * 0.2,
            "alert",
            "POST",
            "/v2/alerts",
            "demo",
            headers={**more, "Idempotency-Key": f"large-{i}"},
            body=large,
        )
        for i, more in enumerate(({}, chunked))
    ]
    return Scenario(
        name="rude-unscaled",
        summary="dripped heads and bodies cut after 10 s, bodies above 1 MB, 300 connections against 200, unscaled",
        steady=calm(seed, "rude-long", for_s=2.0, per_s=5.0),
        workload=calm(seed, "rude-long-work", for_s=32.0, per_s=3.0) + Workload.of(bodies),
        schedule=schedule(
            (0.5, 13.0, {"kind": "slow_head", "connections": 20}),
            (1.0, 13.0, {"kind": "slow_body", "connections": 20}),
            (15.0, 13.0, {"kind": "connection_flood", "connections": 300}),
            (29.0, 2.0, {"kind": "descriptors_exhausted"}),
        ),
    )
