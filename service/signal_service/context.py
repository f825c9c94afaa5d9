"""The request that is being served: its id, deadline, user and priority, carried by a context variable."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from signal_service.config.settings import Settings

Priority = Literal["critical", "high", "normal", "low"]


@dataclass(slots=True)
class RequestContext:
    """One request.

    Attributes:
        request_id: unique, sent on to downstreams as ``X-Request-Id``.
        deadline_s: moment on the monotonic clock at which the request must have ended.
        user: the key's owner, empty before the key was checked.
        priority: decides who is shed first.
        cache_only: set at level moderate: answer from cache or stale, never load.
        generation: number of the configuration that this request sees from beginning to end.
        settings: that configuration itself.
        route: the route's name in events and metrics.
        key_id: which key was used, empty for a public request without one.
        scopes: what that key may do.
        source: where the answer's candles came from, once that is known.
        degraded: whether the answer says that it is not the best there could be.
    """

    request_id: str
    deadline_s: float
    user: str = ""
    priority: Priority = "normal"
    cache_only: bool = False
    generation: int = 0
    settings: Settings | None = None
    route: str = ""
    key_id: str = ""
    scopes: tuple[str, ...] = ()
    source: str = ""
    degraded: bool = False


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
