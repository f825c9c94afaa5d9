"""Network faults that only our own proxy can do: connect phase, loss, corruption, answers in a server's place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hardening.faults.base import FaultError
from hardening.faults.network_link import HTTP_LINKS, LinkFault, at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectDelay(LinkFault):
    """New connections wait before they reach the other side."""

    kind: ClassVar[str] = "connect_delay"
    summary: ClassVar[str] = "wait delay_ms +/- jitter_ms before dialling the target"
    toxic: ClassVar[str] = "connect_delay"

    delay_ms: int = 500
    jitter_ms: int = 0

    def validate(self) -> None:
        """Something must be delayed."""
        at_least("delay_ms", self.delay_ms, 1)
        if not 0 <= self.jitter_ms <= self.delay_ms:
            raise FaultError("fault.jitter_ms", self.jitter_ms, "0 to delay_ms")

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"delay": self.delay_ms, "jitter": self.jitter_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRefuse(LinkFault):
    """New connections are turned away; live ones go on."""

    kind: ClassVar[str] = "connect_refuse"
    summary: ClassVar[str] = "reset new connections right after the accept, leave live ones alone"
    toxic: ClassVar[str] = "connect_refuse"

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class FailFirst(LinkFault):
    """The first attempts fail, later ones succeed."""

    kind: ClassVar[str] = "fail_first"
    summary: ClassVar[str] = "reset the first N connections, or those of the first N requests"
    toxic: ClassVar[str] = "fail_first"

    connections: int = 1
    requests: int = 0

    def validate(self) -> None:
        """One count must be above zero."""
        at_least("connections", self.connections, 0)
        at_least("requests", self.requests, 0)
        if not self.connections and not self.requests:
            raise FaultError("fault.connections", 0, "1 or more (or requests, 1 or more)")

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"connections": self.connections, "requests": self.requests}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetLoss(LinkFault):
    """Packets get lost and are sent again."""

    kind: ClassVar[str] = "net_loss"
    summary: ClassVar[str] = "stall the stream as lost segments do: probability for each 1,460 bytes"
    toxic: ClassVar[str] = "loss"

    probability: float = 0.05
    retransmit_ms: int = 200

    def validate(self) -> None:
        """Something must get lost."""
        if not 0 < self.probability <= 1:
            raise FaultError("fault.probability", self.probability, "above 0 and up to 1")
        at_least("retransmit_ms", self.retransmit_ms, 1)

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"probability": self.probability, "delay": self.retransmit_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetCorrupt(LinkFault):
    """Bits flip on the way."""

    kind: ClassVar[str] = "net_corrupt"
    summary: ClassVar[str] = "flip a bit in each byte that is hit, with probability"
    toxic: ClassVar[str] = "corrupt"

    probability: float = 0.01

    def validate(self) -> None:
        """Something must be hit."""
        if not 0 < self.probability <= 1:
            raise FaultError("fault.probability", self.probability, "above 0 and up to 1")

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"probability": self.probability}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpErrorAnswers(LinkFault):
    """The proxy answers matching HTTP requests itself, with an error."""

    kind: ClassVar[str] = "http_error"
    targets: ClassVar[tuple[str, ...]] = HTTP_LINKS
    summary: ClassVar[str] = "answer matching HTTP requests with status, headers and body"
    toxic: ClassVar[str] = "http_error"

    target: str = "ticker"
    stream: str = "upstream"
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    path: str = ""
    method: str = ""
    times: int = 0

    def validate(self) -> None:
        """A final status, a pattern that compiles."""
        if not 200 <= self.status <= 599:
            raise FaultError("fault.status", self.status, "200 to 599")
        at_least("times", self.times, 0)
        try:
            re.compile(self.path)
        except re.error as error:
            raise FaultError("fault.path", self.path, f"a regular expression ({error})") from error

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {
            "status": self.status,
            "headers": dict(self.headers),
            "body": self.body,
            "path": self.path,
            "method": self.method,
            "times": self.times,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisErrorReplies(LinkFault):
    """The proxy answers matching Redis commands itself, with an error reply."""

    kind: ClassVar[str] = "redis_error"
    targets: ClassVar[tuple[str, ...]] = ("redis",)
    summary: ClassVar[str] = "answer matching commands with LOADING, READONLY, OOM, MOVED or any error line"
    toxic: ClassVar[str] = "redis_error"

    stream: str = "upstream"
    error: str = "LOADING"
    commands: tuple[str, ...] = ()
    times: int = 0

    def validate(self) -> None:
        """One line; names of commands."""
        if not self.error or re.search(r"[\r\n]", self.error):
            raise FaultError("fault.error", self.error, "one line, not empty")
        for name in self.commands:
            if not isinstance(name, str) or not name:
                raise FaultError("fault.commands", name, "names of commands")
        at_least("times", self.times, 0)

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"error": self.error, "commands": list(self.commands), "times": self.times}


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfClose(LinkFault):
    """One direction ends by a FIN while the other stays open."""

    kind: ClassVar[str] = "half_close"
    summary: ClassVar[str] = "end one direction after limit_bytes (0: when its source ends), keep the other open"
    toxic: ClassVar[str] = "half_close"

    limit_bytes: int = 100

    def validate(self) -> None:
        """A count is not negative."""
        at_least("limit_bytes", self.limit_bytes, 0)

    def attributes(self) -> Mapping[str, Any]:
        """See ``LinkFault``."""
        return {"bytes": self.limit_bytes}
