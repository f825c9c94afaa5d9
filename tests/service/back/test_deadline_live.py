"""Deadlines over real sockets: what is dripped, hung or abandoned ends in time, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self

import httpcore
import pytest
from back_world import Events, candles_json, make_settings

from signal_service.clients.downstream import World
from signal_service.clients.errors import DownstreamError
from signal_service.clients.factory import ClientManager
from signal_service.clients.transport import Deadline, DeadlineStream, current_deadline, shared_ssl_context
from signal_service.context import RequestContext, current_request

pytestmark = pytest.mark.live

BODY = json.dumps(candles_json()).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)


class Server:
    """Answers as ``behave`` says; counts the connections that are open."""

    def __init__(self, behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._behave = behave
        self.open = 0
        self.made = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.made += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await self._behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


async def drip(data: bytes, writer: asyncio.StreamWriter, pause_s: float = 0.05) -> None:
    for index in range(len(data)):
        writer.write(data[index : index + 1])
        await writer.drain()
        await asyncio.sleep(pause_s)


async def drip_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await drip(HEAD + BODY, writer)


async def drip_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    await drip(BODY, writer)


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()
    raise ConnectionError


async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + BODY)


def clients(port: int, events: Events, **ticker: Any) -> ClientManager:
    settings = make_settings(downstreams={"ticker": {"url": f"http://127.0.0.1:{port}", **ticker}})
    world = World(events, time.monotonic, asyncio.sleep, random.Random(1), httpcore.AnyIOBackend)
    return ClientManager(settings, world)


async def ask(manager: ClientManager, within_s: float) -> Any:
    current_request.set(RequestContext("r", time.monotonic() + within_s))
    return await manager.ticker.candles("ACME", "1m", 3)


async def wait_until(true: Callable[[], bool], within_s: float = 3.0) -> None:
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s, "it did not happen in time"
        await asyncio.sleep(0.01)


@pytest.mark.asyncio
@pytest.mark.parametrize("behave", [drip_head, drip_body, hang])
async def test_dripped_heads_dripped_bodies_and_silence_end_by_the_deadline(behave: Any):
    async with Server(behave) as server:
        events = Events()
        manager = clients(server.port, events, timeout_s=0.3)
        began_s = time.monotonic()
        with pytest.raises(DownstreamError) as failed:
            await ask(manager, 0.7)
        assert time.monotonic() - began_s < 0.8
        assert failed.value.kind in {"timeout", "deadline"}
        assert events.of("call", outcome="failed")
        await wait_until(lambda: server.open == 0)
        await manager.aclose()


@pytest.mark.asyncio
@pytest.mark.parametrize("behave", [drip_head, drip_body, hang])
async def test_when_the_caller_goes_away_its_call_ends_at_once(behave: Any):
    async with Server(behave) as server:
        events = Events()
        manager = clients(server.port, events, timeout_s=30)
        caller = asyncio.ensure_future(ask(manager, 30))
        await wait_until(lambda: server.open == 1)
        await asyncio.sleep(0.05)
        caller.cancel()
        await asyncio.wait([caller])
        await wait_until(lambda: manager.ticker.downstream.calls_in_flight == 0 and server.open == 0, 0.5)
        assert events.of("call", outcome="cancelled")
        assert manager.ticker.downstream.breaker.failures == 0
        await manager.aclose()


@pytest.mark.asyncio
async def test_an_unreachable_address_ends_by_the_deadline():
    with socket.socket() as full:  # a listener whose queue is full answers no further connection
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        await asyncio.sleep(0.05)
        manager = clients(full.getsockname()[1], Events(), timeout_s=0.2)
        began_s = time.monotonic()
        with pytest.raises(DownstreamError):
            await ask(manager, 0.5)
        assert time.monotonic() - began_s < 0.6
        await manager.aclose()
        for filler in fillers:
            filler.close()


@pytest.mark.asyncio
async def test_no_slot_socket_or_task_is_left_after_any_mix_of_timeouts_and_cancellations():
    rng = random.Random(11)

    async def moody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mood = rng.random()
        if mood < 0.3:
            await asyncio.sleep(rng.random() * 0.1)
        if mood < 0.2:
            await drip(HEAD, writer, 0.01)
        elif mood > 0.9:
            raise ConnectionError
        else:
            writer.write(HEAD)
        await asyncio.sleep(rng.random() * 0.02)
        writer.write(BODY)

    async with Server(moody) as server:
        manager = clients(
            server.port, Events(), timeout_s=0.05, concurrency=10, breaker={"failures": 1000, "open_s": 1}
        )
        tasks_before = asyncio.all_tasks()

        async def customer() -> None:
            for _ in range(15):
                task = asyncio.ensure_future(ask(manager, 0.3))
                if rng.random() < 0.3:
                    await asyncio.sleep(rng.random() * 0.03)
                    task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.exception()

        await asyncio.gather(*(customer() for _ in range(30)))
        downstream = manager.ticker.downstream
        await wait_until(lambda: downstream.calls_in_flight == 0)
        assert server.open <= 10
        rng.random = lambda: 0.5  # type: ignore[method-assign]
        found = await asyncio.gather(*(ask(manager, 3) for _ in range(10)))  # all ten slots still serve, at once
        assert len(found) == 10
        await manager.aclose()
        await wait_until(lambda: server.open == 0)
        left = {task for task in asyncio.all_tasks() - tasks_before if not task.done()}
        assert not left
    gc.collect()


@pytest.mark.asyncio
async def test_connections_are_reused_and_never_more_than_the_slots():
    async with Server(answer) as server:
        manager = clients(server.port, Events(), concurrency=4)
        await asyncio.gather(*(ask(manager, 3) for _ in range(40)))
        assert server.made <= 4
        await manager.aclose()


@pytest.mark.asyncio
async def test_a_name_that_does_not_resolve_harms_only_its_own_client():
    async with Server(answer) as server:
        events = Events()
        settings = make_settings(
            downstreams={
                "ticker": {"url": f"http://127.0.0.1:{server.port}"},
                "user": {"url": "http://no-such-host.invalid:1", "retries": 0},
            }
        )
        world = World(events, time.monotonic, asyncio.sleep, random.Random(1), httpcore.AnyIOBackend)
        manager = ClientManager(settings, world)
        with pytest.raises(DownstreamError) as failed:
            await manager.user.entitlement("bob")
        assert failed.value.kind == "connect"
        assert await ask(manager, 1)
        await manager.aclose()


@pytest.mark.asyncio
async def test_a_resolver_that_hangs_on_one_name_is_asked_once_and_holds_up_nobody_else():
    async with Server(answer) as server:
        settings = make_settings(
            downstreams={
                "ticker": {"url": f"http://localhost:{server.port}"},
                "user": {"url": "http://hung.invalid:1", "retries": 0, "timeout_s": 0.2, "breaker": {"failures": 99}},
            }
        )
        loop = asyncio.get_running_loop()
        real, release, asked = loop.getaddrinfo, asyncio.Event(), 0

        async def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal asked
            if host == "hung.invalid":
                asked += 1
                await release.wait()
                raise OSError("gave up")
            return await real(host, *args, **kwargs)

        loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]
        world = World(Events(), time.monotonic, asyncio.sleep, random.Random(1), httpcore.AnyIOBackend)
        manager = ClientManager(settings, world)
        hung = [asyncio.ensure_future(manager.user.entitlement("bob")) for _ in range(30)]
        assert await ask(manager, 1)
        await asyncio.wait(hung)
        assert all(isinstance(task.exception(), DownstreamError) for task in hung)
        assert asked == 1
        release.set()
        await manager.aclose()


@pytest.mark.asyncio
async def test_a_handshake_uses_the_one_shared_context_and_ends_by_the_deadline():
    contexts = []

    class Silent(httpcore.AsyncNetworkStream):
        async def start_tls(self, ssl_context: Any, *_: Any, **__: Any) -> Any:
            contexts.append(ssl_context)
            await asyncio.sleep(60)

    deadline = Deadline(time.monotonic() + 0.05, time.monotonic)
    current_deadline.set(deadline)
    with pytest.raises(httpcore.ConnectTimeout):
        await DeadlineStream(Silent()).start_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert contexts == [shared_ssl_context()]
    assert contexts[0].check_hostname
