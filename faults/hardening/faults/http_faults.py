"""What a downstream can do wrong in HTTP: over the wire through a stand-in, or in process on any mocked route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx

from hardening.faults.base import Bite, Downstream, Fault
from hardening.faults.checks import between, one_of

HOW = (
    *("status", "latency", "hang", "dripped_body", "dripped_head", "truncated_body", "wrong_content_type"),
    *("invalid_json", "oversize_body", "wrong_shape", "redirect_loop", "garbage_after", "reset"),
)
_OVERSIZE_BYTES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFault(Fault):
    """Answers of one downstream go wrong in one way (``how``).

    ``status`` answers ``status`` with ``body``; ``latency`` waits ``latency_ms`` before the answer; the drips
    wait so long between bytes; ``garbage_after`` sends bytes that nobody asked for after a good answer, so that
    the next request on the same connection meets them; ``path_prefix`` narrows it.
    """

    kind: ClassVar[str] = "http_fault"
    protocol: ClassVar[str] = "downstream"
    targets: ClassVar[tuple[str, ...]] = ("ticker", "user", "alert", "comms")
    summary: ClassVar[str] = "let a downstream answer wrongly, slowly or not at all"
    slot = "http"
    variants = (
        {"how": "status", "status": 500},
        {"how": "status", "status": 429},
        {"how": "latency", "latency_ms": 700.0},
        {"how": "hang"},
        {"how": "dripped_body", "latency_ms": 40.0},
        {"how": "dripped_head", "latency_ms": 40.0},
        *({"how": how} for how in ("truncated_body", "invalid_json", "wrong_shape", "wrong_content_type", "reset")),
    )
    drawn = ({"how": HOW, "status": (500, 503, 429, 404), "latency_ms": (50.0, 300.0, 3000.0)},)

    target: str = "ticker"
    how: str = "status"
    status: int = 500
    latency_ms: float = 0.0
    path_prefix: str = ""
    body: str = ""
    spare_health: bool = False

    def validate(self) -> None:
        """A known way to go wrong, a status that is one."""
        one_of("how", self.how, HOW)
        between("status", self.status, 200, 599)
        between("latency_ms", self.latency_ms, 0, 600_000)

    def wire(self) -> dict[str, Any]:
        """The misbehaviour as the ``Downstream`` target takes it (seconds, ``kind``)."""
        return {
            "kind": self.how,
            "status": self.status,
            "latency_s": self.latency_ms / 1000,
            "path_prefix": self.path_prefix,
            "body": self.body,
            "spare_health": self.spare_health,
        }

    async def inject(self, target: Downstream) -> object:
        """Misbehave from now on."""
        await target.misbehave(self.wire())
        return True

    async def heal(self, target: Downstream, token: object) -> Bite:
        """Behave; says how many answers were hurt."""
        hurt = await target.hurt() if token else 0
        await target.misbehave(None)
        return Bite({"answers_hurt": float(hurt)})


@dataclass(slots=True)
class InProcessDownstream:
    """The ``Downstream`` target without a network: hand ``side_effect`` to a respx route (or a MockTransport).

    ``good`` makes the answer that there would be without a fault. Waiting is done by ``sleep`` (seconds).
    """

    good: Callable[[httpx.Request], httpx.Response]
    sleep: Callable[[float], Any] = asyncio.sleep
    _fault: dict[str, Any] | None = None
    _hurt: int = 0
    _last_hurt: int = field(default=0)

    async def misbehave(self, fault: Mapping[str, Any] | None) -> None:
        """Answer as the fault says (``None`` heals)."""
        self._last_hurt, self._hurt = self._hurt, 0
        self._fault = None if fault is None else dict(fault)

    async def hurt(self) -> int:
        """How many answers were altered: by the fault now set, or by the one just healed."""
        return self._hurt or self._last_hurt

    async def side_effect(self, request: httpx.Request) -> httpx.Response:
        """Answer one request.

        Raises:
            httpx.ReadError: for ``reset``.
            httpx.RemoteProtocolError: for ``truncated_body``, when the body is read, and for ``garbage_after``
                from the second request on.
            httpx.ReadTimeout: for ``hang``: httpx's own timeouts do not reach a mocked route.
        """
        fault = self._fault
        if fault is None or not request.url.path.startswith(fault["path_prefix"]):
            return self.good(request)
        if fault["spare_health"] and request.url.path == "/health":
            return self.good(request)
        self._hurt += 1
        return await self._answer(fault, request)

    async def _answer(self, fault: Mapping[str, Any], request: httpx.Request) -> httpx.Response:
        how = str(fault["kind"])
        if how == "status":
            body = str(fault["body"]) or json.dumps({"error": "injected"})
            return httpx.Response(fault["status"], text=body, headers={"Content-Type": "application/json"})
        if how == "reset":
            raise httpx.ReadError("connection reset (injected)", request=request)
        if how == "hang":
            raise httpx.ReadTimeout("no answer (injected)", request=request)
        if how == "garbage_after" and self._hurt > 1:
            raise httpx.RemoteProtocolError("bytes nobody asked for (injected)", request=request)
        if how == "redirect_loop":
            return httpx.Response(302, headers={"Location": str(request.url)})
        if how == "latency":
            await self.sleep(fault["latency_s"])
        good = self.good(request)
        body_bytes = good.content
        if how == "dripped_head":
            await self.sleep(fault["latency_s"] * _head_bytes(good))
        if how in {"dripped_body", "dripped_head"}:
            return httpx.Response(good.status_code, headers=good.headers, content=self._drip(body_bytes, fault))
        return _altered(how, good, body_bytes)

    async def _drip(self, body: bytes, fault: Mapping[str, Any]) -> AsyncIterator[bytes]:
        for i in range(len(body)):
            await self.sleep(fault["latency_s"])
            yield body[i : i + 1]


def _head_bytes(answer: httpx.Response) -> int:
    return sum(len(name) + len(value) + 4 for name, value in answer.headers.raw) + len("HTTP/1.1 200 OK\r\n\r\n")


def _altered(how: str, good: httpx.Response, body: bytes) -> httpx.Response:
    json_type = {"Content-Type": "application/json"}
    if how == "truncated_body":
        return httpx.Response(good.status_code, headers=json_type, content=_cut(body[: len(body) // 2]))
    if how == "wrong_content_type":
        return httpx.Response(good.status_code, text="<html>hello</html>", headers={"Content-Type": "text/html"})
    changed = {
        "invalid_json": body[:-1] + b",,",
        "oversize_body": body[:-1] + b" " * _OVERSIZE_BYTES + b"}",
        "wrong_shape": json.dumps({"unexpected": [1, 2, {"candles": "none"}]}).encode(),
    }
    return httpx.Response(good.status_code, headers=json_type, content=changed.get(how, body))


async def _cut(part: bytes) -> AsyncIterator[bytes]:
    yield part
    raise httpx.RemoteProtocolError("peer closed connection in mid-body (injected)")
