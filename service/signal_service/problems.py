"""Problem documents (RFC 9457): every error answer of the service, with a stable ``type`` and one shape.

A problem's text is written here or by the code that raises it, never copied from the request: what a client sent
may be a secret, and an error must not carry it into logs and screens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from signal_service.context import current_request
from signal_service.seams import EmitEvent

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:signal-service:problem:"

KINDS: Mapping[str, tuple[int, str]] = {
    "invalid": (422, "The request is not valid"),
    "malformed": (400, "The request cannot be read"),
    "no-key": (401, "A valid API key is needed"),
    "scope": (403, "The key does not allow this"),
    "not-entitled": (403, "The user may not see this symbol"),
    "not-found": (404, "There is no such resource"),
    "unknown-symbol": (404, "There is no such symbol"),
    "method": (405, "The method is not allowed here"),
    "slow": (408, "The request took too long to arrive"),
    "key-conflict": (422, "The idempotency key was used with another body"),
    "too-large": (413, "The request is too large"),
    "head-too-large": (431, "The head of the request is too large"),
    "rate": (429, "The rate limit is reached"),
    "internal": (500, "The service failed"),
    "coding": (501, "The transfer coding is not supported"),
    "downstream": (502, "A downstream service gave no usable answer"),
    "shed": (503, "The service is under pressure"),
    "busy": (503, "All permits are taken"),
    "connections": (503, "Too many connections"),
    "unavailable": (503, "A needed downstream service is not available"),
    "stale": (503, "Under pressure only cached answers are given, and there is none"),
    "outbox-full": (503, "Too many alerts wait for delivery"),
    "not-durable": (503, "The alert cannot be stored durably"),
    "audit": (503, "The audit log cannot be written"),
    "not-ready": (503, "The service is not ready"),
    "deadline": (504, "The request ran out of time"),
    "version": (505, "HTTP/1.1 is spoken here"),
    "refused": (409, "The configuration was refused"),
}
"""The closed table of problems: the end of ``type``, status and title."""

UNREAD = ("malformed", "slow", "head-too-large", "coding", "version")
"""Problems of requests that were not read to their end; where the next one begins is anybody's guess."""

_encode_json = json.JSONEncoder(separators=(",", ":")).encode
UNNAMED = {400: "malformed", 401: "no-key", 403: "scope", 404: "not-found", 405: "method", 413: "too-large"}


class ProblemDocument(BaseModel):
    """The shape of every error answer."""

    type: str = Field(description="Stable name of the problem", examples=[TYPE_PREFIX + "rate"])
    title: str
    status: int
    detail: str | None = None
    field: str | None = Field(default=None, description="The field that is wrong")
    retry_after_s: float | None = Field(default=None, description="Seconds after which it is worth asking again")
    request_id: str | None = None


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """Ends a request with a problem document.

    Attributes:
        kind: a key of ``KINDS``.
        status: its HTTP status.
        detail: one sentence, free of what the client sent.
        field: the field that is wrong.
        retry_after_s: seconds after which it is worth asking again.
    """

    def __init__(
        self, kind: str, detail: str | None = None, *, field: str | None = None, retry_after_s: float | None = None
    ) -> None:
        self.kind = kind
        self.status, self.title = KINDS[kind]
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s
        super().__init__(detail or self.title)


def retry_after(seconds: float) -> tuple[str, float]:
    """The ``Retry-After`` header (whole seconds) and the body's figure, both rounded up: to obey is to get in."""
    return str(max(1, math.ceil(seconds))), max(0.001, math.ceil(seconds * 1000) / 1000)


def encode(problem: Problem, request_id: str = "") -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Body and headers of a problem."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.kind,
        "title": problem.title,
        "status": problem.status,
    }
    for name in ("detail", "field"):
        if getattr(problem, name) is not None:
            body[name] = getattr(problem, name)
    headers = [(b"content-type", MEDIA_TYPE.encode())]
    if problem.retry_after_s is not None:
        header, body["retry_after_s"] = retry_after(problem.retry_after_s)
        headers.append((b"retry-after", header.encode()))
    if request_id:
        body["request_id"] = request_id
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b'ApiKey header="X-API-Key"'))
    data = _encode_json(body).encode()
    headers.append((b"content-length", str(len(data)).encode()))
    return data, headers


def respond(problem: Problem) -> Response:
    """The problem as an answer of a route."""
    context = current_request.get()
    body, headers = encode(problem, context.request_id if context is not None else "")
    response = Response(body, problem.status)
    response.raw_headers = headers
    return response


def _reworded(first: Any, content_type: str) -> Any:
    """What pydantic says of a body that is no object, said to those who sent it."""
    if first["type"] not in {"model_attributes_type", "dict_type"}:
        return first
    # FastAPI hands on the bytes of what is not declared as JSON, and they are no object either.
    told = content_type.partition(";")[0].strip().lower()
    as_json = told.startswith("application/") and told.endswith(("/json", "+json"))
    if first["loc"] == ("body",) and not as_json:
        return {**first, "loc": ("header", "Content-Type"), "msg": "Must be application/json"}
    return {**first, "msg": "Must be a JSON object"}


def install(app: FastAPI, redact: Callable[[str], str], emit: EmitEvent) -> None:
    """Answer what the framework raises with a problem document; ``redact`` cleans the texts that are not ours."""

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = _reworded(error.errors()[0], request.headers.get("content-type", ""))
        kind = "malformed" if first["type"] == "json_invalid" else "invalid"
        where = [str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"}]
        field = redact(".".join(where))[:100] if where and kind == "invalid" else str(first["loc"][0])
        context = current_request.get()
        emit("rejected", reason="invalid", status=KINDS[kind][0], field=field, route=context.route if context else "")
        return respond(Problem(kind, redact(str(first["msg"]))[:300], field=field))

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = respond(
            # FastAPI's own 400 means a body that it could not parse.
            Problem(UNNAMED.get(error.status_code, "internal"), field="body" if error.status_code == 400 else None)
        )
        for name, value in (error.headers or {}).items():
            response.headers[name] = value
        return response

    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)


def responses(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of these problems, several of one status under one entry."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status, title = KINDS[kind]
        entry = found.setdefault(
            status,
            {
                "description": title,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
            },
        )
        if title not in entry["description"]:
            entry["description"] += "; " + title
        if kind in {"rate", "shed", "busy", "unavailable", "outbox-full", "not-durable"}:
            entry["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "whole seconds"}}
    return found


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of ``app``, with the problems' shape and the two ways to send a key."""
    data = app.openapi()
    parts = data.setdefault("components", {})
    parts.setdefault("schemas", {})["ProblemDocument"] = ProblemDocument.model_json_schema()
    parts["securitySchemes"] = {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    return data
