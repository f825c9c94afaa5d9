"""Scenarios that only virtual time affords: the figures of the claims unscaled, over minutes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hardening.catalogue.live_outages import SYMBOLS, calm, schedule
from hardening.catalogue.scenario import Reload, Scenario, StartupCase
from hardening.history.workload import Operation, Workload, alert, invalidate, signal
from hardening.worlds.shared.keys import Secrets

BREAKERS_S = 60.0
"""The longest open time of the four breakers."""
TTL_S, STALE_S = 60.0, 300.0


def _every(gap_s: float, begin_s: float, end_s: float, symbols: tuple[str, ...] = SYMBOLS) -> Workload:
    """One signal every ``gap_s`` seconds, the symbols in turn."""
    count = int((end_s - begin_s) / gap_s)
    return Workload.of(signal(begin_s + i * gap_s, symbols[i % len(symbols)]) for i in range(count))


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


def breakers_unscaled(seed: int) -> Scenario:
    """Ticker, then alert, comms and user fail until their breakers open for 60, 30, 30 and 45 s; all come back."""
    cold = [signal(1.0 + i * 0.7, f"OPEN{i}") for i in range(30)]
    half = [signal(65.0 + i * 0.02, f"HALF{i}") for i in range(24)]
    posted = [
        alert(at_s + i * 0.5, SYMBOLS[i % 6], f"open-{seed}-{at_s:g}-{i}") for at_s in (30, 150) for i in range(8)
    ]
    # Entitlements are believed for 15 s, and as long again when the user service is down.
    users = [signal(70.0 + i * 1.5, "AAPL", key=("demo", "high", "low", "reader")[i % 4]) for i in range(70)]
    fail = {"kind": "http_fault", "how": "status", "status": 500}
    return Scenario(
        name="breakers-unscaled",
        summary="each downstream fails until its breaker opens, for 60, 45 and 30 s unscaled, and recovers",
        steady=calm(seed, "open", for_s=4.0, per_s=6.0),
        workload=Workload.of([*cold, *half, *posted, *users]) + _every(2.5, 0.5, 200.0),
        schedule=schedule(
            (0.5, 12.0, {**fail, "target": "ticker"}),
            (29.0, 9.0, {**fail, "target": "alert"}),
            (149.0, 9.0, {**fail, "target": "comms"}),
            (88.0, 22.0, {**fail, "target": "user"}),
        ),
        recovery_s=BREAKERS_S + 10.0,
    )


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
        workload=Workload.of([*cold, *revoked, *back, *again]) + _every(2.0, 0.5, 84.0),
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


def hung_probe(seed: int) -> Scenario:
    """The ticker's breaker half opens onto a ticker that hangs: the lease of 5 s comes back, the next probe heals."""
    fail = {"kind": "http_fault", "target": "ticker"}
    cold = [signal(0.6 + i * 0.4, f"HUNG{i}") for i in range(12)]
    probes = [signal(60.0 + i * 0.5, f"LEASE{i}", disconnect_after_s=1.0 if i % 3 == 0 else None) for i in range(40)]
    return Scenario(
        name="hung-probe",
        summary="a half-open breaker's probe hangs, callers go away; its lease of 5 s comes back, unscaled",
        steady=calm(seed, "hung", for_s=4.0, per_s=4.0),
        workload=Workload.of([*cold, *probes]) + _every(3.0, 0.5, 140.0),
        # The request's time ends before the attempt's would: only the lease can free the place of the probe.
        settings={"downstreams": {"ticker": {"timeout_s": 30.0}}},
        schedule=schedule((0.5, 5.0, {**fail, "how": "status", "status": 503}), (55.0, 14.0, {**fail, "how": "hang"})),
        recovery_s=BREAKERS_S + 10.0,
    )


def long_outage(seed: int) -> Scenario:
    """Ticker and Redis are gone for longer than TTL and grace together: marked copies for 360 s, and then none."""
    gone_s = TTL_S + STALE_S + 60.0
    return Scenario(
        name="long-outage",
        summary="ticker and Redis are gone for seven minutes; copies are served, marked, for 60 + 300 s unscaled",
        steady=calm(seed, "long", for_s=3.0, per_s=5.0),
        workload=_every(2.0, 0.2, gone_s + 80.0),
        schedule=schedule(
            (1.0, gone_s, {"kind": "http_fault", "target": "ticker", "how": "status", "status": 503}),
            (20.0, gone_s - 30.0, {"kind": "redis_killed"}),
        ),
        recovery_s=BREAKERS_S + 10.0,
    )


def clock_windows(seed: int) -> Scenario:
    """The wall clock jumps and drifts across an entry's minute, a breaker's minute and a full rate window."""
    fail = {"kind": "http_fault", "target": "ticker", "how": "status", "status": 500}
    cold = [signal(0.6 + i * 0.5, f"TIME{i}") for i in range(10)]
    crowd = [signal(20.0 + i * 0.02, SYMBOLS[i % 6], key=("demo", "high")[i % 2]) for i in range(290)]
    return Scenario(
        name="clock-windows",
        summary="the wall clock jumps over an entry's TTL, an open breaker and a full rate window, both ways",
        steady=calm(seed, "windows", for_s=4.0, per_s=4.0),
        workload=Workload.of([*cold, *crowd]) + _every(0.8, 0.3, 110.0),
        schedule=schedule(
            (0.5, 5.0, fail),
            (8.0, 6.0, {"kind": "clock_jump", "offset_s": 61.0}),
            (21.0, 10.0, {"kind": "clock_jump", "offset_s": 61.0}),
            (34.0, 6.0, {"kind": "clock_jump", "offset_s": -3600.0}),
            (44.0, 10.0, {"kind": "clock_drift", "rate": 10.0}),
        ),
        recovery_s=BREAKERS_S + 10.0,
    )


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
        workload=_every(0.25, 0.2, 38.0, SYMBOLS[:4]),
        schedule=schedule(*damage),
        recovery_s=3.0,
    )


def refused_alerts(seed: int) -> Scenario:
    """Comms refuses alerts for good while the alert service fails for long; the service is killed in between."""
    posted = [alert(0.6 + i * 0.2, SYMBOLS[i], f"refused-{seed}-{i}", key=("demo", "high")[i % 2]) for i in range(4)]
    fail = {"kind": "http_fault", "how": "status"}
    return Scenario(
        name="refused-alerts",
        summary="comms refuses alerts for good, the alert service fails until its breaker opens twice; SIGKILL on top",
        steady=calm(seed, "refused", for_s=2.0, per_s=4.0),
        workload=Workload.of(posted) + _every(1.0, 0.3, 50.0),
        schedule=schedule(
            (0.5, 2.5, {**fail, "target": "comms", "status": 422}),
            (0.5, 40.0, {**fail, "target": "alert", "status": 500}),
            (2.0, 0.3, {"kind": "process_signal", "signal": "KILL"}),
        ),
        recovery_s=BREAKERS_S + 10.0,
    )


def volatile_store(seed: int) -> Scenario:
    """Redis is told to evict under the service, which cannot keep its word any more and has to say so; and back."""
    asked = [Operation(1.0 + i, "ready", path="/ready", key="operator", priority="critical") for i in range(45)]
    return Scenario(
        name="volatile-store",
        summary="Redis is set to evict for half a minute: the promise of alerts is gone, and /ready says so meanwhile",
        steady=calm(seed, "volatile", for_s=2.0, per_s=4.0),
        workload=Workload.of([*asked, *(alert(2.0 + i * 3.0, SYMBOLS[i % 6], f"vol-{seed}-{i}") for i in range(6))]),
        schedule=schedule((1.0, 30.0, {"kind": "redis_evicting"})),
        recovery_s=15.0,
    )


def late_answers(seed: int) -> Scenario:
    """Answers that were asked for before a breaker opened come while it is half open, and after it closed; and 4xx."""
    slow = {"kind": "http_fault", "target": "ticker", "how": "latency"}
    fail = {"kind": "http_fault", "target": "ticker", "how": "status", "status": 500}
    late = {**slow, "path_prefix": "/candles/LATE", "latency_ms": 3500.0}
    over = {**slow, "path_prefix": "/candles/LATE", "latency_ms": 9000.0}
    asked = [signal(at_s, f"LATE{number}") for number, at_s in enumerate((0.3, 8.2, 16.1, 16.15, 16.2))]
    asked += [signal(at_s + i * 0.1, f"BAD{at_s:.0f}X{i}") for at_s in (0.8, 8.8, 16.5) for i in range(5)]
    asked += [signal(at_s, f"PROBE{at_s:.0f}") for at_s in (3.2, 11.2, 18.8)]
    asked += [signal(34.2 + i * 0.2, f"ODD{i}") for i in range(6)]
    return Scenario(
        name="late-answers",
        summary="good and bad answers of calls from before the opening come late; the ticker refuses requests for good",
        steady=calm(seed, "late", for_s=3.0, per_s=4.0),
        workload=Workload.of(asked) + _every(1.5, 0.5, 38.0),
        settings={"downstreams": {"ticker": {"timeout_s": 4.0, "retries": 1, "breaker": {"open_s": 2.0}}}},
        schedule=schedule(
            *((0.2, 0.4, late), (0.7, 0.9, fail), (1.7, 4.0, {**slow, "latency_ms": 2000.0})),
            *((8.1, 0.4, over), (8.6, 0.9, fail), (9.7, 4.0, {**slow, "latency_ms": 2000.0})),
            *((16.0, 0.4, over), (16.45, 0.9, fail)),
            (34.0, 2.0, {**fail, "status": 422}),
        ),
        recovery_s=12.0,
    )


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


def hiccups(seed: int) -> Scenario:
    """The ticker fails two calls at a time, five times over, and is well in between: no row is long enough to open.

    Then the user service fails just when those ask whom it would have to vouch for: nobody is let in unseen.
    """
    moments_s = [1.0 + i * 2.5 for i in range(5)]
    cold = [signal(at_s + 0.05, f"HIC{at_s:g}X{i}") for at_s in moments_s for i in range(2)]
    well = [signal(at_s + 1.4 + i * 0.3, f"WELL{at_s:g}X{i}") for at_s in moments_s for i in range(2)]
    unknown = [signal(16.5, "AAPL", key="inactive"), signal(17.0, "GOOG", key="limited")]
    known = [
        signal(22.0, "AAPL", key="limited"),
        signal(22.5, "GOOG", key="limited"),
        signal(23.0, "AAPL", key="inactive"),
    ]
    fail = {"kind": "http_fault", "how": "status", "status": 500}
    return Scenario(
        name="hiccups",
        summary="short failures with successes between them, and entitlements that nobody can ask for",
        steady=calm(seed, "hiccups", for_s=3.0, per_s=4.0),
        workload=Workload.of([*cold, *well, *unknown, *known]),
        schedule=schedule(
            *((at_s, 0.8, {**fail, "target": "ticker"}) for at_s in moments_s), (16.0, 4.0, {**fail, "target": "user"})
        ),
        recovery_s=5.0,
    )


def sim_scenarios(seed: int) -> tuple[Scenario, ...]:
    """Every scenario that is made for virtual time."""
    makers = (
        *(slow_loads, breakers_unscaled, hung_probe, clock_windows),
        *(rude_unscaled, long_outage, rate_minutes, levels, late_answers, every_damage, refused_alerts, volatile_store),
        *(permits_and_slots, reload_while_open, hiccups),
    )
    return tuple(make(seed) for make in makers)


def sim_startup_cases() -> tuple[StartupCase, ...]:
    """Starts with the start-up time unscaled: 5 s an attempt, 60 s in all."""
    critical = ("redis", "ticker", "user")
    cases = [StartupCase("absent", name) for name in critical]
    cases += [StartupCase("late", name, appear_after_s=50.0) for name in critical]
    cases += [StartupCase("absent", name) for name in ("alert", "comms")]
    cases += [StartupCase("hanging", name) for name in ("ticker", "user")]
    cases.append(StartupCase("sigterm", "redis", signal_after_s=7.0))
    return tuple(cases)


SHOWN_IN_SIMULATION: Mapping[str, str] = MappingProxyType({"C5.2": "slow-loads", "C5.3": "slow-loads"})
"""Claims that only these scenarios exercise, and which of them by design."""
