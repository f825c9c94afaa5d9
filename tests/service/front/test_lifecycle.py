from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest
from front_world import Events

from service.errors import Problem
from service.lifecycle import GatheringTransport, Lifecycle, bind, raw_answer, unless_ending

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
