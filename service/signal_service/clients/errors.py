"""What a caller of a downstream can handle: refused, failed, unknown symbol."""

from __future__ import annotations

from typing import Literal

FailureKind = Literal[
    "connect",  # no connection: refused, unresolved, unreachable
    "timeout",  # no whole answer within the attempt's time
    "reset",  # the connection ended in mid-answer
    "status",  # 408, 429, 5xx or a redirect
    "malformed",  # a whole answer of the wrong shape
    "too_large",  # a body beyond its bound
    "client_error",  # 4xx: our own fault, not the downstream's
    "deadline",  # the request's time was over before the downstream had a fair chance
    "unbuilt",  # the client could not be built, or is closed
    "refused",  # the breaker let nothing through
]


class DownstreamError(Exception):
    """A call that brought no answer.

    Attributes:
        name: the downstream.
        kind: see ``FailureKind``.
        status: HTTP status where there was one.
        retry_after_s: when it makes sense to ask again, where known.
        out_of_time: the request's own time was over when the call ended.
    """

    def __init__(
        self, name: str, kind: FailureKind, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{name}: {kind}" + (f" {status}" if status is not None else ""))
        self.name = name
        self.kind: FailureKind = kind
        self.status = status
        self.retry_after_s = retry_after_s
        self.out_of_time = kind == "deadline"

    @property
    def blames_downstream(self) -> bool:
        """True when the breaker counts it."""
        return self.kind not in {"client_error", "deadline", "unbuilt", "refused"}

    @property
    def retryable(self) -> bool:
        """True when another attempt may help; never for a 4xx."""
        return self.blames_downstream and self.kind != "too_large" and (self.status is None or self.status >= 500)


class BreakerOpenError(DownstreamError):
    """Refused by the breaker: it is open, or the one half-open probe is under way."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        super().__init__(name, "refused", retry_after_s=retry_after_s)


class UnknownSymbolError(Exception):
    """The ticker does not know the symbol.

    Attributes:
        symbol: what was asked for.
    """

    def __init__(self, symbol: str) -> None:
        super().__init__(f"symbol {symbol!r} is unknown")
        self.symbol = symbol
