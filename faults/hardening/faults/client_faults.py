"""Abusive clients: slow heads and bodies, half-closed connections, floods, clients that leave in mid-answer.

In: how many connections, times in ms, sizes in bytes; out: faults on the ``listener`` target. The effect counts what
the connections did and what became of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hardening.faults.base import Effect, Fault, FaultError, HealError, between
from hardening.faults.crowd import Crowd
from hardening.faults.targets import Listener


class _ClientFault(Fault):
    """What they share: a crowd of connections is the token; healing closes it."""

    __slots__ = ()
    protocol: ClassVar[str] = "listener"
    targets: ClassVar[tuple[str, ...]] = ("service",)

    async def heal(self, target: Listener, token: object) -> Effect:
        """Close every connection, verified; says what they did and what became of them."""
        if not isinstance(token, Crowd):
            return Effect({})
        await token.leave()
        if token.left_open():
            raise HealError(f"{token.left_open()} connections of {self.kind} are still open")
        # A connection that could not even be opened hurt nobody.
        return Effect({name: float(n) for name, n in token.counts.items() if name != "connections_refused"})


def _check_path(path: str) -> None:
    if not path.startswith("/") or any(sign.isspace() for sign in path):
        raise FaultError("fault.path", path, "a path that begins with / and has no space")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowHead(_ClientFault):
    """``connections`` send their request's head a byte every ``byte_ms`` and never finish it (Slowloris)."""

    kind: ClassVar[str] = "slow_head"
    summary: ClassVar[str] = "clients that send the head of a request byte by byte"
    variants = ({"connections": 20},)
    drawn = ({"connections": range(1, 9)},)

    target: str = "service"
    connections: int = 20
    byte_ms: float = 200.0
    path: str = "/health"

    def validate(self) -> None:
        """A crowd that one machine can hold."""
        between("connections", self.connections, 1, 10_000)
        between("byte_ms", self.byte_ms, 1, 60_000)
        _check_path(self.path)

    async def inject(self, target: Listener) -> object:
        """Connect and begin to drip."""
        head = f"GET {self.path} HTTP/1.1\r\nHost: service\r\nX-Slow: ".encode()
        return await Crowd.gather(target.address(), self.connections, lambda one: one.drip(head, self.byte_ms / 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowBody(_ClientFault):
    """``connections`` send a whole head, then of ``body_bytes`` promised a byte every ``byte_ms``."""

    kind: ClassVar[str] = "slow_body"
    summary: ClassVar[str] = "clients that send the body of a request byte by byte"
    variants = ({"connections": 20},)
    drawn = ({"connections": range(1, 9)},)

    target: str = "service"
    connections: int = 20
    byte_ms: float = 200.0
    body_bytes: int = 1000
    path: str = "/v2/alerts"

    def validate(self) -> None:
        """A crowd that one machine can hold."""
        between("connections", self.connections, 1, 10_000)
        between("byte_ms", self.byte_ms, 1, 60_000)
        between("body_bytes", self.body_bytes, 2, 1_000_000_000)
        _check_path(self.path)

    async def inject(self, target: Listener) -> object:
        """Connect, send the head, begin to drip."""
        more = {"Content-Type": "application/json", "Content-Length": str(self.body_bytes), **target.headers()}
        head = _head("POST", self.path, more)

        async def slow(one: Crowd.One) -> None:
            await one.send(head)
            await one.drip(b"{", self.byte_ms / 1000)

        return await Crowd.gather(target.address(), self.connections, slow)


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfClosed(_ClientFault):
    """``connections`` send half a head and close their sending side, then wait for what comes."""

    kind: ClassVar[str] = "client_half_closed"
    summary: ClassVar[str] = "clients that close their sending side in the middle of a request"
    variants = ({"connections": 20},)
    drawn = ({"connections": range(1, 9)},)

    target: str = "service"
    connections: int = 20
    path: str = "/health"

    def validate(self) -> None:
        """A crowd that one machine can hold."""
        between("connections", self.connections, 1, 10_000)
        _check_path(self.path)

    async def inject(self, target: Listener) -> object:
        """Connect, say half, close half."""
        half = f"GET {self.path} HTTP/1.1\r\nHost: serv".encode()

        async def half_close(one: Crowd.One) -> None:
            await one.send(half)
            await one.end_sending()
            await one.wait_cut()

        return await Crowd.gather(target.address(), self.connections, half_close)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFlood(_ClientFault):
    """``connections`` are opened as fast as they can be, and say nothing."""

    kind: ClassVar[str] = "connection_flood"
    summary: ClassVar[str] = "many connections that say nothing"
    variants = ({"connections": 150},)
    drawn = ({"connections": range(10, 61)},)

    target: str = "service"
    connections: int = 500

    def validate(self) -> None:
        """A crowd that one machine can hold."""
        between("connections", self.connections, 1, 20_000)

    async def inject(self, target: Listener) -> object:
        """Open them all."""
        return await Crowd.gather(target.address(), self.connections, lambda one: one.wait_cut())


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectMidAnswer(_ClientFault):
    """Clients ask for ``path`` and reset the connection once ``after_bytes`` of the answer are there; then again.

    ``after_bytes`` 0 leaves before the first byte, ``wait_ms`` after the request went out.
    """

    kind: ClassVar[str] = "disconnect_mid_answer"
    summary: ClassVar[str] = "clients that go away in the middle of the answer, or just before it"
    variants = ({"connections": 3}, {"connections": 3, "after_bytes": 0})
    drawn = ({"connections": range(1, 4), "after_bytes": 0, "wait_ms": (50.0, 250.0)},)

    target: str = "service"
    connections: int = 5
    path: str = "/health"
    after_bytes: int = 20
    wait_ms: float = 5.0

    def validate(self) -> None:
        """A crowd that one machine can hold."""
        between("connections", self.connections, 1, 1_000)
        between("wait_ms", self.wait_ms, 0, 60_000)
        _check_path(self.path)

    async def inject(self, target: Listener) -> object:
        """Ask and leave, over and over, each client one connection after the other."""
        # They take permits like any client; the request id lets judges leave them out of the count.
        head = _head("GET", self.path, {**target.headers(), "X-Request-Id": "harness-leaving"})

        async def leave(one: Crowd.One) -> None:
            while True:
                await one.send(head)
                await one.leave_after(self.after_bytes, self.wait_ms / 1000)
                await one.reconnect()

        return await Crowd.gather(target.address(), self.connections, leave)


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: service", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
