"""Abusive clients against a small server with limits: what they did is counted, and all their connections close."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping

import pytest

from hardening.faults.base import Effect, Fault, UnsupportedTargetError
from hardening.faults.client_faults import ConnectionFlood, DisconnectMidAnswer, HalfClosed, SlowBody, SlowHead
from hardening.faults.schedule import Injection
from hardening.faults.waiting import wait_until

pytestmark = [pytest.mark.live]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000


class Served:
    """A server that reads a head within ``limit_s``, then a body, and answers; it counts what it met."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.heads = 0
        self.open = 0
        self.cut = 0
        self.lost = 0
        self.port = 0

    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def headers(self) -> Mapping[str, str]:
        return {"X-API-Key": "k"}

    def target(self, protocol: str, name: str) -> object:
        if protocol != "listener":
            raise UnsupportedTargetError("fault.target", name, "listener")
        return self

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            async with asyncio.timeout(self.limit_s):
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads += 1
                if b"Content-Length" in head:
                    await reader.readexactly(1000)
            writer.write(ANSWER)
            await writer.drain()
            await reader.read()
        except (TimeoutError, asyncio.IncompleteReadError):
            self.cut += 1
        except ConnectionError:
            self.lost += 1
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def served(limit_s: float) -> AsyncIterator[Served]:
    world = Served(limit_s)
    server = await asyncio.start_server(world.accept, "127.0.0.1", 0, backlog=1024)
    world.port = server.sockets[0].getsockname()[1]
    async with server:
        yield world


def effect_of(injection: Injection) -> Effect:
    assert injection.effect is not None
    return injection.effect


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault", [SlowHead(connections=5, byte_ms=10), SlowBody(connections=5, byte_ms=10)], ids=["head", "body"]
)
async def test_slow_clients_are_cut_at_the_servers_limit_and_say_so(fault: Fault) -> None:
    async with served(0.3) as world:
        injection = Injection(fault, world)
        async with injection:
            assert await wait_until(lambda: _is(world.cut == 5), 5)
            await asyncio.sleep(0.05)
        assert world.heads == (5 if isinstance(fault, SlowBody) else 0)
    counts = effect_of(injection).counts
    assert counts["connections_opened"] == 5
    assert counts["connections_cut"] == 5
    assert counts["bytes_dripped"] >= 50


async def _is(condition: bool) -> bool:
    return condition


@pytest.mark.asyncio
async def test_slow_clients_that_nobody_cuts_go_home_when_they_are_healed() -> None:
    async with served(60) as world:
        injection = Injection(SlowHead(connections=5, byte_ms=10), world)
        async with injection:
            assert await wait_until(lambda: _is(world.open == 5), 5)
        assert await wait_until(lambda: _is(world.open == 0), 5)
    assert "connections_cut" not in effect_of(injection).counts


@pytest.mark.asyncio
async def test_half_closed_clients_are_met_and_gone() -> None:
    async with served(5) as world:
        injection = Injection(HalfClosed(connections=5), world)
        async with injection:
            assert await wait_until(lambda: _is(world.cut == 5), 5)
        assert await wait_until(lambda: _is(world.open == 0), 5)
    assert effect_of(injection).counts["connections_opened"] == 5


@pytest.mark.asyncio
async def test_a_flood_holds_its_connections_and_leaves_no_descriptor_open() -> None:
    async with served(60) as world:
        before = len(os.listdir("/proc/self/fd"))
        injection = Injection(ConnectionFlood(connections=300), world)
        async with injection:
            assert await wait_until(lambda: _is(world.open == 300), 5)
        assert await wait_until(lambda: _is(world.open == 0), 5)
        assert len(os.listdir("/proc/self/fd")) == before
    assert effect_of(injection).counts["connections_opened"] == 300


@pytest.mark.asyncio
async def test_clients_leave_in_mid_answer_over_and_over() -> None:
    async with served(5) as world:
        injection = Injection(DisconnectMidAnswer(connections=3), world)
        async with injection:
            assert await wait_until(lambda: _is(world.heads >= 12), 5)
        assert await wait_until(lambda: _is(world.open == 0), 5)
        assert world.lost >= 1
    assert effect_of(injection).counts["disconnects"] >= 9


@pytest.mark.asyncio
async def test_clients_that_find_nobody_did_not_bite() -> None:
    async with served(5) as world:
        pass
    injection = Injection(ConnectionFlood(connections=3), world)
    async with injection:
        pass
    assert not effect_of(injection).effective


@pytest.mark.asyncio
async def test_a_cancelled_flood_leaves_nobody_behind() -> None:
    async with served(60) as world:

        async def hold() -> None:
            async with Injection(ConnectionFlood(connections=50), world):
                await asyncio.sleep(60)

        task = asyncio.create_task(hold())
        assert await wait_until(lambda: _is(world.open == 50), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await wait_until(lambda: _is(world.open == 0), 5)
