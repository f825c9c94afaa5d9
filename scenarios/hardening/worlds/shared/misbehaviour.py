"""How a fake downstream misbehaves: HTTP faults as data, applied to the answer that it would have given."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from hardening.worlds.shared.http_server import Answer, Request

KINDS = (
    "status",
    "latency",
    "hang",
    "dripped_body",
    "dripped_head",
    "truncated_body",
    "wrong_content_type",
    "invalid_json",
    "oversize_body",
    "wrong_shape",
    "redirect_loop",
    "garbage_after",
    "reset",
)


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """One HTTP fault.

    Attributes:
        kind: one of ``KINDS``.
        status: for ``status``.
        latency_s: for ``latency``: seconds before the answer; for drips: seconds between bytes.
        path_prefix: only requests whose path begins so are hurt.
        body: answer body for ``status``.
        spare_health: leave ``/health`` alone.
    """

    kind: str
    status: int = 500
    latency_s: float = 0.0
    path_prefix: str = ""
    body: str = ""
    spare_health: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"misbehaviour.kind is {self.kind!r}, allowed: {', '.join(KINDS)}")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build from the JSON object; unknown fields raise TypeError."""
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """The JSON object."""
        return dataclasses.asdict(self)

    def matches(self, path: str) -> bool:
        """True when a request for this path is hurt."""
        return path.startswith(self.path_prefix) and not (self.spare_health and path == "/health")

    async def answer(self, good: Callable[[], Answer], request: Request) -> Answer:
        """The answer, hurt; ``good`` is called only when the request takes effect before it is hurt."""
        if self.kind == "status":
            body = self.body.encode() or json.dumps({"error": "injected"}).encode()
            return Answer(self.status, body, (("Content-Type", "application/json"),))
        if self.kind == "hang":
            await asyncio.Event().wait()
        if self.kind == "reset":
            raise ConnectionResetError("injected")
        if self.kind == "redirect_loop":
            return Answer(302, b"", (("Location", request.target),))
        return _hurt(self, good())


def _hurt(fault: Misbehaviour, answer: Answer) -> Answer:
    changes: dict[str, Callable[[], dict[str, Any]]] = {
        "latency": lambda: {"delay_s": fault.latency_s},
        "dripped_body": lambda: {"drip_s": fault.latency_s},
        "dripped_head": lambda: {"drip_s": fault.latency_s, "drip_head": True},
        "truncated_body": lambda: {"cut_after": len(answer.body) // 2},
        "wrong_content_type": lambda: {
            "headers": (("Content-Type", "text/html"),),
            "body": b"<html><body>hello</body></html>",
        },
        "invalid_json": lambda: {"body": answer.body[:-1] + b",,"},
        "oversize_body": lambda: {"body": answer.body[:-1] + b" " * 20_000_000 + b"}"},
        "wrong_shape": lambda: {"body": json.dumps({"unexpected": [1, 2, {"candles": "none"}]}).encode()},
        "garbage_after": lambda: {"then_garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"},
    }
    return dataclasses.replace(answer, **changes[fault.kind]())
