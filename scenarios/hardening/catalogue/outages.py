"""Scenarios in which a dependency fails: Redis, a downstream, its name, or the network on the way to it.

In: a seed. Out: scenarios as data; times in seconds from the first fault's zero.
"""

from __future__ import annotations

from hardening.catalogue.pieces import BREAKERS_S, SYMBOLS, calm, every, listed, schedule
from hardening.catalogue.scenario import Scenario
from hardening.history.workload import Workload, alert, signal

TTL_S, STALE_S = 60.0, 300.0


@listed(confirm=2)
def redis_outage(seed: int) -> Scenario:
    """Redis dies by SIGKILL under load and comes back with its data."""
    work = calm(seed, "redis-work", for_s=4.0, per_s=12.0)
    cold = Workload.of(signal(0.6 + i * 0.25, f"COLD{i}") for i in range(36))
    return Scenario(
        name="redis-outage",
        summary="Redis is killed under load, and restarted",
        steady=calm(seed, "redis-outage"),
        workload=work + cold,
        schedule=schedule((0.5, 2.0, {"kind": "redis_killed"})),
    )


@listed(confirm=5)
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


@listed()
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


@listed()
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


@listed()
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


@listed()
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


@listed("simulated")
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
        workload=Workload.of([*cold, *half, *posted, *users]) + every(2.5, 0.5, 200.0),
        schedule=schedule(
            (0.5, 12.0, {**fail, "target": "ticker"}),
            (29.0, 9.0, {**fail, "target": "alert"}),
            (149.0, 9.0, {**fail, "target": "comms"}),
            (88.0, 22.0, {**fail, "target": "user"}),
        ),
        recovery_s=BREAKERS_S + 10.0,
    )


@listed("simulated")
def hung_probe(seed: int) -> Scenario:
    """The ticker's breaker half opens onto a ticker that hangs: the lease of 5 s comes back, the next probe heals."""
    fail = {"kind": "http_fault", "target": "ticker"}
    cold = [signal(0.6 + i * 0.4, f"HUNG{i}") for i in range(12)]
    probes = [signal(60.0 + i * 0.5, f"LEASE{i}", disconnect_after_s=1.0 if i % 3 == 0 else None) for i in range(40)]
    return Scenario(
        name="hung-probe",
        summary="a half-open breaker's probe hangs, callers go away; its lease of 5 s comes back, unscaled",
        steady=calm(seed, "hung", for_s=4.0, per_s=4.0),
        workload=Workload.of([*cold, *probes]) + every(3.0, 0.5, 140.0),
        # The request's time ends before the attempt's would: only the lease can free the place of the probe.
        settings={"downstreams": {"ticker": {"timeout_s": 30.0}}},
        schedule=schedule((0.5, 5.0, {**fail, "how": "status", "status": 503}), (55.0, 14.0, {**fail, "how": "hang"})),
        recovery_s=BREAKERS_S + 10.0,
    )


@listed("simulated")
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
        workload=Workload.of(asked) + every(1.5, 0.5, 38.0),
        settings={"downstreams": {"ticker": {"timeout_s": 4.0, "retries": 1, "breaker": {"open_s": 2.0}}}},
        schedule=schedule(
            *((0.2, 0.4, late), (0.7, 0.9, fail), (1.7, 4.0, {**slow, "latency_ms": 2000.0})),
            *((8.1, 0.4, over), (8.6, 0.9, fail), (9.7, 4.0, {**slow, "latency_ms": 2000.0})),
            *((16.0, 0.4, over), (16.45, 0.9, fail)),
            (34.0, 2.0, {**fail, "status": 422}),
        ),
        recovery_s=12.0,
    )


@listed("simulated")
def long_outage(seed: int) -> Scenario:
    """Ticker and Redis are gone for longer than TTL and grace together: marked copies for 360 s, and then none."""
    gone_s = TTL_S + STALE_S + 60.0
    return Scenario(
        name="long-outage",
        summary="ticker and Redis are gone for seven minutes; copies are served, marked, for 60 + 300 s unscaled",
        steady=calm(seed, "long", for_s=3.0, per_s=5.0),
        workload=every(2.0, 0.2, gone_s + 80.0),
        schedule=schedule(
            (1.0, gone_s, {"kind": "http_fault", "target": "ticker", "how": "status", "status": 503}),
            (20.0, gone_s - 30.0, {"kind": "redis_killed"}),
        ),
        recovery_s=BREAKERS_S + 10.0,
    )


@listed("simulated")
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
