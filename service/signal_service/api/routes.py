"""The routes: what the service does once a request has been admitted.

Shapes are declared for the OpenAPI document; answers are encoded by hand, because validating our own answer on
every request costs more than computing it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Body, Header, Request, Response
from starlette.datastructures import Headers, QueryParams

from signal_service.admission.middleware import Rule as Entry
from signal_service.api.shapes import SYMBOL, AlertAnswer, AlertRequest, BatchAnswer, BatchRequest, SignalAnswer
from signal_service.clients.errors import DownstreamError, UnknownSymbolError
from signal_service.config.hot_reload import SettingsStore
from signal_service.context import RequestContext, current_request
from signal_service.market import indicators as market
from signal_service.market import rules
from signal_service.market.candles import TIMEFRAMES
from signal_service.observability.health import Health
from signal_service.observability.metrics import Metrics
from signal_service.problems import UNREAD, Problem, responses
from signal_service.security.redaction import Redactor
from signal_service.store.historical_data import HistoricalData, NotCachedError

GET, POST = frozenset({"GET"}), frozenset({"POST"})
ENTRIES: Mapping[str, Entry] = {
    "/health": Entry("health", GET, None, critical=True),
    "/ready": Entry("ready", GET, None, critical=True),
    "/metrics": Entry("metrics", GET, "metrics", critical=True),
    "/admin/state": Entry("admin", GET, "admin", critical=True),
    "/admin/config": Entry("admin", GET, "admin", critical=True),
    "/admin/reload": Entry("admin", POST, "admin", critical=True),
    "/admin/rollback": Entry("admin", POST, "admin", critical=True),
    "/admin/cache/invalidate": Entry("admin", POST, "admin", critical=True),
    "/v2/signals/batch": Entry("batch", POST, "signals", priority="low"),
    "/v2/alerts": Entry("alert", POST, "alerts"),
    "/docs": Entry("docs", GET, ""),
    "/openapi.json": Entry("docs", GET, ""),
}
SIGNAL = Entry("signal", GET, "signals")
UNKNOWN = Entry("unknown", frozenset(), "")
SIGNAL_PREFIX = "/v2/signals/"

BATCH_AT_ONCE = 8
RETRY_AFTER_S_MAX = 60.0
SYMBOL_FORM = re.compile(SYMBOL.removeprefix("^").removesuffix("$"))
DEFAULT_INDICATORS = ("sma", "rsi", "macd")
IdempotencyKey = Annotated[
    str, Header(alias="Idempotency-Key", pattern=r"^[!-~]{1,128}$", description="Names this alert; safe to repeat")
]


encode_json = json.JSONEncoder(separators=(",", ":")).encode
HANDLED = (Problem, UnknownSymbolError, NotCachedError, DownstreamError)
"""Failures of one symbol that have an answer of their own."""


def find_entry(path: str) -> Entry:
    """What the gate must know of ``path``; ``UNKNOWN`` allows no method."""
    entry = ENTRIES.get(path)
    if entry is not None:
        return entry
    if path.startswith(SIGNAL_PREFIX) and "/" not in path[len(SIGNAL_PREFIX) :] and len(path) > len(SIGNAL_PREFIX):
        return SIGNAL
    return UNKNOWN


class Desk(Protocol):
    """What the routes ask the rest of the service for; ``app.py`` implements it."""

    store: SettingsStore
    health: Health
    metrics: Metrics
    history: HistoricalData
    redactor: Redactor

    async def entitlement(self, user: str) -> Any:
        """What a user may see."""

    async def candles(self, symbol: str, timeframe: str) -> Any:
        """``Loaded``: candles, source, as_of, degraded."""

    async def first_answer(self, user: str, key: str, body: Mapping[str, Any]) -> str | None:
        """The alert id that this key was answered with before."""

    async def decline(self, user: str, key: str, body: Mapping[str, Any]) -> str:
        """Remember that the rule did not hold; returns the id of an alert that a twin request stored, or nothing."""

    async def accept(self, user: str, key: str, body: Mapping[str, Any], text: str) -> str:
        """Store an alert durably; returns its id."""

    async def audit_first(self, action: str, actor: str, **about: Any) -> bool:
        """Write down that a change was asked for; False when that cannot be written."""

    async def state(self) -> dict[str, Any]:
        """For ``/admin/state``."""


def answer(data: Any, status: int = 200, media_type: str = "application/json") -> Response:
    """JSON, encoded."""
    return Response(encode_json(data), status, media_type=media_type)


def translate(error: Exception) -> Problem:
    """The problem that a failure further back means for the client."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, NotCachedError):
        return Problem("stale", retry_after_s=5.0)
    if isinstance(error, UnknownSymbolError):
        return Problem("unknown-symbol", field="symbol")
    assert isinstance(error, DownstreamError)
    if error.out_of_time:
        return Problem("deadline", f"The {error.name} service was too slow")
    if error.kind in {"client_error", "malformed", "too_large"}:
        return Problem("downstream", f"The {error.name} service gave no usable answer")
    wait_s = min(RETRY_AFTER_S_MAX, max(1.0, error.retry_after_s or 0.0))
    return Problem("unavailable", f"The {error.name} service is not available", retry_after_s=wait_s)


def request() -> RequestContext:
    """The request being served; routes are only reached through the gate."""
    context = current_request.get()
    assert context is not None, "a route was reached past the gate"
    return context


async def entitled(desk: Desk, symbols: Sequence[str]) -> None:
    """Refuse a user who may not see one of the symbols.

    Raises:
        Problem: ``not-entitled``.
    """
    entitlement = await desk.entitlement(request().user)
    if not all(entitlement.allows(symbol) for symbol in symbols):
        raise Problem("not-entitled", None if entitlement.active else "The user is not active", field="symbol")


async def compute(desk: Desk, symbol: str, timeframe: str, names: Sequence[str]) -> dict[str, Any]:
    """The signal of one symbol, shaped as ``SignalAnswer``.

    Raises:
        UnknownSymbolError, NotCachedError, DownstreamError: when there are no candles to be had.
    """
    loaded = await desk.candles(symbol, timeframe)
    values = market.latest(loaded.candles, names)
    close = loaded.candles[-1].close
    return {
        "user": request().user,
        "symbol": symbol,
        "timeframe": timeframe,
        "signal": rules.decide(values, close),
        "price": close,
        "indicators": values,
        "as_of": loaded.as_of,
        "degraded": loaded.degraded,
        "source": loaded.source,
    }


def once(fields: QueryParams | Headers, *names: str) -> None:
    """Refuse a field that was sent several times: whichever counted, the client might have meant another.

    Raises:
        Problem: ``invalid``, naming the field.
    """
    for name in names:
        if len(fields.getlist(name)) > 1:
            raise Problem("invalid", "Was sent several times, and may be sent once", field=name)


def parse_signal(asked: Request) -> tuple[str, str, tuple[str, ...]]:
    """Symbol, timeframe and indicators (each once) of a request for one signal.

    By hand, because this is the route that most requests take: FastAPI's way costs more than all of admission.

    Raises:
        Problem: ``invalid``, naming the field.
    """
    symbol: str = asked.path_params["symbol"]
    if SYMBOL_FORM.fullmatch(symbol) is None:
        raise Problem("invalid", f"Must match {SYMBOL}", field="symbol")
    if not asked.scope["query_string"]:
        return symbol, "1m", DEFAULT_INDICATORS
    query = asked.query_params
    once(query, "timeframe", "indicators")
    timeframe = query.get("timeframe", "1m")
    if timeframe not in TIMEFRAMES:
        raise Problem("invalid", "Allowed: " + ", ".join(TIMEFRAMES), field="timeframe")
    text = query.get("indicators")
    names = DEFAULT_INDICATORS if text is None else tuple(dict.fromkeys(text.split(",")))
    if not names or any(name not in market.NAMES for name in names):
        raise Problem("invalid", "Allowed, separated by commas: " + ", ".join(market.NAMES), field="indicators")
    return symbol, timeframe, names


SIGNAL_PARAMETERS: list[dict[str, Any]] = [
    {"name": "symbol", "in": "path", "required": True, "schema": {"type": "string", "pattern": SYMBOL}},
    {
        "name": "timeframe",
        "in": "query",
        "schema": {"type": "string", "enum": list(TIMEFRAMES), "default": "1m"},
    },
    {
        "name": "indicators",
        "in": "query",
        "description": "Separated by commas: " + ", ".join(market.NAMES),
        "schema": {
            "type": "string",
            "pattern": f"^({'|'.join(market.NAMES)})(,({'|'.join(market.NAMES)}))*$",
            "default": ",".join(DEFAULT_INDICATORS),
        },
    },
]
KEYED = ("no-key", "scope", *UNREAD, "too-large", "internal", "busy", "deadline")
ADMITTED = (*KEYED, "invalid", "rate", "shed", "not-entitled", "unknown-symbol", "stale", "unavailable", "downstream")
SECURED: dict[str, Any] = {"security": [{"key": []}, {"bearer": []}]}
PUBLIC = (*UNREAD, "too-large", "internal", "busy", "not-ready", "deadline")


def add_signal_routes(router: APIRouter, desk: Desk) -> None:
    """Signals, one or many, and alerts.

    They go straight onto the application's own router: one that is included costs each request a second matching.
    """

    @router.get(
        "/v2/signals/{symbol}",
        tags=["signals"],
        response_model=None,
        openapi_extra={**SECURED, "parameters": SIGNAL_PARAMETERS},
        responses={200: {"model": SignalAnswer}, **responses(*ADMITTED)},
    )
    async def signal(asked: Request) -> Response:
        """Buy, sell or hold, and the indicators behind it."""
        symbol, timeframe, names = parse_signal(asked)
        await entitled(desk, [symbol])
        found = await compute(desk, symbol, timeframe, names)
        request().source, request().degraded = found["source"], found["degraded"]
        return answer(found)

    @router.post(
        "/v2/signals/batch",
        tags=["signals"],
        response_model=None,
        openapi_extra=SECURED,
        responses={200: {"model": BatchAnswer}, **responses(*ADMITTED)},
    )
    async def batch(wanted: Annotated[BatchRequest, Body()]) -> Response:
        """Signals of up to 100 symbols; served with low priority. A symbol that fails does not fail the others."""
        await entitled(desk, wanted.symbols)
        turn = asyncio.Semaphore(BATCH_AT_ONCE)

        async def one(symbol: str) -> dict[str, Any]:
            async with turn:
                try:
                    return {
                        "symbol": symbol,
                        "answer": await compute(desk, symbol, wanted.timeframe, wanted.indicators),
                    }
                except HANDLED as error:
                    problem = translate(error)
                    about = {"type": problem.kind, "status": problem.status, "title": problem.title}
                    return {"symbol": symbol, "problem": about}

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(symbol)) for symbol in wanted.symbols]
        return answer({"user": request().user, "results": [task.result() for task in tasks]})

    _add_alert_route(router, desk)


def _add_alert_route(router: APIRouter, desk: Desk) -> None:
    @router.post(
        "/v2/alerts",
        tags=["signals"],
        response_model=None,
        openapi_extra=SECURED,
        responses={
            200: {"model": AlertAnswer, "description": "The rule does not hold; nothing was stored"},
            202: {"model": AlertAnswer, "description": "Stored durably, to be delivered"},
            **responses(*ADMITTED, "key-conflict", "outbox-full", "not-durable"),
        },
    )
    async def alert(
        asked: Request, wanted: Annotated[AlertRequest, Body()], idempotency_key: IdempotencyKey
    ) -> Response:
        """Evaluate the rule now; if it holds, store the alert durably and deliver it, once in effect."""
        once(asked.headers, "Idempotency-Key")
        user, body = request().user, wanted.model_dump(mode="json")
        alert_id = await desk.first_answer(user, idempotency_key, body)
        if alert_id is None:
            await entitled(desk, [wanted.symbol])
            rule = rules.Rule.parse(body["rule"])
            loaded = await desk.candles(wanted.symbol, wanted.timeframe)
            if not rule.holds(market.latest(loaded.candles, rule.needs), loaded.candles[-1].close):
                alert_id = await desk.decline(user, idempotency_key, body)
            else:
                alert_id = await desk.accept(user, idempotency_key, body, f"{wanted.symbol}: {rule.text()}")
        if not alert_id:
            return answer({"user": user, "status": "not_met"})
        return answer({"user": user, "status": "accepted", "alert_id": alert_id}, 202)
