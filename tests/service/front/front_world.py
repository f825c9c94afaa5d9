"""A world for the front room's tests: clocks that stand still, events that are kept, raw ASGI calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from signal_service.config.settings import Settings, build

KEYS = {
    "demo": "key-of-alice-0001",
    "low": "key-of-carol-0001",
    "high": "key-of-bob-000001",
    "admin": "key-of-root-00001",
}
SCOPES = {"demo": ["signals", "alerts"], "low": ["signals"], "high": ["signals"], "admin": ["metrics", "admin"]}
PRIORITY = {"low": "low", "high": "high"}


def settings(**overrides: Any) -> Settings:
    """Settings with four keys and a token; ``overrides`` as in a file."""
    keys = [
        {
            "id": name,
            "key_sha256": hashlib.sha256(key.encode()).hexdigest(),
            "user": f"user-{name}",
            "scopes": SCOPES[name],
            "priority": PRIORITY.get(name, "normal"),
        }
        for name, key in KEYS.items()
    ]
    return build({"api_keys": keys, "service_token": "svc_0123456789abcdef", **overrides})


@dataclass
class Clock:
    """A clock that moves when told."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Events:
    """An ``EmitEvent`` that remembers."""

    all: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, event: str, /, *, id: str = "", **fields: Any) -> None:  # noqa: A002
        self.all.append((event, id, fields))

    def named(self, name: str) -> list[dict[str, Any]]:
        return [fields for event, _, fields in self.all if event == name]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Callable[..., Awaitable[None]],
    path: str,
    *,
    method: str = "GET",
    key: str = "",
    headers: dict[str, str] | None = None,
    body: list[bytes] | None = None,
    state: dict[str, Any] | None = None,
    query: str = "",
    more: Sequence[tuple[bytes, bytes]] = (),
) -> Answer:
    """One request, straight into the application."""
    sent: list[dict[str, Any]] = []
    pending = list(body or [])
    given = {**({"x-api-key": KEYS.get(key, key)} if key else {}), **(headers or {})}
    if body is not None and "content-length" not in given:
        given["transfer-encoding"] = "chunked"

    async def receive() -> dict[str, Any]:
        if pending:
            return {"type": "http.request", "body": pending.pop(0), "more_body": bool(pending)}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()] + list(more),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "root_path": "",
        "state": state if state is not None else {},
    }
    await app(scope, receive, send)
    assert sent, "nothing was answered"
    data = b"".join(message.get("body", b"") for message in sent[1:])
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, data)
