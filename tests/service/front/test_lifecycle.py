from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from front_world import Events
from uvicorn.server import ServerState

from signal_service import command
from signal_service.config.settings import ClientLimits
from signal_service.edge.lifecycle import (
    GatheringTransport,
    GuardedProtocol,
    Lifecycle,
    bind,
    raw_answer,
    unless_ending,
)
from signal_service.problems import Problem

pytestmark = pytest.mark.asyncio


class Inner:
    def __init__(self) -> None:
        self.said: list[Any] = []

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def close(self) -> None:
        self.said.append("close")


async def test_what_is_written_in_one_go_leaves_in_one_packet_and_in_order():
    inner = Inner()
    transport = GatheringTransport(inner, asyncio.get_running_loop())  # type: ignore[arg-type]
    for data in (b"head", b"", b"body"):
        transport.write(data)
    assert inner.said == []
    await asyncio.sleep(0)
    transport.write(b"last")
    transport.close()
    await asyncio.sleep(0)
    assert inner.said == [b"headbody", b"last", "close"]


class Signals:
    """A ``SignalSource`` for a world without processes."""

    def __init__(self) -> None:
        self.handlers: dict[int, Callable[[], None]] = {}

    def __call__(self, number: int, handle: Callable[[], None]) -> Callable[[], None]:
        self.handlers[number] = handle
        return lambda: self.handlers.pop(number, None)  # type: ignore[return-value]


async def test_the_first_signal_ends_the_service_and_later_ones_change_nothing():
    signals, events, reloads = Signals(), Events(), []
    life = Lifecycle(signals, events, lambda: reloads.append(1))
    signals.handlers[signal.SIGHUP]()
    signals.handlers[signal.SIGTERM]()
    signals.handlers[signal.SIGINT]()
    signals.handlers[signal.SIGHUP]()
    assert life.ending.is_set()
    assert [(fields["phase"], fields["signal"]) for fields in events.named("drain")] == [
        ("begin", "SIGTERM"),
        ("again", "SIGINT"),
    ]
    assert reloads == [1]
    life.close()
    assert signals.handlers == {}


async def test_work_is_cancelled_and_has_ended_when_the_end_comes_first():
    ending, cleaned = asyncio.Event(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(1)

    asyncio.get_running_loop().call_soon(ending.set)
    assert await unless_ending(work(), ending) is False
    assert cleaned == [1]


async def test_work_that_fails_says_so():
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await unless_ending(work(), asyncio.Event())


async def test_a_bound_port_is_known_as_tcp_and_cannot_be_bound_twice():
    sock = bind("127.0.0.1", 0, shared=False)
    try:
        assert sock.proto != 0  # asyncio leaves Nagle's delay on for sockets that do not say what they are
        sock.listen()
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", sock.getsockname()[1], shared=False)
    finally:
        sock.close()


async def test_a_raw_refusal_is_whole_http():
    head, _, body = raw_answer(Problem("connections", retry_after_s=1.0)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert f"content-length: {len(body)}".encode() in head
    assert b"retry-after: 1" in head


async def test_a_watch_that_fails_begins_anew_and_what_changed_meanwhile_is_read(caplog: pytest.LogCaptureFixture):
    reloads: list[str] = []
    watched: list[Path] = []

    class Service:
        def reload(self, actor: str) -> None:
            reloads.append(actor)

    class World:
        async def watch(self, path: Path, changed: Callable[[], None]) -> None:
            watched.append(path)
            if len(watched) == 1:
                raise FileNotFoundError("the directory was replaced")
            changed()
            await asyncio.Event().wait()

        async def sleep(self, _: float) -> None:
            return

    task = asyncio.ensure_future(command._watch(Service(), World(), Path("c.json")))  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        while len(reloads) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (len(watched), reloads) == (2, ["file", "file"])
    assert "could not be watched" in caplog.text


async def test_an_offer_to_change_protocols_is_served_as_if_not_made_and_logs_no_advice(
    caplog: pytest.LogCaptureFixture,
):
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    events = Events()
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, access_log=False)
    config.load()
    state = ServerState()

    def made() -> GuardedProtocol:
        return GuardedProtocol(config=config, server_state=state, app_state={}, limits=ClientLimits, emit=events)

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        head = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n"
        writer.write(head)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert caplog.text == ""
