"""Protocols through which transports, connections, links and listeners see what holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hardening.simulator.core.loop import VirtualLoop
from hardening.toxics import Direction, Draws, Payload


class Wire(Protocol):
    """A connection, as its two transports and its listener see it; ``on_over`` is called when an end is closed."""

    on_over: Callable[[], None] | None

    @property
    def loop(self) -> VirtualLoop:
        """The loop of the run."""

    def send(self, direction: Direction, payload: Payload) -> None:
        """A packet leaves the end that sends in ``direction``."""

    def other(self, end: Any) -> Any:
        """The other end."""

    def over(self, end: Any) -> None:
        """An end is closed or lost."""


class ByteCounter(Protocol):
    """A link, as the bytes that pass it see it."""

    def passed(self, direction: Direction, count: int) -> None:
        """Bytes came from the source of a direction."""


class NetworkView(Protocol):
    """The network, as connections, links and listeners see it."""

    draws: Draws

    @property
    def loop(self) -> VirtualLoop:
        """The loop of the run."""

    @property
    def connections(self) -> Sequence[Any]:
        """The open connections."""

    @property
    def links(self) -> Mapping[str, ByteCounter]:
        """The links, by machine."""

    def latency_between(self, one: str, other: str) -> tuple[float, float]:
        """Bounds of a packet's latency, seconds."""

    def is_parted(self, one: str, other: str) -> bool:
        """Whether packets between two machines are held."""

    def forget(self, connection: Any) -> None:
        """Both ends of a connection are closed."""

    def unlisten(self, server: Any) -> None:
        """Close a listener."""
