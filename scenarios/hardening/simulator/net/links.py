"""A link to one machine: the toxics on it, whether it is up, and what it counted. A ``Link`` target of faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hardening.simulator.net.connection import Connection
from hardening.simulator.net.network_view import NetworkView
from hardening.toxics import TYPES, Direction, Link, ToxicSpec


class SimLink:
    """Every connection to the machine ``name`` passes here, as through a proxy in front of it."""

    def __init__(self, network: NetworkView, name: str) -> None:
        self._network = network
        self.name = name
        self.specs: list[ToxicSpec] = []
        self.enabled = True
        self._passed: dict[str, float] = {"connections": 0.0, "dropped": 0.0, "refused": 0.0}
        self._gone: dict[str, float] = {}

    def passed(self, direction: Direction, count: int) -> None:
        """Bytes came from the source of a direction."""
        key = f"received_bytes_{direction}"
        self._passed[key] = self._passed.get(key, 0.0) + count

    def refused(self) -> None:
        """A connection was turned away."""
        self._passed["refused"] += 1

    def open(self, number: int) -> Link:
        """The toxics of a new connection."""
        self._passed["connections"] += 1
        return Link(self.name, number, self._network.draws, self.specs, self._network.loop.time())

    async def add_toxic(self, toxic: str, stream: str, toxicity: float, attributes: Mapping[str, Any]) -> str:
        """Add a toxic to the end of the chain, live connections included; returns its name.

        Raises:
            ValueError: an unknown toxic or stream, or an attribute it can not take.
        """
        if toxic not in TYPES:
            raise ValueError(f"toxic is {toxic!r}, allowed: {', '.join(sorted(TYPES))}")
        if stream.lower() not in ("upstream", "downstream"):
            raise ValueError(f"stream is {stream!r}, allowed: upstream, downstream")
        name = f"{toxic}_{stream}"
        while any(spec.name == name for spec in self.specs):
            name += "_again"
        spec = ToxicSpec(name, TYPES[toxic], stream, toxicity, TYPES[toxic].read_attributes(attributes))
        self.specs.append(spec)
        for connection in self._connections():
            if connection.link is None:
                connection.link = self.open(self._number_of(connection))
            else:
                connection.link.add(spec, self._network.loop.time())
            connection.advance()
        return name

    async def remove_toxic(self, name: str) -> None:
        """Take it out; what it held goes on.

        Raises:
            KeyError: when there is none of that name.
        """
        spec = next((spec for spec in self.specs if spec.name == name), None)
        if spec is None:
            raise KeyError(name)
        self.specs.remove(spec)
        for effect, count in spec.tally.items():
            key = f"toxic.{name}.{effect}"
            self._gone[key] = self._gone.get(key, 0.0) + count
        for connection in self._connections():
            if connection.link is not None:
                connection.link.remove(name, self._network.loop.time())
                connection.advance()

    async def set_enabled(self, enabled: bool) -> None:
        """Bring the link up or down; going down drops its connections."""
        if self.enabled and not enabled:
            for connection in self._connections():
                self._passed["dropped"] += 1
                connection.hang_up()
        self.enabled = enabled

    async def counters(self) -> Mapping[str, float]:
        """Counts of what passed and what was hurt, since the link began: the names are those of the proxy."""
        total = {**self._passed, **self._gone}
        for spec in self.specs:
            for effect, count in spec.tally.items():
                key = f"toxic.{spec.name}.{effect}"
                total[key] = total.get(key, 0.0) + count
        return total

    def _connections(self) -> list[Connection]:
        return [c for c in self._network.connections if c.ends["downstream"].host.name == self.name]

    def _number_of(self, connection: Connection) -> int:
        return int(connection.name.rpartition("#")[2])
