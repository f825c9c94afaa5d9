from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

import httpx
import pytest
import respx
from back_world import Clock, Events, candles_json, make_settings, make_world, run, until

from signal_service.clients.downstream import retry_after_s
from signal_service.clients.errors import BreakerOpenError, DownstreamError, UnknownSymbolError
from signal_service.clients.factory import (
    ClientManager,
    Entitlement,
    build_client_manager,
    get_client_manager,
    shutdown_all_clients,
)
from signal_service.context import RequestContext, current_request

TICKER, USER = "http://127.0.0.1:9001", "http://127.0.0.1:9002"
CANDLES = f"{TICKER}/candles/ACME"


def with_clients(body: Callable[[ClientManager, Clock, Events], Awaitable[Any]], **settings: Any) -> None:
    """Run ``body`` with clients whose network is respx; nothing may be left behind."""

    async def main() -> None:
        clock, events = Clock(), Events()
        manager = ClientManager(make_settings(**settings), make_world(clock, events))
        try:
            await body(manager, clock, events)
        finally:
            await manager.aclose()
        for name, downstream in manager.downstreams.items():
            assert downstream.calls_in_flight == 0, name

    with respx.mock:
        run(main())


def test_candles_come_with_token_request_id_and_attempt():
    async def body(manager: ClientManager, clock: Clock, events: Events) -> None:
        route = respx.get(CANDLES).mock(httpx.Response(200, json=candles_json()))
        current_request.set(RequestContext("r-1", clock() + 5))
        candles = await manager.ticker.candles("ACME", "1m", 2)
        assert [candle.t for candle in candles] == [60, 120]
        sent = route.calls.last.request
        assert dict(sent.url.params) == {"timeframe": "1m", "limit": "2"}
        assert sent.headers["Authorization"] == "Bearer a-token-of-some-length"
        assert (sent.headers["X-Request-Id"], sent.headers["X-Attempt"]) == ("r-1", "1")
        assert events.of("call", outcome="ok", attempts=1, id="r-1", idempotent=True)

    with_clients(body)


def test_a_call_with_its_retries_counts_once_for_the_breaker():
    async def body(manager: ClientManager, clock: Clock, events: Events) -> None:
        respx.get(CANDLES).mock(httpx.Response(503))
        for _ in range(3):
            clock.now_s += 10  # the retry budget is another test's matter
            assert manager.ticker.downstream.breaker.state == "closed"
            with pytest.raises(DownstreamError):
                await manager.ticker.candles("ACME", "1m", 2)
        assert manager.ticker.downstream.breaker.state == "open"
        assert [call["attempts"] for call in events.of("call")] == [3, 3, 3]
        sent = len(respx.calls)
        with pytest.raises(BreakerOpenError):
            await manager.ticker.candles("ACME", "1m", 2)
        assert len(respx.calls) == sent
        assert manager.user.downstream.breaker.state == "closed"

    with_clients(body)


def test_a_half_open_probe_is_one_attempt_and_no_retry():
    async def body(manager: ClientManager, clock: Clock, _: Events) -> None:
        respx.get(CANDLES).mock(httpx.Response(500))
        breaker = manager.ticker.downstream.breaker
        for _call in range(3):
            breaker.acquire().failure()
        clock.now_s += 60
        with pytest.raises(DownstreamError):
            await manager.ticker.candles("ACME", "1m", 2)
        assert len(respx.calls) == 1
        assert breaker.state == "open"

    with_clients(body)


def test_no_retry_is_sent_once_the_breaker_has_opened_meanwhile():
    async def body(manager: ClientManager, _: Clock, events: Events) -> None:
        def fail(_: httpx.Request) -> httpx.Response:
            for _call in range(3):
                manager.ticker.downstream.breaker.acquire().failure()
            return httpx.Response(500)

        respx.get(CANDLES).mock(side_effect=fail)
        with pytest.raises(DownstreamError):
            await manager.ticker.candles("ACME", "1m", 2)
        assert len(respx.calls) == 1
        assert events.of("call", outcome="failed", attempts=1)

    with_clients(body)


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422])
def test_a_4xx_is_neither_retried_nor_held_against_the_downstream(status: int):
    async def body(manager: ClientManager, _: Clock, events: Events) -> None:
        respx.get(CANDLES).mock(httpx.Response(status))
        for _call in range(5):
            with pytest.raises(DownstreamError) as refused:
                await manager.ticker.candles("ACME", "1m", 2)
        assert (refused.value.kind, refused.value.status) == ("client_error", status)
        assert len(respx.calls) == 5
        assert manager.ticker.downstream.breaker.state == "closed"
        assert len(events.of("call", outcome="client_error")) == 5

    with_clients(body)


@pytest.mark.parametrize("status", [408, 429])
def test_408_and_429_count_as_failures_and_are_not_retried(status: int):
    async def body(manager: ClientManager, _: Clock, __: Events) -> None:
        respx.get(CANDLES).mock(httpx.Response(status, headers={"Retry-After": "7"}))
        for _call in range(3):
            with pytest.raises(DownstreamError) as failed:
                await manager.ticker.candles("ACME", "1m", 2)
        assert failed.value.retry_after_s == 7
        assert len(respx.calls) == 3
        assert manager.ticker.downstream.breaker.state == "open"

    with_clients(body)


def test_an_unknown_symbol_is_its_own_error():
    async def body(manager: ClientManager, _: Clock, __: Events) -> None:
        respx.get(f"{TICKER}/candles/NOPE").mock(httpx.Response(404))
        with pytest.raises(UnknownSymbolError):
            await manager.ticker.candles("NOPE", "1m", 2)

    with_clients(body)


def wrong_answers() -> list[httpx.Response]:
    return [
        httpx.Response(200, text="{"),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(200, json=candles_json("OTHER")),
        httpx.Response(200, json=None),
        httpx.Response(200, text='{"symbol": NaN}'),
        httpx.Response(200, content=b"x" * 1_000_001),
        httpx.Response(200, content=b"x", headers={"Content-Encoding": "gzip"}),
        httpx.Response(302, headers={"Location": "http://169.254.169.254/"}),
        httpx.Response(200, content=b""),
    ]


@pytest.mark.parametrize("index", range(len(wrong_answers())))
def test_an_answer_that_cannot_be_believed_counts_as_a_failure(index: int):
    async def body(manager: ClientManager, clock: Clock, events: Events) -> None:
        respx.get(CANDLES).mock(side_effect=lambda _: wrong_answers()[index])
        with pytest.raises(DownstreamError) as failed:
            await manager.ticker.candles("ACME", "1m", 2)
        assert failed.value.kind in {"malformed", "too_large", "status"}
        assert events.of("call", outcome="failed")
        assert manager.ticker.downstream.breaker.failures == 1

    with_clients(body)


def test_another_users_entitlement_never_decides():
    async def body(manager: ClientManager, _: Clock, __: Events) -> None:
        answer = {"user": "eve", "plan": "pro", "active": True, "symbols": ["*"]}
        respx.get(f"{USER}/users/bob/entitlement").mock(httpx.Response(200, json=answer))
        with pytest.raises(DownstreamError) as failed:
            await manager.user.entitlement("bob")
        assert failed.value.kind == "malformed"

    with_clients(body)


def test_entitlements_are_by_symbol_and_an_unknown_user_has_none():
    async def body(manager: ClientManager, _: Clock, __: Events) -> None:
        answer = {"user": "a/b", "plan": "pro", "active": True, "symbols": ["ACME"]}
        respx.get(f"{USER}/users/a%2Fb/entitlement").mock(httpx.Response(200, json=answer))
        respx.get(f"{USER}/users/nobody/entitlement").mock(httpx.Response(404))
        found = await manager.user.entitlement("a/b")
        assert found.allows("ACME")
        assert not found.allows("OTHER")
        assert await manager.user.entitlement("nobody") == Entitlement("nobody", "", False, frozenset())

    with_clients(body)


ALERT = {"alert_id": "a-1", "user": "bob", "symbol": "ACME", "rule": {}, "text": "up", "channel": "mail"}


def test_a_delivery_carries_the_alerts_id_as_its_key_and_is_then_safe_to_repeat():
    async def body(manager: ClientManager, _: Clock, events: Events) -> None:
        alerts = respx.post("http://127.0.0.1:9003/alerts")
        alerts.side_effect = [httpx.Response(500), httpx.Response(201, json={"id": "1"})]
        respx.post("http://127.0.0.1:9004/messages").mock(httpx.Response(202, json={"id": "2"}))
        await manager.alert.deliver(ALERT)
        await manager.comms.send(ALERT)
        assert [call.request.headers["Idempotency-Key"] for call in alerts.calls] == ["a-1", "a-1"]
        assert [call.request.headers["X-Attempt"] for call in alerts.calls] == ["1", "2"]
        assert events.of("call", name="comms", key="a-1", method="POST", idempotent=True)

    with_clients(body)


def test_a_cancelled_caller_leaves_no_slot_taken_and_says_nothing_about_the_downstream():
    async def body(manager: ClientManager, _: Clock, events: Events) -> None:
        gate = asyncio.Event()

        async def hang(_: httpx.Request) -> httpx.Response:
            await gate.wait()
            return httpx.Response(500)

        respx.get(CANDLES).mock(side_effect=hang)
        callers = [asyncio.ensure_future(manager.ticker.candles("ACME", "1m", 2)) for _ in range(5)]
        await until(lambda: len(events.of("attempt")) == 2)  # two slots, three wait for one
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        assert all(caller.cancelled() for caller in callers)
        gate.set()
        await until(lambda: manager.ticker.downstream.calls_in_flight == 0)
        assert len(events.of("call", outcome="cancelled")) == 5
        assert len(events.of("attempt")) == 2  # nobody waits: no retry
        assert manager.ticker.downstream.breaker.failures == 0
        respx.get(CANDLES).mock(httpx.Response(200, json=candles_json()))
        await asyncio.gather(*(manager.ticker.candles("ACME", "1m", 2) for _ in range(5)))

    with_clients(body, downstreams={"ticker": {"concurrency": 2}})


def test_a_request_without_time_is_not_sent_and_not_held_against_the_downstream():
    async def body(manager: ClientManager, clock: Clock, events: Events) -> None:
        current_request.set(RequestContext("late", clock() - 1))
        with pytest.raises(DownstreamError) as failed:
            await manager.ticker.candles("ACME", "1m", 2)
        assert failed.value.kind == "deadline"
        assert events.of("call", outcome="deadline")
        assert len(respx.calls) == 0
        assert manager.ticker.downstream.breaker.failures == 0

    with_clients(body)


def test_a_breaker_that_is_due_is_mended_by_a_health_probe_when_no_traffic_comes():
    async def body(manager: ClientManager, clock: Clock, __: Events) -> None:
        health = respx.get("http://127.0.0.1:9004/health").mock(httpx.Response(200, json={}))
        comms = manager.comms.downstream
        await comms.mend()
        comms.breaker.acquire().failure()
        comms.breaker.acquire().failure()
        await comms.mend()
        assert health.call_count == 0  # closed, then open: nothing is sent
        clock.now_s += 30
        await comms.mend()
        assert (health.call_count, comms.breaker.state) == (1, "closed")

    with_clients(body)


def test_mending_goes_on_although_a_downstream_stays_ill():
    async def body(manager: ClientManager, clock: Clock, __: Events) -> None:
        respx.get("http://127.0.0.1:9004/health").mock(httpx.Response(500))
        comms = manager.comms.downstream
        comms.breaker.acquire().failure()
        comms.breaker.acquire().failure()
        mending = asyncio.ensure_future(manager.mend_forever())
        await until(lambda: clock.now_s > 1100)
        assert not mending.done()
        mending.cancel()
        await asyncio.wait([mending])
        assert 3 <= len(respx.calls) <= 4

    with_clients(body)


def test_a_client_that_cannot_be_built_leaves_the_others_up():
    async def main() -> None:
        clock, events = Clock(), Events()
        settings, world, builds = make_settings(), make_world(clock, events), []

        def network() -> Any:
            builds.append(1)
            if len(builds) == 2:
                raise OSError("no more descriptors")
            return world.network()

        manager = ClientManager(settings, type(world)(events, clock, clock.sleep, world.rng, network))
        assert [event["name"] for event in events.of("client", event="built")] == ["ticker", "alert", "comms"]
        assert [event["name"] for event in events.of("client", event="build_failed")] == ["user"]
        respx.get(CANDLES).mock(httpx.Response(200, json=candles_json()))
        assert await manager.ticker.candles("ACME", "1m", 2)
        with pytest.raises(DownstreamError) as failed:
            await manager.user.entitlement("bob")
        assert failed.value.kind == "unbuilt"
        await manager.aclose()

    with respx.mock:
        run(main())


def test_clients_are_made_once_and_closed_once_even_when_one_fails_to_close(monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        clock, events = Clock(), Events()
        manager = build_client_manager(make_settings(), make_world(clock, events))
        assert get_client_manager() is manager
        with pytest.raises(RuntimeError):
            build_client_manager(make_settings(), make_world(clock, events))

        async def fail() -> None:
            raise OSError("already gone")

        monkeypatch.setattr(manager.user.downstream, "aclose", fail)
        await shutdown_all_clients()
        await shutdown_all_clients()
        await manager.aclose()
        assert [event["name"] for event in events.of("client", event="closed")] == ["ticker", "alert", "comms"]
        assert len(events.of("client", event="close_failed")) == 1
        with pytest.raises(RuntimeError):
            get_client_manager()
        with pytest.raises(DownstreamError):
            await manager.ticker.candles("ACME", "1m", 2)

    run(main())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "5"}, 5.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "99999999999"}, 3600.0),
        ({"Retry-After": "Sun, 06 Nov 1994 08:50:07 GMT", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 30.0),
        ({"Retry-After": "Sunday, 06-Nov-94 08:50:07 GMT", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 30.0),
        ({"Retry-After": "Sun Nov  6 08:50:07 1994", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 30.0),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:07 GMT"}, 0.0),
        *(
            ({"Retry-After": nonsense}, None)
            for nonsense in ("-5", "1_000", "5.5", "", "soon", "Sun, x", "1e3", "\u0665")
        ),
        ({}, None),
    ],
)
def test_a_retry_after_is_a_number_or_a_date_and_anything_else_is_ignored(
    headers: dict[str, str], expected: float | None
) -> None:
    assert retry_after_s(headers) == expected


def test_a_date_without_the_servers_own_counts_from_now() -> None:
    waits = retry_after_s({"Retry-After": formatdate(time.time() + 30, usegmt=True)})
    assert waits is not None
    assert 28 < waits <= 31
