"""The gate: what a request meets before any route code runs.

Order: key -> level by priority -> (the body is read) -> rate slot and permit, taken together or not at all ->
deadline. Pure ASGI, so that a refusal costs neither routing nor validation, and a cancellation goes straight through.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from signal_service.admission.backpressure import Level, LevelMachine
from signal_service.admission.limits import Permit, Permits, RateWindow, Why
from signal_service.config.hot_reload import SettingsStore
from signal_service.config.settings import ClientLimits
from signal_service.context import Priority, RequestContext, current_request
from signal_service.problems import UNREAD, Problem, encode
from signal_service.seams import EmitEvent
from signal_service.security.auth import KeyInfo

ASGIMessage = Mapping[str, Any]
Receive = Callable[[], Any]
Send = Callable[[ASGIMessage], Any]
log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
KEY_HEADERS = frozenset({b"x-api-key", b"authorization"})
ABSOLUTE_FORM = re.compile(r"https?://[^/?#]*(/[^?#]*)?", re.IGNORECASE)
"""RFC 9112, 3.2.2: a server accepts the target of a request to a proxy as well."""
HEADERS_MAX = 100
HEAD_BYTES_MAX = 65_536
CLIENT_GONE = 499
PERMIT_RETRY_AFTER_S = 1.0
"""A request takes well under a second, so a full pool is worth another try after one."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What the gate must know of a route: name in events, methods, scope (None: public, "": any key), who is served."""

    name: str
    methods: frozenset[str]
    scope: str | None
    critical: bool = False
    priority: Priority | None = None


class ClientGoneError(Exception):
    """The client went away before its body was complete."""


class Exchange:
    """One request on its way through the gate, and what was answered."""

    __slots__ = ("_send", "context", "cut", "done", "headers", "marks", "rule", "scope", "status", "task")

    def __init__(self, scope: dict[str, Any], send: Send, context: RequestContext, rule: Rule) -> None:
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.context = context
        self.rule = rule
        self.status = 0
        self.done = False
        self.cut: Literal["", "timeout", "disconnect"] = ""
        self.task = asyncio.current_task()
        self._send = send
        self.marks = [
            (b"x-request-id", context.request_id.encode()),
            (b"x-config-generation", str(context.generation).encode()),
        ]

    def sent_several(self, names: frozenset[bytes]) -> bool:
        """Whether one of these headers came more than once: which of them counts, a proxy may see otherwise."""
        given = self.scope["headers"]
        if len(given) == len(self.headers):
            return False
        found = [name for name, _ in given if name in names]
        return len(found) > len(set(found))

    async def send(self, message: ASGIMessage) -> None:
        """Pass a message on, with the request's id and generation on its head."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self.marks]}
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.done = True  # only now: a client that does not read keeps the last piece waiting

    async def refuse(self, problem: Problem, extra: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Answer with a problem document."""
        body, headers = encode(problem, self.context.request_id)
        headers.extend(extra)
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def disconnected(self) -> None:
        """The client is gone: end the work. The server's protocol calls this."""
        self._end("disconnect")

    def expired(self) -> None:
        """The request's time is over: end the work."""
        self._end("timeout")

    def _end(self, why: Literal["timeout", "disconnect"]) -> None:
        if not self.done and not self.cut and self.task is not None:
            self.cut = why
            self.task.cancel()

    def cut_by_us(self) -> bool:
        """After a CancelledError: whether it was only ours; if so it is taken back, it meant this request alone."""
        return bool(self.cut) and self.task is not None and self.task.uncancel() == 0


class Gate:
    """The middleware around all routes."""

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        find_rule: Callable[[str], Rule],
        configuration: SettingsStore,
        check_key: Callable[[str], KeyInfo | None],
        permits: Permits,
        window: RateWindow,
        machine: LevelMachine,
        emit: EmitEvent,
        monotonic: Callable[[], float],
        new_id: Callable[[], str],
        redact: Callable[[str], str],
    ) -> None:
        self._app = app
        self._find_rule = find_rule
        self._configuration = configuration
        self._check_key = check_key
        self._permits = permits
        self._window = window
        self._machine = machine
        self._emit = emit
        self._monotonic = monotonic
        self._new_id = new_id
        self._redact = redact

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        began = self._monotonic()
        exchange = self._open(scope, send, began)
        context = exchange.context
        token = current_request.set(context)
        if (state := scope.get("state")) is not None:
            state["on_disconnect"] = exchange.disconnected
        try:
            await self._pass(exchange, receive)
        except Problem as problem:
            extra: tuple[tuple[bytes, bytes], ...] = ()
            if problem.kind == "method":
                extra = ((b"allow", ", ".join(sorted(_allowed(exchange.rule))).encode()),)
            elif problem.kind in UNREAD or problem.kind == "too-large":
                extra = ((b"connection", b"close"),)  # where the next request begins is anybody's guess
            await exchange.refuse(problem, extra)
        except ClientGoneError:
            exchange.status = CLIENT_GONE
        except asyncio.CancelledError:
            exchange.status = CLIENT_GONE
            if exchange.cut != "disconnect" or not exchange.cut_by_us():
                raise
        finally:
            current_request.reset(token)
            self._emit(
                "request_done",
                id=context.request_id,
                status=exchange.status,
                duration_s=round(self._monotonic() - began, 6),
                route=exchange.rule.name,
                user=context.user,
                generation=context.generation,
                **({"source": context.source, "degraded": context.degraded} if context.source else {}),
            )

    def _open(self, scope: dict[str, Any], send: Send, began: float) -> Exchange:
        settings, generation = self._configuration.current, self._configuration.generation
        if (absolute := ABSOLUTE_FORM.match(scope["path"])) is not None:
            scope = {**scope, "path": absolute[1] or "/"}
        rule = self._find_rule(scope["path"])
        context = RequestContext(
            request_id="",
            deadline_s=began + settings.budgets.request_s,
            generation=generation,
            settings=settings,
            route=rule.name,
        )
        offered = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        fit = REQUEST_ID.fullmatch(offered) is not None and self._redact(offered) == offered
        context.request_id = offered if fit else self._new_id()
        return Exchange(scope, send, context, rule)

    async def _pass(self, exchange: Exchange, receive: Receive) -> None:
        rule, context = exchange.rule, exchange.context
        self._read_head(exchange)
        self._identify(exchange)
        if exchange.scope["method"] not in _allowed(rule):
            raise Problem("method" if rule.methods else "not-found")
        if exchange.scope["method"] == "HEAD":
            exchange.scope = {**exchange.scope, "method": "GET"}  # the server itself sends the head alone
        self._shed(context)
        assert context.settings is not None
        if b"transfer-encoding" in exchange.headers or exchange.headers.get(b"content-length", b"0") != b"0":
            receive = await self._whole_body(exchange, receive, context.settings.clients)
            self._shed(context)
        permit = self._admit(context)
        context.cache_only = self._machine.level >= Level.MODERATE and not rule.critical
        await self._serve(exchange, receive, permit, context.settings.budgets.request_s)

    def _read_head(self, exchange: Exchange) -> None:
        """Refuse a head that two servers might read in two ways (RFC 9112, 6.1), or that is too long."""
        problem = None
        if b"transfer-encoding" in exchange.headers and b"content-length" in exchange.headers:
            problem = Problem("malformed", "There must be one length of the body, not two", field="Content-Length")
        elif len(exchange.scope["headers"]) > HEADERS_MAX or _head_bytes(exchange.scope["headers"]) > HEAD_BYTES_MAX:
            problem = Problem("head-too-large", f"It may have {HEADERS_MAX} headers and {HEAD_BYTES_MAX} bytes")
        elif not exchange.scope.get("http_version", "1.1").startswith("1."):
            problem = Problem("version")
        if problem is not None:
            self._emit("rejected", reason="invalid", status=problem.status, route=exchange.rule.name)
            raise problem

    def _identify(self, exchange: Exchange) -> None:
        rule, context = exchange.rule, exchange.context
        value = exchange.headers.get(b"x-api-key")
        if value is None:
            scheme, _, token = exchange.headers.get(b"authorization", b"").partition(b" ")
            value = token.strip() if scheme.lower() == b"bearer" else b""
        several = exchange.sent_several(KEY_HEADERS)
        key = self._check_key(value.decode("latin-1")) if value and not several else None
        if key is None:
            if rule.scope is not None:
                self._emit("rejected", reason="key", status=401, route=rule.name)
                raise Problem("no-key", "There must be one key, not several" if several else None, field="X-API-Key")
        else:
            context.user, context.key_id, context.scopes = key.user, key.id, tuple(key.scopes)
            context.priority = rule.priority or key.priority
            if rule.scope and rule.scope not in context.scopes:
                self._emit("rejected", reason="scope", status=403, route=rule.name, user=key.user)
                raise Problem("scope")
        if rule.critical:
            context.priority = "critical"

    def _shed(self, context: RequestContext) -> None:
        if not self._machine.refuses(context.priority):
            return
        wait_s = self._machine.retry_after_s()
        self._emit(
            "shed",
            level=self._machine.level.label,
            priority=context.priority,
            status=503,
            retry_after_s=wait_s,
            route=context.route,
            user=context.user,
        )
        raise Problem("shed", retry_after_s=wait_s)

    async def _whole_body(self, exchange: Exchange, receive: Receive, limits: ClientLimits) -> Receive:
        """Read the body before anything scarce is taken; gives back a ``receive`` that replays it."""
        declared = exchange.headers.get(b"content-length", b"0")
        chunks: list[bytes] = []
        size = 0
        too_large = declared.isdigit() and (len(declared) > 15 or int(declared) > limits.body_bytes)
        try:
            async with asyncio.timeout(limits.body_s):
                while not too_large:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    too_large = size > limits.body_bytes
                    if not too_large and not message.get("more_body", False):
                        return _replay(b"".join(chunks), receive)
        except TimeoutError:
            self._emit("rejected", reason="slow", status=408, route=exchange.rule.name, field="body")
            raise Problem("slow", field="body") from None
        self._emit("rejected", reason="too_large", status=413, route=exchange.rule.name, field="body")
        raise Problem("too-large", f"A body may have {limits.body_bytes} bytes", field="body")

    def _admit(self, context: RequestContext) -> Permit:
        """Rate slot and permit in one step without an await between: a refused permit costs no slot.

        Critical routes need no rate slot: with the window full, who watches the service must still be answered.
        """
        critical = context.priority == "critical"
        now = self._monotonic()
        assert context.settings is not None
        context.deadline_s = now + context.settings.budgets.request_s
        wait_s = 0.0 if critical else self._window.wait_s(now)
        if wait_s > 0:
            self._reject("rate", context, 429, wait_s)
            raise Problem("rate", retry_after_s=wait_s)
        permit = self._permits.take(critical=critical)
        if permit is None:
            self._reject("permit", context, 503, PERMIT_RETRY_AFTER_S)
            raise Problem("busy", retry_after_s=PERMIT_RETRY_AFTER_S)
        if not critical:
            self._emit(
                "admitted",
                route=context.route,
                priority=context.priority,
                user=context.user,
                window_count=self._window.record(now),
                generation=context.generation,
            )
        return permit

    def _reject(self, reason: str, context: RequestContext, status: int, wait_s: float) -> None:
        self._emit(
            "rejected",
            reason=reason,
            status=status,
            route=context.route,
            user=context.user,
            retry_after_s=round(wait_s, 3),
        )

    async def _serve(self, exchange: Exchange, receive: Receive, permit: Permit, request_s: float) -> None:
        why: Why = "error"
        timer = asyncio.get_running_loop().call_later(request_s, exchange.expired)
        try:
            await self._app(exchange.scope, receive, exchange.send)
            why = "ok" if exchange.status < 500 else "error"
        except asyncio.CancelledError:
            why = exchange.cut or "cancelled"
            if why != "timeout" or not exchange.cut_by_us():
                raise
            if exchange.status:
                # The head is out and a 504 cannot follow it: the server cuts the connection.
                raise TimeoutError("the request ran out of time in mid-answer") from None
            raise Problem("deadline") from None
        except Exception:
            if exchange.done:
                log.exception("a request failed")  # and was answered by the framework's last resort
            elif exchange.status:
                raise
            else:
                log.exception("a request failed")
                raise Problem("internal") from None
        finally:
            timer.cancel()
            permit.give_back(why)


def _head_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


def _allowed(rule: Rule) -> frozenset[str]:
    """The methods of a route; what answers GET answers HEAD (RFC 9110, 9.1)."""
    return rule.methods | {"HEAD"} if "GET" in rule.methods else rule.methods


def _replay(body: bytes, receive: Receive) -> Receive:
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Any:
        return pending.pop() if pending else await receive()

    return replayed
