"""The request that is being served: its id, deadline, user and priority, carried by a context variable."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

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
    """

    request_id: str
    deadline_s: float
    user: str = ""
    priority: Priority = "normal"
    cache_only: bool = False
    generation: int = 0


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
