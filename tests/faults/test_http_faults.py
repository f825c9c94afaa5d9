"""HTTP faults over the wire, at the fake downstreams: what each way to go wrong does to a client, and its healing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from hardening.faults.base import UnsupportedTargetError
from hardening.faults.http_faults import HOW, HttpFault
from hardening.faults.schedule import Injection
from hardening.worlds.shared.downstreams import FakeDownstream
from hardening.worlds.shared.market import SeededMarket
from hardening.worlds.shared.misbehaviour import KINDS, Misbehaviour


class OneDownstream:
    def __init__(self, target: object) -> None:
        self._target = target

    def target(self, protocol: str, name: str) -> object:
        if (protocol, name) != ("downstream", "ticker"):
            raise UnsupportedTargetError("fault.target", name, "ticker")
        return self._target


def outcome_of(answer: httpx.Response) -> str:
    """What a caller makes of an answer."""
    if answer.status_code != 200:
        return f"status {answer.status_code}"
    if not answer.headers["content-type"].startswith("application/json"):
        return "not json by its type"
    try:
        data = answer.json()
    except json.JSONDecodeError:
        return "no json"
    return "good" if isinstance(data.get("candles"), list) else "wrong shape"


async def outcome(client: httpx.AsyncClient, url: str) -> str:
    """What a caller makes of a call."""
    try:
        return outcome_of(await client.get(url))
    except httpx.HTTPError as error:
        return type(error).__name__


OVER_THE_WIRE = {
    "status": "status 500",
    "latency": "good",
    "hang": "ReadTimeout",
    "dripped_body": "good",
    "dripped_head": "good",
    "truncated_body": "RemoteProtocolError",
    "wrong_content_type": "not json by its type",
    "invalid_json": "no json",
    "wrong_shape": "wrong shape",
    "redirect_loop": "TooManyRedirects",
    "garbage_after": "good",
    "reset": "RemoteProtocolError",
}


def test_fault_and_stand_in_know_the_same_ways_to_go_wrong() -> None:
    assert set(HOW) == set(KINDS)
    assert set(OVER_THE_WIRE) | {"oversize_body"} == set(HOW)


@pytest.mark.parametrize("how", HOW)
def test_the_stand_in_takes_what_the_fault_sends(how: str) -> None:
    fault = HttpFault(how=how, latency_ms=250, path_prefix="/candles")
    misbehaviour = Misbehaviour.from_json(fault.wire())
    assert (misbehaviour.kind, misbehaviour.latency_s, misbehaviour.path_prefix) == (how, 0.25, "/candles")


class WireDownstream:
    """The ``Downstream`` target over a stand-in in this process, behind a real socket."""

    def __init__(self, stand_in: FakeDownstream) -> None:
        self._stand_in = stand_in
        self._before = 0

    async def misbehave(self, fault: Mapping[str, Any] | None) -> None:
        self._before = self._stand_in.hurt
        self._stand_in.misbehaviour = None if fault is None else Misbehaviour.from_json(fault)
        self._stand_in.hurt = 0

    async def hurt(self) -> int:
        return self._stand_in.hurt or self._before


@pytest.mark.live
@pytest.mark.asyncio
@pytest.mark.parametrize("how", OVER_THE_WIRE)
async def test_each_way_hurts_over_the_wire_and_is_healed(how: str) -> None:
    stand_in = FakeDownstream("ticker", lambda *_: None, SeededMarket(0))
    server = stand_in.server()
    url = f"http://127.0.0.1:{await server.start()}/candles/AAPL?timeframe=1m&limit=3"
    injection = Injection(HttpFault(how=how, latency_ms=1), OneDownstream(WireDownstream(stand_in)))
    limit_s = 0.3 if how == "hang" else 5
    try:
        async with httpx.AsyncClient(timeout=limit_s, trust_env=False, follow_redirects=True) as client, injection:
            assert await outcome(client, url) == OVER_THE_WIRE[how]
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            assert await outcome(client, url) == "good"
    finally:
        await server.stop()
    assert injection.effect is not None
    assert injection.effect.counts["answers_hurt"] >= 1


@pytest.mark.live
@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault", [HttpFault(path_prefix="/users"), HttpFault(spare_health=True)], ids=["path", "health"]
)
async def test_other_paths_and_spared_health_are_left_alone(fault: HttpFault) -> None:
    stand_in = FakeDownstream("ticker", lambda *_: None, SeededMarket(0))
    server = stand_in.server()
    path = "/health" if fault.spare_health else "/candles/AAPL?timeframe=1m&limit=3"
    url = f"http://127.0.0.1:{await server.start()}{path}"
    injection = Injection(fault, OneDownstream(WireDownstream(stand_in)))
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client, injection:
            assert (await client.get(url)).status_code == 200
    finally:
        await server.stop()
    assert injection.effect is not None
    assert not injection.effect.effective


@pytest.mark.live
@pytest.mark.asyncio
async def test_latency_over_the_wire_is_as_long_as_was_asked_for() -> None:
    stand_in = FakeDownstream("ticker", lambda *_: None, SeededMarket(0))
    server = stand_in.server()
    url = f"http://127.0.0.1:{await server.start()}/candles/AAPL?timeframe=1m&limit=3"
    loop = asyncio.get_running_loop()
    injection = Injection(HttpFault(how="latency", latency_ms=200), OneDownstream(WireDownstream(stand_in)))
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client, injection:
            began = loop.time()
            assert await outcome(client, url) == "good"
            assert loop.time() - began >= 0.2
    finally:
        await server.stop()
