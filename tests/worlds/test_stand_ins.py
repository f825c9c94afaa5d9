"""The fake downstreams answer as good ones do, record requests, and misbehave exactly as set."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from hardening.worlds.shared.downstreams import FakeDownstream
from hardening.worlds.shared.market import SeededMarket
from hardening.worlds.shared.misbehaviour import KINDS, Misbehaviour

pytestmark = pytest.mark.asyncio

Diary = list[tuple[str, str, str, Mapping[str, Any], str]]


@asynccontextmanager
async def serving(name: str) -> AsyncIterator[tuple[FakeDownstream, httpx.AsyncClient, Diary]]:
    diary: Diary = []
    stand_in = FakeDownstream(name, lambda *event: diary.append(event), SeededMarket(0))
    server = stand_in.server()
    port = await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=5) as client:
            yield stand_in, client, diary
    finally:
        await server.stop()


async def test_the_ticker_gives_candles_and_knows_its_limits() -> None:
    async with serving("ticker") as (_, client, diary):
        answer = await client.get("/candles/AAPL", params={"timeframe": "5m", "limit": "20"})
        assert answer.status_code == 200
        assert len(answer.json()["candles"]) == 20
        assert (await client.get("/candles/NOPE")).status_code == 404
        assert (await client.get("/candles/AAPL", params={"timeframe": "7m"})).status_code == 400
        assert (await client.get("/candles/AAPL", params={"limit": "0"})).status_code == 400
        assert (await client.get("/elsewhere")).status_code == 404
    kinds = [(kind, f) for _, kind, f, _, _ in diary]
    assert kinds == [("invoke", "arrival"), ("ok", "arrival")] * 5


async def test_an_effect_happens_once_for_each_idempotency_key() -> None:
    async with serving("alert") as (stand_in, client, _):
        for _ in range(3):
            answer = await client.post("/alerts", json={"a": 1}, headers={"Idempotency-Key": "k"})
            assert answer.status_code == 201
        assert (await client.post("/alerts", json={"a": 2}, headers={"Idempotency-Key": "k"})).status_code == 422
        assert (await client.post("/alerts", json={"a": 2})).status_code == 400
        assert list(stand_in.effects) == ["k"]


async def _ask(kind: str) -> tuple[FakeDownstream, httpx.Response | Exception]:
    async with serving("user") as (stand_in, client, _):
        stand_in.misbehaviour = Misbehaviour(kind, latency_s=0.001)
        try:
            return stand_in, await client.get("/users/alice/entitlement", timeout=0.5)
        except httpx.HTTPError as error:
            return stand_in, error


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"latency", "dripped_body", "dripped_head"}])
async def test_each_misbehaviour_hurts_the_answer(kind: str) -> None:
    stand_in, got = await _ask(kind)
    assert stand_in.hurt == 1
    if isinstance(got, Exception):
        assert kind in {"hang", "reset", "truncated_body"}
        return
    sound = False
    if got.status_code == 200 and got.headers["content-type"] == "application/json" and len(got.content) < 10_000:
        try:
            sound = json.loads(got.content).get("user") == "alice"
        except ValueError:
            sound = False
    assert not sound or kind == "garbage_after"


@pytest.mark.parametrize("kind", ["latency", "dripped_body", "dripped_head"])
async def test_slow_answers_are_slow_and_whole(kind: str) -> None:
    stand_in, got = await _ask(kind)
    assert stand_in.hurt == 1
    assert isinstance(got, httpx.Response)
    assert got.json()["user"] == "alice"


async def test_health_can_be_spared() -> None:
    async with serving("user") as (stand_in, client, _):
        stand_in.misbehaviour = Misbehaviour("status", status=503, spare_health=True)
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/users/alice/entitlement")).status_code == 503


async def test_an_unknown_misbehaviour_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"misbehaviour\.kind is 'tantrum', allowed: status"):
        Misbehaviour("tantrum")
