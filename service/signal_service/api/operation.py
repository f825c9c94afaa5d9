"""The routes of those who run the service: health, metrics, administration."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from signal_service.api.routes import KEYED, PUBLIC, SECURED, Desk, answer, request
from signal_service.api.shapes import ChangeAnswer, InvalidateAnswer, InvalidateRequest, ReadyAnswer
from signal_service.config.hot_reload import Change
from signal_service.problems import MEDIA_TYPE, TYPE_PREFIX, Problem, responses


def add_operator_routes(router: APIRouter, desk: Desk) -> None:
    """All of them."""
    _watching(router, desk)
    _changing(router, desk)
    _forgetting(router, desk)


def _watching(router: APIRouter, desk: Desk) -> None:
    @router.get("/health", tags=["operation"], response_model=None, responses={**responses(*PUBLIC)})
    async def health() -> Response:
        """The process answers."""
        return answer({"status": "ok"})

    @router.get(
        "/ready", tags=["operation"], response_model=None, responses={200: {"model": ReadyAnswer}, **responses(*PUBLIC)}
    )
    async def ready() -> Response:
        """Whether to send requests here."""
        status, body = desk.health.ready()
        if {"metrics", "admin"} & set(request().scopes):
            body |= desk.health.detail()
        if status != 200:
            about = {"type": TYPE_PREFIX + "not-ready", "title": "The service is not ready"}
            body = {**about, **body, "phase": body["status"], "status": status}
            return answer(body, status, MEDIA_TYPE)
        return answer(body)

    @router.get(
        "/metrics",
        tags=["operation"],
        response_class=Response,
        openapi_extra=SECURED,
        responses={200: {"content": {"text/plain": {}}}, **responses(*KEYED)},
    )
    async def metrics() -> Response:
        """Counters and gauges for Prometheus."""
        return Response(desk.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get(
        "/admin/state", tags=["operation"], response_model=None, openapi_extra=SECURED, responses=responses(*KEYED)
    )
    async def state() -> Response:
        """Level, budgets, breakers, outbox, log."""
        return answer(await desk.state())

    @router.get(
        "/admin/config", tags=["operation"], response_model=None, openapi_extra=SECURED, responses=responses(*KEYED)
    )
    async def config() -> Response:
        """The configuration that this request sees, secrets masked."""
        settings = request().settings or desk.store.current
        public = {"generation": request().generation, "digest": settings.digest(), "settings": settings.public()}
        return answer(public)


def _changing(router: APIRouter, desk: Desk) -> None:
    shape: dict[str, Any] = {
        "tags": ["operation"],
        "response_model": None,
        "openapi_extra": SECURED,
        "responses": {200: {"model": ChangeAnswer}, **responses(*KEYED, "refused", "audit")},
    }

    @router.post("/admin/reload", **shape)
    async def reload() -> Response:
        """Read the configuration again and put it in force, or refuse it and change nothing."""
        return await changed("reload", desk.store.reload)

    @router.post("/admin/rollback", **shape)
    async def rollback() -> Response:
        """Put the configuration before this one back in force."""
        return await changed("rollback", desk.store.rollback)

    async def changed(action: str, change: Callable[[str], Change]) -> Response:
        actor = f"admin:{request().key_id}"
        if not await desk.audit_first(action, actor):
            raise Problem("audit", "No change is made that cannot be audited", retry_after_s=5.0)
        done = change(actor)
        if done.outcome == "refused":
            field, _, why = done.problems[0].partition(": ")
            # A secret pasted where a field's name belongs is quoted by the refusal.
            raise Problem("refused", desk.redactor.text(why or field), field=desk.redactor.text(field))
        return answer({"outcome": done.outcome, "generation": done.generation})


def _forgetting(router: APIRouter, desk: Desk) -> None:
    @router.post(
        "/admin/cache/invalidate",
        tags=["operation"],
        response_model=None,
        openapi_extra=SECURED,
        responses={200: {"model": InvalidateAnswer}, **responses(*KEYED, "invalid", "audit")},
    )
    async def invalidate(wanted: Annotated[InvalidateRequest, Body()]) -> Response:
        """Forget candles that are known to be wrong; a load under way no longer counts, and the next one does."""
        actor = f"admin:{request().key_id}"
        about = {"symbol": wanted.symbol, "timeframe": wanted.timeframe or "all"}
        if not await desk.audit_first("invalidate", actor, **about):
            raise Problem("audit", "No change is made that cannot be audited", retry_after_s=5.0)
        return answer({"invalidated": await desk.history.invalidate(wanted.symbol, wanted.timeframe)})


def add_documents(router: APIRouter, document: Callable[[], dict[str, Any]]) -> None:
    """The OpenAPI document, and a page that shows it; ``document`` is asked for once, when somebody wants it."""
    document = functools.cache(document)

    @router.get("/openapi.json", include_in_schema=False, response_model=None)
    async def openapi() -> Response:
        return answer(document())

    @router.get("/docs", include_in_schema=False, response_model=None)
    async def docs() -> Response:
        return Response(_docs_page(document()), media_type="text/html; charset=utf-8")


def _docs_page(document: dict[str, Any]) -> str:
    """A page without scripts: FastAPI's own loads its scripts from a public server, which an operator's net forbids."""
    rows = []
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            answers = "".join(
                f"<li><code>{status}</code> {html.escape(entry['description'])}</li>"
                for status, entry in sorted(one["responses"].items())
            )
            text = html.escape(one.get("description", ""))
            rows.append(f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p>{text}</p><ul>{answers}</ul>")
    title = html.escape(document["info"]["title"])
    about = (
        f"{html.escape(document['info']['description'])} The whole document: <a href=/openapi.json>openapi.json</a>."
    )
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><h1>{title}</h1><p>{about}</p>" + (
        "".join(rows) + "</html>"
    )
