"""The live scenarios that ``hardening certify`` runs: each one story, as data."""

from __future__ import annotations

import random

from hardening.catalogue.live_outages import OUTAGES, SYMBOLS, calm, schedule
from hardening.catalogue.scenario import Reload, Scenario, StartupCase
from hardening.history.workload import Operation, Workload, alert, batch, herd, signal
from hardening.worlds.shared import leaky_library, unclosable
from hardening.worlds.shared.keys import LIMITED, Secrets


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


def planted_secrets(seed: int) -> tuple[dict[str, str], ...]:
    """Canaries of every kind, drawn from the seed; the card is a test number that passes Luhn."""
    rng = random.Random(f"canaries-{seed}")

    def text(length: int) -> str:
        return "".join(rng.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(length))

    jwt = ".".join(["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "eyJ" + text(40), text(43)])
    kinds = {
        "query_token": ("token", f"tok_{text(32)}"),
        "password": ("password", f"hunter-{text(14)}"),
        "wrong_key": ("api_key", f"sk_{text(32)}"),
        "card": ("card", "4929731084426097"),
        "email": ("email", f"jane.{text(6)}@example.org"),
        "jwt": ("jwt", jwt),
        "database_url": ("url", f"postgresql://app:{text(16)}@db.internal:5432/prices"),
        "phone": ("phone", f"+49 30 {rng.randrange(10**7, 10**8)}"),
        "national_phone": ("phone", f"(555) 234-{rng.randrange(1000, 10_000)}"),
        "redis_url": ("url_password", text(24)),
        "private_key": ("pem", f"MIIEvQ{text(58)}"),
        "bearer_token": ("bearer", text(40)),
    }
    return tuple({"name": name, "kind": kind, "value": value} for name, (kind, value) in kinds.items())


KEEP = (
    '{"t":1795442340,"o":264.8013,"h":265.1,"l":263.9,"c":264.02,"v":4929731}',
    "symbol AAPL price 187.4432 volume 1234567890 change -0.0213",
    "request 0f8fad5b-d9cb-469f-a165-70867728950e done at 2026-11-23T14:01:22.842287+00:00",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "generation 17 epoch 1795442340123 bars 200",
    '{"field": "service_token", "error": "must be drawn at random", "generation": 2}',
    "order 4929731084426098 filled, trade 5105105105105101",
)


def limited(at_s: float) -> list[Operation]:
    """One who may see AAPL and MSFT asks for these, for another one, and for all of them in one request."""
    seen, other = list(LIMITED["erin"]), "GOOG"
    single = [signal(at_s + i * 0.05, symbol, key="limited") for i, symbol in enumerate([*seen, other])]
    posted = [
        alert(at_s + 0.3 + i * 0.05, symbol, f"limited-{i}", key="limited") for i, symbol in enumerate(["MSFT", "GOOG"])
    ]
    several = [
        batch(at_s + 0.15 + i * 0.05, symbols, key="limited")
        for i, symbols in enumerate([seen, [*seen, other], [other, *seen]])
    ]
    return [*single, *several, *posted]


def secrets(seed: int) -> Scenario:
    """Secrets in query strings, headers, bodies, paths, and in what a library logs; wrong keys; nobody's scope."""
    canaries = planted_secrets(seed)
    own = [canary for canary in Secrets.draw(seed).canaries() if canary["kind"] == "own"]
    query, password, wrong, card, email = (canary["value"] for canary in canaries[:5])
    rude = [
        Operation(0.1, "signal", path=f"/v2/signals/AAPL?api_key={query}&timeframe=1m", key="demo"),
        Operation(0.2, "signal", path=f"/v2/signals/AAPL?timeframe={query}", key="demo"),
        Operation(0.3, "signal", path="/v2/signals/AAPL", headers={"X-API-Key": wrong}, sends="wrong"),
        Operation(0.4, "signal", path="/v2/signals/AAPL", headers={"Authorization": f"Bearer {wrong}"}, sends="wrong"),
        Operation(0.5, "signal", path=f"/v2/signals/{email}", key="demo"),
        Operation(0.6, "alert", "POST", "/v2/alerts", "demo", body={"symbol": "AAPL", "password": password}),
        Operation(0.7, "alert", "POST", "/v2/alerts", "demo", body=f'{{"card": "{card}", '),
        Operation(0.8, "admin", path="/admin/state", key="demo", sends="other_scope"),
        Operation(0.9, "metrics", path="/metrics", key="demo", sends="other_scope"),
        Operation(1.0, "signal", path="/v2/signals/AAPL", sends="none"),
        Operation(1.1, "signal", path=f"/no/such/{query}?password={password}", key="demo"),
        Operation(1.2, "signal", path="/v2/signals/AAPL", headers={"X-Trace": f"token={query} {email}"}, key="demo"),
        signal(1.3, "AAPL", key="inactive"),
        *limited(1.35),
        Operation(1.26, "signal", path=f"/v2/signals/MSFT?api_key={Secrets.draw(seed).keys['high'].key}", sends="none"),
        # Who somebody is follows from the key, and from nothing that anybody can write beside it.
        Operation(
            1.28, "signal", path="/v2/signals/MSFT", key="demo", headers={"X-User": "bob", "X-Forwarded-User": "bob"}
        ),
    ]
    closed = ("/docs", "/openapi.json", "/metrics", "/admin/state", "/admin/config")
    rude += [Operation(1.5 + i * 0.02, "other", path=path, sends="none") for i, path in enumerate(closed)]
    changing = ("/admin/reload", "/admin/rollback", "/admin/cache/invalidate", "/v2/alerts", "/v2/signals/batch")
    rude += [
        Operation(1.6 + i * 0.02, "other", "POST", path, body={"symbol": "AAPL"}, sends="none")
        for i, path in enumerate(changing)
    ]
    good = [signal(0.15 + i * 0.1, SYMBOLS[i % 6], key=("demo", "high")[i % 2]) for i in range(16)]
    admin = [Operation(1.4, "admin", path=f"/admin/{what}", key="operator") for what in ("state", "config")]
    return Scenario(
        name="secrets",
        summary="secrets where they do not belong, wrong keys, wrong scopes",
        steady=calm(seed, "secrets", for_s=1.0),
        workload=Workload.of([*rude, *good, *admin]),
        canaries=canaries,
        keep=KEEP,
        environment=leaky_library.variables([*canaries, *own], KEEP),
        recovery_s=2.0,
    )


def live_scenarios(seed: int) -> tuple[Scenario, ...]:
    """Every live scenario, longest first."""
    makers = (*OUTAGES, service_killed, redis_outage, cancelled_herd, signals, burst, secrets)
    return tuple(make(seed) for make in makers)


def startup_cases() -> tuple[StartupCase, ...]:
    """Every start under difficulties, in the order in which they run."""
    critical = ("redis", "ticker", "user")
    cases = [StartupCase("absent", name) for name in critical]
    cases += [StartupCase("late", name, appear_after_s=0.9) for name in critical]
    cases += [StartupCase("absent", name) for name in ("alert", "comms")]
    cases += [StartupCase("hanging", "user"), StartupCase("sigterm", "redis", signal_after_s=0.4)]
    return tuple(cases)
