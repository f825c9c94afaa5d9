"""Drives toxics in a time that the test makes."""

from __future__ import annotations

from typing import Any

from hardening.toxics import TYPES, Direction, Link, Payload, ToxicSpec, seeded_draws

BYTES = bytes(range(256)) * 40


def spec(kind: str, stream: str = "downstream", toxicity: float = 1.0, name: str = "", **attributes: Any) -> ToxicSpec:
    cls = TYPES[kind]
    return ToxicSpec(name or kind, cls, stream, toxicity, cls.read_attributes(attributes))


class Driver:
    """Drives a link in virtual time and keeps what came out, with its time."""

    def __init__(self, *specs: ToxicSpec, seed: int = 1, number: int = 1) -> None:
        self.now = 0.0
        self.out: list[tuple[float, Direction, Payload]] = []
        self.link = Link("p", number, seeded_draws(seed), specs, self.now)

    def feed(self, data: Payload, direction: Direction = "downstream") -> None:
        self._keep(self.link.feed(direction, data, self.now))

    def at(self, now: float) -> None:
        """Move to ``now``, waking the link whenever it asks."""
        while (due := self.link.next_at()) <= now:
            self.now = max(self.now, due)
            self._keep(self.link.advance(self.now))
        self.now = now

    def add(self, new: ToxicSpec) -> None:
        self.link.add(new, self.now)
        self._keep(self.link.advance(self.now))

    def update(self, changed: ToxicSpec, toxicity: float = 1.0, **attributes: Any) -> None:
        changed.attributes = changed.kind.read_attributes(attributes, changed.attributes)
        changed.toxicity = toxicity
        self.link.update(changed.name, self.now)
        self._keep(self.link.advance(self.now))

    def remove(self, name: str) -> None:
        self.link.remove(name, self.now)
        self._keep(self.link.advance(self.now))

    def _keep(self, due: list[tuple[Direction, Payload]]) -> None:
        self.out += [(self.now, direction, payload) for direction, payload in due]

    def data(self, direction: Direction = "downstream") -> bytes:
        return b"".join(p for _, way, p in self.out if way == direction and isinstance(p, bytes))

    def events(self, direction: Direction = "downstream") -> list[tuple[float, Payload]]:
        return [(round(at, 6), payload) for at, way, payload in self.out if way == direction]
