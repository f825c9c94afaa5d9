"""HTTP faults in process (respx) and over the wire (the stand-ins): the same words, the same harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
import respx

from hardening.faults.base import UnsupportedTargetError
from hardening.faults.http_faults import HOW, HttpFault, InProcessDownstream
from hardening.faults.schedule import Injection
from hardening.worlds.shared.downstreams import StandIn
from hardening.worlds.shared.market import SeededMarket
from hardening.worlds.shared.misbehaviour import KINDS, Misbehaviour

URL = "http://ticker.test/candles/AAPL"
GOOD = {"symbol": "AAPL", "candles": [1, 2, 3]}


class OneDownstream:
    def __init__(self, target: object) -> None:
        self._target = target

    def target(self, protocol: str, name: str) -> object:
        if (protocol, name) != ("downstream", "ticker"):
            raise UnsupportedTargetError("fault.target", name, "ticker")
        return self._target


async def no_wait(seconds: float) -> None:
    assert seconds >= 0


def in_process() -> InProcessDownstream:
    return InProcessDownstream(lambda request: httpx.Response(200, json=GOOD), no_wait)


async def fetch(target: InProcessDownstream) -> httpx.Response:
    async with respx.mock(assert_all_called=True) as router, httpx.AsyncClient(max_redirects=3) as client:
        router.get(URL).mock(side_effect=target.side_effect)
        return await client.get(URL, follow_redirects=True)


EXPECTED: Mapping[str, Any] = {
    "status": lambda answer: answer.status_code == 500,
    "latency": lambda answer: answer.json() == GOOD,
    "dripped_body": lambda answer: answer.json() == GOOD,
    "dripped_head": lambda answer: answer.json() == GOOD,
    "wrong_content_type": lambda answer: answer.headers["content-type"].startswith("text/html"),
    "invalid_json": lambda answer: outcome_of(answer) == "no json",
    "oversize_body": lambda answer: len(answer.content) > 10_000_000,
    "wrong_shape": lambda answer: "candles" not in answer.json(),
    "garbage_after": lambda answer: answer.json() == GOOD,
}
RAISED = {
    "reset": httpx.ReadError,
    "hang": httpx.ReadTimeout,
    "truncated_body": httpx.RemoteProtocolError,
    "redirect_loop": httpx.TooManyRedirects,
}


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
    assert set(EXPECTED) | set(RAISED) == set(HOW)


@pytest.mark.parametrize("how", HOW)
def test_the_stand_in_takes_what_the_fault_sends(how: str) -> None:
    fault = HttpFault(how=how, latency_ms=250, path_prefix="/candles")
    misbehaviour = Misbehaviour.from_json(fault.wire())
    assert (misbehaviour.kind, misbehaviour.latency_s, misbehaviour.path_prefix) == (how, 0.25, "/candles")


@pytest.mark.asyncio
@pytest.mark.parametrize("how", HOW)
async def test_each_way_hurts_in_process_and_is_healed(how: str) -> None:
    target = in_process()
    injection = Injection(HttpFault(how=how, latency_ms=10), OneDownstream(target))
    async with injection:
        if how in RAISED:
            with pytest.raises(RAISED[how]):
                await fetch(target)
        else:
            assert EXPECTED[how](await fetch(target))
    assert (await fetch(target)).json() == GOOD
    assert injection.bite is not None
    assert injection.bite.counts["answers_hurt"] >= 1


@pytest.mark.asyncio
async def test_a_connection_used_again_after_garbage_breaks() -> None:
    target = in_process()
    async with Injection(HttpFault(how="garbage_after"), OneDownstream(target)):
        assert (await fetch(target)).json() == GOOD
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(target)


@pytest.mark.asyncio
async def test_other_paths_and_spared_health_are_left_alone() -> None:
    target = in_process()
    injection = Injection(HttpFault(path_prefix="/users"), OneDownstream(target))
    async with injection:
        assert (await fetch(target)).status_code == 200
    assert injection.bite is not None
    assert not injection.bite.bit


class WireDownstream:
    """The ``Downstream`` target over a stand-in in this process, behind a real socket."""

    def __init__(self, stand_in: StandIn) -> None:
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
    stand_in = StandIn("ticker", lambda *_: None, SeededMarket(0))
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
    assert injection.bite is not None
    assert injection.bite.counts["answers_hurt"] >= 1


@pytest.mark.live
@pytest.mark.asyncio
async def test_latency_over_the_wire_is_as_long_as_was_asked_for() -> None:
    stand_in = StandIn("ticker", lambda *_: None, SeededMarket(0))
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
