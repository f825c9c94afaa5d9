"""Sends one operation through the HTTP client of Locust's ``FastHttpUser``, and returns its row for the log.

In come an operation, a key and the intended start (monotonic seconds), out comes a row in the order of ``FIELDS``;
failures of the connection are part of the row. Without that user's own layer: it parses each URL four times and keeps
cookies, which the service has none of.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import socket as gevent_socket
from geventhttpclient import HTTPClient
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS
from locust.exception import LocustError

from hardening.history.workload import Operation

IDLE_S_MAX = 1.0
"""A connection that lay idle for longer is not used again: the service may close it while we write."""
TYPE_PREFIX = "urn:signal-service:problem:"
SAID = {
    "source": "source",
    "degraded": "degraded",
    "as_of": "as_of",
    "user": "answered_user",
    "alert_id": "delivery_id",
    "type": "problem",
    "retry_after_s": "retry_after_s",
}
"""Fields of an answer, and their names in the history."""


@dataclass(frozen=True, slots=True)
class Key:
    """One API key."""

    key: str
    user: str
    priority: str = "normal"


def keys_from_json(data: Mapping[str, Mapping[str, str]]) -> dict[str, Key]:
    """The key ring by name; what else it says of a key is of no use here."""
    return {name: Key(one["key"], one["user"], one.get("priority", "normal")) for name, one in data.items()}


@dataclass(slots=True)
class Ids:
    """Request ids of one worker: short, and unlike those of any other worker and of the harness."""

    prefix: str
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def next(self) -> str:
        """The next id."""
        return f"{self.prefix}{next(self._count)}"


class Lane:
    """One connection at a time, and when it was last used."""

    def __init__(self, host: str, events: Any) -> None:
        self.host = host
        self._events = events
        self._client = self._fresh()
        self._used_s = 0.0

    def _fresh(self) -> HTTPClient:
        client = HTTPClient.from_url(self.host, concurrency=1, network_timeout=10.0, connection_timeout=5.0)
        # The library sends an idempotent request again, in silence, when the connection broke: two requests under
        # one id, and a failure that nobody sees. With no connections to spare in its count it raises instead.
        client._connection_pool.size = -1  # noqa: SLF001 - there is no other way to say so
        return client

    def _renew(self) -> None:
        """Give the connection up; the next request opens one."""
        self._client.close()
        self._client = self._fresh()

    def send(
        self,
        operation: Operation,
        key: Key | None,
        request_id: str,
        persona: str,
        intended_s: float,
        on_body: Callable[[bytes], None] | None = None,
    ) -> list[Any]:
        """Send it, wait for its end; the row for the log. ``on_body`` is given the answer's body."""
        began_s = time.monotonic()
        body = encode(operation.body)
        headers = {**operation.headers, "X-Request-Id": request_id}
        if key is not None:
            headers["X-API-Key"] = key.key
        if body:
            headers["Content-Type"] = "application/json"
        value: dict[str, Any] = {}
        if "Idempotency-Key" in operation.headers:
            value["idempotency_key"] = operation.headers["Idempotency-Key"]
            value["body_digest"] = hashlib.sha256(body or b"").hexdigest()
        kind, status, error = "ok", 0, ""
        if operation.disconnect_after_s is not None:
            kind, error = hang_up(self.host, operation, headers, operation.disconnect_after_s)
        else:
            kind, status, error = self._exchange(operation, headers, body, began_s, value, on_body)
        ended_s = self._used_s = time.monotonic()
        user, priority = (key.user, operation.priority) if key else ("", operation.priority)
        return [
            *(request_id, persona, operation.operation, operation.method, operation.path, operation.key),
            *(operation.sends, user, priority, intended_s, began_s, ended_s, kind, status, error, value),
        ]

    def _exchange(
        self,
        operation: Operation,
        headers: Mapping[str, str],
        body: bytes | None,
        began_s: float,
        value: dict[str, Any],
        on_body: Callable[[bytes], None] | None,
    ) -> tuple[str, int, str]:
        """Ask and read the answer; kind, status and error, and into ``value`` what the answer said."""
        if began_s - self._used_s > IDLE_S_MAX:
            self._renew()
        kind, status, error, content = "ok", 0, "", b""
        wrong: Exception | None = None
        try:
            answer = self._client.request(operation.method, operation.path, body=body or b"", headers=headers)
            content = bytes(answer.read())
            status = answer.get_code()
            value |= said(answer, content)
            if on_body is not None:
                on_body(content)
            if status >= 500 and status != 503:
                wrong = LocustError(f"status {status}")
        except FAILURE_EXCEPTIONS as broken:
            wrong, status = broken, 0
            kind, error = failure(broken)
            self._renew()
        # Locust's own statistics: a refusal is an answer, and what it should be is for the judge to say.
        self._events.request.fire(
            request_type=operation.method,
            name=operation.operation,
            response_time=(time.monotonic() - began_s) * 1000,
            response_length=len(content),
            exception=wrong,
            context={},
        )
        return kind, status, error


def encode(body: Any) -> bytes | None:
    """JSON, but text as it is, so that malformed bodies can be sent."""
    if body is None:
        return None
    return body.encode() if isinstance(body, str) else json.dumps(body, separators=(",", ":")).encode()


def said(answer: Any, content: bytes) -> dict[str, Any]:
    """What an answer says beyond its status, for the history."""
    value: dict[str, Any] = {}
    wait = answer.get("retry-after", "")
    if wait.isdigit():
        value["retry_after_s"] = float(wait)
    generation = answer.get("x-config-generation")
    if generation is not None:
        value["generation"] = generation
    if content[:1] == b"{":
        try:
            data = json.loads(content)
        except ValueError:
            return value
        value |= {there: data[here] for here, there in SAID.items() if data.get(here) is not None}
        if wait.isdigit() and "retry_after_s" in data:
            value["retry_after_header_s"] = float(wait)
    return value


def failure(error: BaseException | None) -> tuple[str, str]:
    """Certain (``fail``: never connected) or not, and the error in words."""
    refused = isinstance(error, ConnectionRefusedError) or "refused" in str(error).lower()
    return ("fail" if refused else "indeterminate"), f"{type(error).__name__}: {error}"[:200]


def hang_up(host: str, operation: Operation, headers: Mapping[str, str], after_s: float) -> tuple[str, str]:
    """Send the head of a request and go away before its answer can have been read."""
    parts = urlsplit(host)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    lines = [f"{operation.method} {operation.path} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    try:
        sock = gevent_socket.create_connection((parts.hostname, port), timeout=5)
        try:
            if parts.scheme == "https":
                sock = gevent.ssl.create_default_context().wrap_socket(sock, server_hostname=parts.hostname)
            sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            gevent.sleep(after_s)
        finally:
            sock.close()
    except OSError as error:
        return failure(error)
    return "indeterminate", "disconnected"
