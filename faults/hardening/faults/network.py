"""Network faults: toxics on a link through any Toxiproxy, as data.

Each fault is one toxic (or the link being down). Its bite is what the proxy counted between inject and heal: the
toxic's own effects where the proxy knows them (ours), else the bytes that passed meanwhile (the real one, which
counts a connection's bytes only when it has ended).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hardening.faults.base import Bite, Fault, FaultError, HealError, Link
from hardening.faults.network_link import LINKS, LinkFault, ToxicToken, at_least, grown_counts
from hardening.faults.network_own import (
    ConnectDelay,
    ConnectRefuse,
    FailFirst,
    HalfClose,
    HttpErrorAnswers,
    NetCorrupt,
    NetLoss,
    RedisErrorReplies,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetLatency(LinkFault):
    """Bytes come late."""

    kind: ClassVar[str] = "net_latency"
    summary: ClassVar[str] = "delay every byte by latency_ms +/- jitter_ms"
    toxic: ClassVar[str] = "latency"

    latency_ms: int = 100
    jitter_ms: int = 0

    def validate(self) -> None:
        """Something must come late, and nothing early."""
        at_least("latency_ms", self.latency_ms, 1)
        if not 0 <= self.jitter_ms <= self.latency_ms:
            raise FaultError("fault.jitter_ms", self.jitter_ms, "0 to latency_ms")

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"latency": self.latency_ms, "jitter": self.jitter_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetBandwidth(LinkFault):
    """The line is thin."""

    kind: ClassVar[str] = "net_bandwidth"
    summary: ClassVar[str] = "let rate_kb_per_s pass; 0 passes nothing and closes nothing"
    toxic: ClassVar[str] = "bandwidth"

    rate_kb_per_s: int = 10

    def validate(self) -> None:
        """A rate is not negative."""
        at_least("rate_kb_per_s", self.rate_kb_per_s, 0)

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"rate": self.rate_kb_per_s}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetReset(LinkFault):
    """Connections are reset as soon as they are used."""

    kind: ClassVar[str] = "net_reset"
    summary: ClassVar[str] = "reset both sockets timeout_ms after the first bytes"
    toxic: ClassVar[str] = "reset_peer"

    timeout_ms: int = 0

    def validate(self) -> None:
        """Time is not negative."""
        at_least("timeout_ms", self.timeout_ms, 0)

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"timeout": self.timeout_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetTimeout(LinkFault):
    """Bytes vanish."""

    kind: ClassVar[str] = "net_timeout"
    summary: ClassVar[str] = "drop all bytes, close after timeout_ms without any (0: never)"
    toxic: ClassVar[str] = "timeout"

    timeout_ms: int = 0

    def validate(self) -> None:
        """Time is not negative."""
        at_least("timeout_ms", self.timeout_ms, 0)

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"timeout": self.timeout_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetSlicer(LinkFault):
    """Messages come in crumbs."""

    kind: ClassVar[str] = "net_slicer"
    summary: ClassVar[str] = "cut bytes into pieces of average_bytes, delay_us apart"
    toxic: ClassVar[str] = "slicer"

    average_bytes: int = 16
    variation_bytes: int = 0
    delay_us: int = 1000

    def validate(self) -> None:
        """A piece has at least one byte."""
        at_least("average_bytes", self.average_bytes, 1)
        at_least("delay_us", self.delay_us, 0)
        if not 0 <= self.variation_bytes < self.average_bytes:
            raise FaultError("fault.variation_bytes", self.variation_bytes, "0 to below average_bytes")

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {
            "average_size": self.average_bytes,
            "size_variation": self.variation_bytes,
            "delay": self.delay_us,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class NetLimitData(LinkFault):
    """Connections close in mid-message."""

    kind: ClassVar[str] = "net_limit_data"
    summary: ClassVar[str] = "close each connection after exactly limit_bytes"
    toxic: ClassVar[str] = "limit_data"
    passing_bites: ClassVar[bool] = False

    limit_bytes: int = 100

    def validate(self) -> None:
        """A count is not negative."""
        at_least("limit_bytes", self.limit_bytes, 0)

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"bytes": self.limit_bytes}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetSlowClose(LinkFault):
    """Connections linger."""

    kind: ClassVar[str] = "net_slow_close"
    summary: ClassVar[str] = "delay the close of connections by delay_ms"
    toxic: ClassVar[str] = "slow_close"
    passing_bites: ClassVar[bool] = False

    delay_ms: int = 1000

    def validate(self) -> None:
        """Something must be slow."""
        at_least("delay_ms", self.delay_ms, 1)

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"delay": self.delay_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetDown(Fault):
    """The link is cut: live connections drop, new ones are refused."""

    kind: ClassVar[str] = "net_down"
    protocol: ClassVar[str] = "link"
    targets: ClassVar[tuple[str, ...]] = LINKS
    summary: ClassVar[str] = "drop all connections and refuse new ones"

    target: str = "redis"

    async def inject(self, target: Link) -> object:
        """Cut it."""
        before = dict(await target.counters())
        await target.set_enabled(False)
        return ToxicToken("", {**before, "down": 0.0})

    async def heal(self, target: Link, token: object) -> Bite:
        """Bring it up. Refusals are the kernel's and cannot be counted; the dropped connections can."""
        try:
            await target.set_enabled(True)
        except Exception as error:
            raise HealError(f"link {self.target} could not be enabled: {error}") from error
        if not isinstance(token, ToxicToken):
            return Bite()
        grown = grown_counts(token.before, await target.counters())
        if "dropped" in grown:
            return Bite({"dropped_connections": grown["dropped"]})
        # The real one counts bytes only, when a connection ends: any growth now is a connection that was dropped.
        ended = sum(amount for key, amount in grown.items() if key.startswith("received_bytes_"))
        return Bite({"bytes_of_dropped_connections": ended})


NETWORK_FAULTS: tuple[type[Fault], ...] = (
    NetLatency,
    NetBandwidth,
    NetReset,
    NetTimeout,
    NetSlicer,
    NetLimitData,
    NetSlowClose,
    NetDown,
    ConnectDelay,
    ConnectRefuse,
    FailFirst,
    NetLoss,
    NetCorrupt,
    HttpErrorAnswers,
    RedisErrorReplies,
    HalfClose,
)
