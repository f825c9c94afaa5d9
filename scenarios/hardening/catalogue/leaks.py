"""Scenarios with secrets in every place where they do not belong.

In: a seed. Out: scenarios as data; times in seconds from the first fault's zero.
"""

from __future__ import annotations

import random

from hardening.catalogue.pieces import SYMBOLS, calm, listed
from hardening.catalogue.scenario import Scenario
from hardening.history.workload import Operation, Workload, alert, batch, signal
from hardening.worlds.shared import leaky_library
from hardening.worlds.shared.keys import LIMITED, Secrets


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


@listed()
def secrets(seed: int) -> Scenario:
    """Secrets in query strings, headers, bodies, paths, and in what a library logs; wrong keys; nobody's scope."""
    canaries = planted_secrets(seed)
    own = [canary for canary in Secrets.draw(seed).canaries() if canary["kind"] == "own"]
    query, password, wrong, card, email = (canary["value"] for canary in canaries[:5])
    misplaced = [
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
    misplaced += [Operation(1.5 + i * 0.02, "other", path=path, sends="none") for i, path in enumerate(closed)]
    changing = ("/admin/reload", "/admin/rollback", "/admin/cache/invalidate", "/v2/alerts", "/v2/signals/batch")
    misplaced += [
        Operation(1.6 + i * 0.02, "other", "POST", path, body={"symbol": "AAPL"}, sends="none")
        for i, path in enumerate(changing)
    ]
    good = [signal(0.15 + i * 0.1, SYMBOLS[i % 6], key=("demo", "high")[i % 2]) for i in range(16)]
    admin = [Operation(1.4, "admin", path=f"/admin/{what}", key="operator") for what in ("state", "config")]
    return Scenario(
        name="secrets",
        summary="secrets where they do not belong, wrong keys, wrong scopes",
        steady=calm(seed, "secrets", for_s=1.0),
        workload=Workload.of([*misplaced, *good, *admin]),
        canaries=canaries,
        keep=KEEP,
        environment=leaky_library.variables([*canaries, *own], KEEP),
        recovery_s=2.0,
    )


@listed("live")
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
