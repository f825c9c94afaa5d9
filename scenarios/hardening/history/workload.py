"""A workload as plain data: requests with their moments and keys, the same in every world; times in seconds."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

Priority = Literal["critical", "high", "normal", "low"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of a workload.

    Attributes:
        at_s: when it starts, in seconds since the workload began, whatever the answers before it do.
        operation: ``signal``, ``batch``, ``alert``, ``health``, ``ready``, ``metrics``, ``admin`` or ``rude``.
        method: HTTP method.
        path: path with query.
        key: name of the API key to send (a key of the world's key ring), empty for none.
        priority: of the key's owner, or ``critical`` for critical routes.
        headers: further headers.
        body: JSON value of the body, ``None`` for none.
        disconnect_after_s: the client disconnects so long after it sent the request; ``None``: it waits.
        timeout_s: the client gives up after so long.
        sends: the kind of key that is sent: ``valid``, ``none``, ``wrong``, ``other_scope`` (for the judge of C4.5).
    """

    at_s: float
    operation: str
    method: str = "GET"
    path: str = "/health"
    key: str = ""
    priority: Priority = "normal"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    disconnect_after_s: float | None = None
    timeout_s: float = 10.0
    sends: Literal["valid", "none", "wrong", "other_scope"] = "valid"

    def to_json(self) -> dict[str, Any]:
        """The JSON object, without the fields that have their default."""
        blank = asdict(Operation(0.0, ""))
        return {name: value for name, value in asdict(self).items() if name == "at_s" or value != blank[name]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build from the JSON object; unknown fields raise TypeError."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Workload:
    """Operations ordered by their start."""

    operations: tuple[Operation, ...] = ()

    @classmethod
    def of(cls, operations: Iterable[Operation]) -> Self:
        """Order them; equal times keep their order."""
        return cls(tuple(sorted(operations, key=lambda operation: operation.at_s)))

    def __add__(self, other: Workload) -> Workload:
        return Workload.of((*self.operations, *other.operations))

    def shifted(self, by_s: float) -> Workload:
        """The same, later."""
        moved = ((asdict(o) | {"at_s": o.at_s + by_s}) for o in self.operations)
        return Workload(tuple(Operation(**fields) for fields in moved))

    @property
    def duration_s(self) -> float:
        """When the last operation starts."""
        return max((operation.at_s for operation in self.operations), default=0.0)

    def to_json(self) -> list[dict[str, Any]]:
        """A list of operations."""
        return [operation.to_json() for operation in self.operations]

    @classmethod
    def from_json(cls, data: Sequence[Mapping[str, Any]]) -> Self:
        """Build from the list."""
        return cls.of(Operation.from_json(entry) for entry in data)

    def dumps(self) -> str:
        """Canonical JSON text."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))


def signal(at_s: float, symbol: str, *, key: str = "demo", timeframe: str = "1m", **changes: Any) -> Operation:
    """Request the signal of one symbol."""
    path = f"/v2/signals/{symbol}?timeframe={timeframe}"
    return Operation(at_s, "signal", path=path, key=key, **changes)


def batch(at_s: float, symbols: Iterable[str], *, key: str = "demo", **changes: Any) -> Operation:
    """Request the signals of several symbols at once."""
    return Operation(at_s, "batch", "POST", "/v2/signals/batch", key, body={"symbols": list(symbols)}, **changes)


def alert(at_s: float, symbol: str, idempotency_key: str, *, key: str = "demo", **changes: Any) -> Operation:
    """Post an alert whose rule always holds (the price is above zero)."""
    body = changes.pop(
        "body", {"symbol": symbol, "rule": {"indicator": "price", "op": ">", "value": 0.0001}, "channel": "email"}
    )
    headers = {"Idempotency-Key": idempotency_key}
    return Operation(at_s, "alert", "POST", "/v2/alerts", key=key, headers=headers, body=body, **changes)


def invalidate(at_s: float, symbol: str, *, timeframe: str = "1m") -> Operation:
    """An operator invalidates the candles of one symbol."""
    body = {"symbol": symbol, "timeframe": timeframe}
    return Operation(at_s, "admin", "POST", "/admin/cache/invalidate", "operator", "critical", body=body)


def steady(rng: random.Random, *, for_s: float, per_s: float, symbols: Sequence[str], key: str = "demo") -> Workload:
    """Signals in open arrivals (exponential gaps), symbols drawn evenly, with a health check every second."""
    at_s, operations = 0.0, [Operation(float(s), "health", priority="critical") for s in range(int(for_s) + 1)]
    while (at_s := at_s + rng.expovariate(per_s)) < for_s:
        operations.append(signal(at_s, rng.choice(symbols), key=key))
    return Workload.of(operations)


def herd(at_s: float, count: int, symbol: str, *, key: str = "demo", **changes: Any) -> Workload:
    """Many callers of one symbol at one moment."""
    return Workload(tuple(signal(at_s, symbol, key=key, **changes) for _ in range(count)))
