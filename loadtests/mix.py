"""The users of a load run: each draws operations of the scenarios' own workload model, by a generator of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from loadtests.spec import LoadSpec
from scenarios.judge.workload import Operation, alert, signal

SYMBOLS = ("AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "TSLA")
BATCH_SIZE = 5
REPEATED_SHARE = 0.1
RUDE_WAYS = ("hang_up", "wrong_key", "no_key", "malformed")
HANG_UP_AFTER_S = 0.05

Draw = Callable[[random.Random, LoadSpec, str], Operation]
"""Draws one operation; the text is unique for this request (it makes idempotency keys)."""


def reader(rng: random.Random, _spec: LoadSpec, _unique: str) -> Operation:
    """A few symbols that everybody asks for: cached."""
    key = rng.choice(("demo", "demo", "high"))
    return signal(0.0, rng.choice(SYMBOLS), key=key, priority="high" if key == "high" else "normal")


def explorer(rng: random.Random, spec: LoadSpec, _unique: str) -> Operation:
    """A symbol that hardly anybody asked for before: cold."""
    return signal(0.0, f"X{rng.randrange(spec.cold)}", key="demo")


def batcher(rng: random.Random, _spec: LoadSpec, _unique: str) -> Operation:
    """Several symbols at once, with low priority."""
    body = {"symbols": rng.sample(SYMBOLS, BATCH_SIZE), "timeframe": "1m"}
    return Operation(0.0, "batch", "POST", "/v2/signals/batch", "low", "low", body=body)


def alerter(rng: random.Random, _spec: LoadSpec, unique: str) -> Operation:
    """An alert whose rule holds; now and then one that was posted before, which must change nothing."""
    symbol = rng.choice(SYMBOLS)
    key = f"again-{symbol}" if rng.random() < REPEATED_SHARE else unique
    return alert(0.0, symbol, key)


def rude(rng: random.Random, _spec: LoadSpec, _unique: str) -> Operation:
    """Hangs up, sends wrong keys or none, or what is no JSON."""
    way, symbol = rng.choice(RUDE_WAYS), rng.choice(SYMBOLS)
    if way == "hang_up":
        return signal(0.0, symbol, disconnect_after_s=HANG_UP_AFTER_S)
    if way == "malformed":
        return Operation(0.0, "rude", "POST", "/v2/alerts", "demo", body='{"symbol": ')
    path = f"/v2/signals/{symbol}?timeframe=1m"
    headers = {"X-API-Key": "sk_nobody"} if way == "wrong_key" else {}
    return Operation(0.0, "rude", path=path, headers=headers, sends="wrong" if headers else "none")


DRAWS: Mapping[str, Draw] = MappingProxyType(
    {"reader": reader, "explorer": explorer, "batcher": batcher, "alerter": alerter, "rude": rude}
)


def kinds(spec: LoadSpec) -> tuple[list[str], list[float]]:
    """The kinds of users and their shares, for a weighted choice."""
    wanted = [(kind, share) for kind, share in spec.mix.items() if share > 0]
    return [kind for kind, _ in wanted], [share for _, share in wanted]


def draw(rng: random.Random, spec: LoadSpec, unique: str) -> tuple[str, Operation]:
    """A kind by its share, and one of its operations."""
    names, shares = kinds(spec)
    kind = rng.choices(names, shares)[0]
    return kind, DRAWS[kind](rng, spec, unique)


def watch(number: int) -> Operation:
    """What the operator asks for, in turn: health every second, readiness and metrics every five."""
    critical = {"key": "operator", "priority": "critical"}
    if number % 5 == 1:
        return Operation(0.0, "metrics", path="/metrics", **critical)  # type: ignore[arg-type]
    if number % 5 == 3:
        return Operation(0.0, "ready", path="/ready", **critical)  # type: ignore[arg-type]
    return Operation(0.0, "health", path="/health", priority="critical")
