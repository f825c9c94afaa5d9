"""The mix of users: six kinds, each drawing operations of the shared workload model from a seed.

In come a seed and a persona, out come operations in order; pure, and the same seed gives the same operations.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from hardening.history.workload import Operation, alert, signal

WARM = ("AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "TSLA")
COLD_SYMBOLS = 1_000_000
SOAK_SYMBOLS = 40
"""A soak looks for what grows without end; were its symbols ever new, the cache would grow as it should."""
REPLAYS = 0.1
WRONG_KEY = "sk_this-key-was-never-given-out"
DISCONNECT_S = 0.01


@dataclass(slots=True)
class Drawer:
    """Draws the operations of one user, in order.

    ``name`` keeps its idempotency keys apart from all others'; cold symbols are drawn from so many.
    """

    rng: random.Random
    name: str
    cold: int = COLD_SYMBOLS
    count: int = 0
    sent: list[tuple[str, str]] = field(default_factory=list)

    def next(self, persona: str, at_s: float = 0.0) -> Operation:
        """The next operation of that persona."""
        self.count += 1
        return PERSONAS[persona].draw(self, at_s)


def _reader(drawer: Drawer, at_s: float) -> Operation:
    """Symbols that everybody asks for: mostly answered from the cache."""
    key, priority = drawer.rng.choice((("demo", "normal"), ("high", "high"), ("low", "low")))
    return signal(at_s, drawer.rng.choice(WARM), key=key, priority=priority)


def _explorer(drawer: Drawer, at_s: float) -> Operation:
    """A symbol that nobody asked for before."""
    return signal(at_s, f"X{drawer.rng.randrange(drawer.cold):06d}")


def _batcher(drawer: Drawer, at_s: float) -> Operation:
    """Several symbols at once; the route itself is of low priority."""
    symbols = drawer.rng.sample(WARM, drawer.rng.randint(2, len(WARM)))
    return Operation(at_s, "batch", "POST", "/v2/signals/batch", "demo", "low", body={"symbols": symbols})


def _alerter(drawer: Drawer, at_s: float) -> Operation:
    """An alert whose rule holds; now and then one is sent again, as a client does that saw no answer."""
    if drawer.sent and drawer.rng.random() < REPLAYS:
        symbol, key = drawer.rng.choice(drawer.sent)
    else:
        symbol, key = drawer.rng.choice(WARM), f"load-{drawer.name}-{drawer.count}"
        drawer.sent.append((symbol, key))
        del drawer.sent[:-20]
    return alert(at_s, symbol, key)


def _rude(drawer: Drawer, at_s: float) -> Operation:
    """Goes away, has no key, has a wrong one, sends what cannot be read."""
    manner = drawer.rng.randrange(4)
    if manner == 0:
        return Operation(at_s, "rude", path="/v2/signals/AAPL", headers={"X-API-Key": WRONG_KEY}, sends="wrong")
    if manner == 1:
        return Operation(at_s, "rude", path="/v2/signals/AAPL", sends="none")
    if manner == 2:
        return Operation(at_s, "rude", "POST", "/v2/alerts", "demo", body='{"symbol": "AAPL", ')
    cold = f"/v2/signals/GONE{drawer.rng.randrange(min(drawer.cold, 1000))}"
    return Operation(at_s, "rude", path=cold, key="demo", disconnect_after_s=DISCONNECT_S)


_CRITICAL = (
    ("health", "/health", ""),
    ("ready", "/ready", "operator"),
    ("admin", "/admin/state", "operator"),
)


def _operator(drawer: Drawer, at_s: float) -> Operation:
    """Looks after the service; whatever happens, it must be answered."""
    operation, path, key = _CRITICAL[drawer.count % len(_CRITICAL)]
    return Operation(at_s, operation, path=path, key=key, priority="critical")


@dataclass(frozen=True, slots=True)
class Persona:
    """A kind of user: how to draw its operations, and how many of a hundred product requests are its."""

    draw: Callable[[Drawer, float], Operation]
    weight: int


PERSONAS: Mapping[str, Persona] = {
    "reader": Persona(_reader, 62),
    "explorer": Persona(_explorer, 12),
    "batcher": Persona(_batcher, 8),
    "alerter": Persona(_alerter, 12),
    "rude": Persona(_rude, 6),
    "operator": Persona(_operator, 0),
}
PRODUCT = tuple(name for name, persona in PERSONAS.items() if persona.weight)


def stream(seed: int, worker: int, arrivals: Iterator[float], tag: str = "") -> Iterator[tuple[str, Operation]]:
    """Persona and operation for each arrival, by weight; the same for the same seed, worker and tag."""
    rng = random.Random(f"mix-{seed}-{worker}")
    drawer = Drawer(rng, f"{tag}{seed}.{worker}")
    weights = [PERSONAS[name].weight for name in PRODUCT]
    for at_s in arrivals:
        persona = rng.choices(PRODUCT, weights)[0]
        yield persona, drawer.next(persona, at_s)
