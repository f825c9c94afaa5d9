"""The Toxiproxy HTTP API: a parsed request in, an answer out; it opens no socket.

Refusals are answers of 4xx and 5xx with ``{"error": ..., "status": ...}``, worded as Toxiproxy words them.
"""

from __future__ import annotations

import json
import posixpath
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote

from hardening.proxy import metrics
from hardening.proxy.body import ApiError
from hardening.proxy.collection import Collection, proxy_json, toxic_json
from hardening.proxy.proxy import Proxy

VERSION = "2.12.0+embedded"
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What the HTTP server read: ``target`` is path and query as sent, header names are in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the HTTP server writes."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: object, status: int = 200) -> Answer:
        """A JSON answer."""
        return cls(status, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


Handler = Callable[[list[str], bytes], Awaitable[Answer]]
_ABSOLUTE = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")  # a target may name scheme and host as well
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def _numbered(answer: Answer) -> Answer:
    """The answer with a number of its own, as Toxiproxy gives one to each request that reached a handler."""
    return replace(answer, headers={**answer.headers, "x-toxiproxy-request-id": secrets.token_hex(10)})


def _refused(error: ApiError) -> Answer:
    return Answer.of({"error": error.message, "status": error.status}, error.status)


class Api:
    """Routes of one collection.

    Args:
        collection: the proxies.
        token: when given, every request must carry it as a bearer token.
    """

    def __init__(self, collection: Collection, token: str | None = None) -> None:
        self._collection = collection
        self._token = token
        self._routes: list[tuple[tuple[str, ...], Mapping[str, Handler]]] = [
            (("version",), {"GET": self._version}),
            (("metrics",), {"GET": self._metrics, "POST": self._metrics}),
            (("reset",), {"POST": self._reset}),
            (("populate",), {"POST": self._populate}),
            (("proxies",), {"GET": self._list, "POST": self._create}),
            (
                ("proxies", "*"),
                {"GET": self._show, "POST": self._update, "PATCH": self._update, "DELETE": self._remove},
            ),
            (("proxies", "*", "toxics"), {"GET": self._list_toxics, "POST": self._add_toxic}),
            (
                ("proxies", "*", "toxics", "*"),
                {
                    "GET": self._show_toxic,
                    "POST": self._update_toxic,
                    "PATCH": self._update_toxic,
                    "DELETE": self._remove_toxic,
                },
            ),
        ]

    async def answer(self, request: Request) -> Answer:
        """Answer one request; waits for nothing but the resolution of a listening address."""
        found = self._handler(request)
        if isinstance(found, Answer):
            return found
        handler, names = found
        try:
            answer = await handler(names, request.body)
        except ApiError as error:
            answer = _refused(error)
        return _numbered(answer)

    def refusal(self, request: Request) -> Answer | None:
        """The answer that needs no body, to a client that asks before it sends one."""
        found = self._handler(request)
        return found if isinstance(found, Answer) else None

    def _handler(self, request: Request) -> Answer | tuple[Handler, list[str]]:
        if request.method == "OPTIONS" and request.target == "*":
            return Answer(200, content_type="")
        raw, question, query = _ABSOLUTE.sub("", request.target).partition("?")
        if _BAD_ESCAPE.search(raw):
            return Answer(400, b"400 Bad Request", TEXT, {"connection": "close"})
        path = unquote(raw, errors="surrogateescape")
        cleaned = posixpath.normpath("/" + path.lstrip("/"))
        if path.endswith("/") and cleaned != "/":
            cleaned += "/"
        if path != cleaned:
            location = quote(cleaned, safe="/:@!$&'()+,;=-._~", errors="surrogateescape")
            return Answer(301, content_type="", headers={"location": location + question + query})
        methods, names = self._match(path)
        if methods is None:
            return Answer(404, b"404 page not found\n", TEXT)
        handler = methods.get(request.method)
        if handler is None:
            return Answer(405, content_type="")
        if request.headers.get("user-agent", "").startswith("Mozilla/"):
            return _numbered(Answer(403, b"User agent not allowed\n", TEXT))
        if self._token is not None and not self._may_pass(request.headers.get("authorization", "")):
            refused = _refused(ApiError(401, "missing or wrong bearer token"))
            return Answer(401, refused.body, headers={"www-authenticate": "Bearer"})
        return handler, names

    def _match(self, path: str) -> tuple[Mapping[str, Handler] | None, list[str]]:
        parts = path.split("/")[1:]
        for pattern, methods in self._routes:
            if len(pattern) == len(parts) and all(
                want == have or (want == "*" and have) for want, have in zip(pattern, parts, strict=True)
            ):
                return methods, [have for want, have in zip(pattern, parts, strict=True) if want == "*"]
        return None, []

    def _may_pass(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        expected = (self._token or "").encode()
        return scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), expected)

    # --- one handler for each route ---------------------------------------------------------------------------

    async def _version(self, _names: list[str], _body: bytes) -> Answer:
        body = json.dumps({"version": VERSION}) + "\n"
        return Answer(200, body.encode(), "application/json;charset=utf-8")

    async def _metrics(self, _names: list[str], _body: bytes) -> Answer:
        text = metrics.exposition(self._collection.proxies.values())
        return Answer(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    async def _reset(self, _names: list[str], _body: bytes) -> Answer:
        await self._collection.reset()
        return Answer(204)

    async def _populate(self, _names: list[str], body: bytes) -> Answer:
        proxies, error = await self._collection.populate(body)
        result: dict[str, Any] = {"error": error.message, "status": error.status} if error else {}
        result["proxies"] = [proxy_json(proxy) for proxy in proxies]
        return Answer.of(result, error.status if error else 201)

    async def _list(self, _names: list[str], _body: bytes) -> Answer:
        return Answer.of({name: proxy_json(proxy) for name, proxy in sorted(self._collection.proxies.items())})

    async def _create(self, _names: list[str], body: bytes) -> Answer:
        return Answer.of(proxy_json(await self._collection.create(body)), 201)

    async def _show(self, names: list[str], _body: bytes) -> Answer:
        return Answer.of(proxy_json(self._proxy(names)))

    async def _update(self, names: list[str], body: bytes) -> Answer:
        return Answer.of(proxy_json(await self._collection.update(names[0], body)))

    async def _remove(self, names: list[str], _body: bytes) -> Answer:
        self._collection.remove(names[0])
        return Answer(204)

    async def _list_toxics(self, names: list[str], _body: bytes) -> Answer:
        return Answer.of([toxic_json(spec) for spec in self._proxy(names).toxics])

    async def _add_toxic(self, names: list[str], body: bytes) -> Answer:
        return Answer.of(toxic_json(self._collection.add_toxic(names[0], body)))

    async def _show_toxic(self, names: list[str], _body: bytes) -> Answer:
        return Answer.of(toxic_json(self._collection.toxic(names[0], names[1])))

    async def _update_toxic(self, names: list[str], body: bytes) -> Answer:
        return Answer.of(toxic_json(self._collection.update_toxic(names[0], names[1], body)))

    async def _remove_toxic(self, names: list[str], _body: bytes) -> Answer:
        self._collection.remove_toxic(names[0], names[1])
        return Answer(204)

    def _proxy(self, names: list[str]) -> Proxy:
        return self._collection.get(names[0])
