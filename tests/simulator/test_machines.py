# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""Machines of the simulated network: stopped ones, broken names, no descriptors left, clocks that are off."""

import asyncio
import os
import socket
import time

import pytest
import redis.asyncio

from hardening.simulator import explore, network
from hardening.simulator.adapters.redis_server import SimRedis
from hardening.simulator.core.machines import EPOCH_S, PID
from hardening.simulator.net.network import NameFault
from hardening.simulator.net.program import current_loop
from hardening.simulator.net.sockets import SimSocket

RUNS = 15


def holds(program):
    report = explore(program, runs=RUNS, seed=7)
    assert report.counterexample is None, report.counterexample.story()
    assert report.lost == ()


async def _ticks(seen, who):
    while True:
        await asyncio.sleep(0.1)
        seen.append(who)


def test_a_stopped_machine_runs_nothing_until_it_is_resumed_and_then_what_came_meanwhile_in_its_order():
    async def program():
        loop, seen, order = current_loop(), [], []
        with network().host("server") as host:
            ticking = asyncio.create_task(_ticks(seen, "server"))
        beside = asyncio.create_task(_ticks(seen, "local"))
        await asyncio.sleep(0.35)
        loop.stop_host(host)
        before = seen.count("server")
        with network().host("server"):
            for number in range(5):
                loop.call_soon(order.append, number)
        await asyncio.sleep(1.0)
        assert seen.count("server") == before
        assert seen.count("local") >= before + 9
        assert order == []
        loop.resume_host(host)
        await asyncio.sleep(0.25)
        assert order == [0, 1, 2, 3, 4]
        assert seen.count("server") >= before + 2
        for task in (ticking, beside):
            task.cancel()

    holds(program)


def test_bytes_for_a_stopped_machine_wait_and_arrive_once_it_goes_on():
    async def program():
        got = []

        async def serve(reader, writer):
            got.append(await reader.readexactly(5))
            writer.close()

        with network().host("server") as host:
            server = await asyncio.start_server(serve, None, 7)
        _, writer = await asyncio.open_connection("server", 7)
        current_loop().stop_host(host)
        writer.write(b"hello")
        await asyncio.sleep(5.0)
        assert got == []
        current_loop().resume_host(host)
        await asyncio.sleep(1.0)
        assert got == [b"hello"]
        writer.close()
        server.close()

    holds(program)


def test_a_stopped_machine_that_crashes_never_runs_what_was_held():
    async def program():
        ran = []
        with network().host("server") as host:
            current_loop().call_later(1.0, ran.append, 1)
        current_loop().stop_host(host)
        await asyncio.sleep(2.0)
        network().crash("server")
        current_loop().resume_host(host)
        await asyncio.sleep(1.0)
        assert ran == []

    holds(program)


@pytest.mark.parametrize("error", [socket.EAI_NONAME, socket.EAI_AGAIN])
def test_a_broken_name_fails_as_told_after_its_delay_and_counts(error):
    async def program():
        net = network()
        net.address("server")
        fault = net.broken_names["server"] = NameFault(error, 2.0)
        began_s = current_loop().time()
        with pytest.raises(socket.gaierror) as caught:
            await asyncio.open_connection("server", 7)
        assert caught.value.errno == error
        assert current_loop().time() - began_s >= 2.0
        assert fault.hurt == 1
        del net.broken_names["server"]
        assert await net.look_up("server") == "server"

    holds(program)


def test_a_slow_name_resolves_in_the_end():
    async def program():
        network().address("server")
        network().broken_names["server"] = NameFault(None, 3.0)
        began_s = current_loop().time()
        assert await network().look_up("server") == "server"
        assert current_loop().time() - began_s == pytest.approx(3.0)

    holds(program)


def test_without_descriptors_a_machine_opens_no_connection_and_lets_callers_wait_in_the_backlog():
    async def program():
        async def serve(reader, writer):
            writer.write(await reader.readexactly(5))
            writer.close()

        with network().host("server") as host:
            server = await asyncio.start_server(serve, None, 7)
            host.descriptors_left = 0
            with pytest.raises(OSError, match="open files"):
                await asyncio.open_connection("server", 7)
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"waits")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(100), 3.0)
        host.descriptors_left = None
        assert server.accept_backlog() == 1
        assert await reader.readexactly(5) == b"waits"
        writer.close()
        server.close()
        await server.wait_closed()

    holds(program)


def test_a_server_takes_a_socket_that_was_bound_before():
    async def program():
        async def serve(_reader, writer):
            writer.close()

        with network().host("server"):
            server = await asyncio.start_server(serve, sock=SimSocket(("0.0.0.0", 8080)))
        reader, writer = await asyncio.open_connection("server", 8080)
        assert await reader.read() == b""
        writer.close()
        server.close()

    holds(program)


def test_the_wall_clock_of_one_machine_is_off_and_runs_fast_while_others_keep_true_time():
    async def program():
        loop = current_loop()
        before_s = loop.time()
        loop.set_wall(100.0, 2.0, "server")
        await asyncio.sleep(10.0)
        with network().host("server"):
            assert time.time() == pytest.approx(EPOCH_S + 10.0 + 110.0)
        assert time.time() == pytest.approx(EPOCH_S + 10.0)
        loop.set_wall(-50.0, 1.0)
        assert time.time() == pytest.approx(EPOCH_S + 10.0 - 50.0)
        assert loop.time() - before_s == pytest.approx(10.0)

    holds(program)


def test_the_process_id_is_the_same_in_every_process():
    async def program():
        await asyncio.sleep(0)
        assert os.getpid() == PID

    holds(program)
    assert os.getpid() != PID


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(("password", "ok"), [("right", True), ("wrong", False), (None, False)])
def test_a_redis_with_a_password_serves_only_who_knows_it(password, ok, protocol):
    async def program():
        server = await SimRedis(network(), settings={"requirepass": "right"}).start()
        client = redis.asyncio.Redis(host="redis", port=6379, password=password, protocol=protocol)
        try:
            if ok:
                assert await client.set("a", "1")
            else:
                with pytest.raises(redis.exceptions.AuthenticationError):
                    await client.set("a", "1")
            assert await server.command("PING") in (b"PONG", "PONG")
        finally:
            await client.aclose()
            await server.shutdown()

    holds(program)


def test_hanging_connects_are_counted_between_the_two_that_are_parted():
    async def program():
        net = network()
        for name in ("one", "two"):
            net.address(name)
            net.part("local", name)
        hanging = [asyncio.create_task(asyncio.open_connection("one", 7)) for _ in range(3)]
        await asyncio.sleep(1.0)
        assert (net.held_packets("local", "one"), net.held_packets("local", "two")) == (3, 0)
        hanging[0].cancel()
        await asyncio.sleep(0.1)
        assert net.held_packets("local", "one") == 2
        net.heal("local", "one")
        found = await asyncio.gather(*hanging, return_exceptions=True)
        assert [type(error).__name__ for error in found[1:]] == ["ConnectionRefusedError"] * 2

    holds(program)


class _Told(asyncio.Protocol):
    """Notes what a transport tells its protocol."""

    def __init__(self) -> None:
        self.heard = []

    def connection_made(self, _transport):
        self.heard.append("made")

    def data_received(self, data):
        self.heard.append(data)

    def connection_lost(self, error):
        self.heard.append(type(error).__name__)


async def _kept_waiting(host, told):
    """A connection that waits in the backlog, with its first bytes under way, while the machine stands still."""
    loop = current_loop()
    with network().host(host.name):
        server = await loop.create_server(lambda: told, None, 7)
    host.descriptors_left = 0
    loop.stop_host(host)
    transport, _ = await loop.create_connection(asyncio.Protocol, host.name, 7)
    transport.write(b"early")
    await asyncio.sleep(0.5)
    host.descriptors_left = None
    assert server.accept_backlog() == 1
    await asyncio.sleep(0.1)
    assert told.heard == []
    return transport, server


def test_a_protocol_hears_of_its_connection_before_the_bytes_that_came_while_its_machine_stood_still():
    async def program():
        host, told = network().live_host("server"), _Told()
        transport, server = await _kept_waiting(host, told)
        current_loop().resume_host(host)
        await asyncio.sleep(0.5)
        assert told.heard == ["made", b"early"]
        transport.close()
        server.close()

    holds(program)


def test_a_protocol_hears_of_its_connection_before_the_reset_that_came_while_its_machine_stood_still():
    async def program():
        host, told = network().live_host("server"), _Told()
        transport, server = await _kept_waiting(host, told)
        transport.reset()
        await asyncio.sleep(0.5)
        current_loop().resume_host(host)
        await asyncio.sleep(0.5)
        assert (told.heard[0], told.heard[-1]) == ("made", "ConnectionResetError")
        server.close()

    holds(program)


def test_what_a_machine_missed_runs_before_what_becomes_ready_as_it_goes_on():
    async def program():
        loop, heard = current_loop(), []
        with network().host("server") as host:
            loop.call_later(1.0, heard.append, "missed")
            loop.call_later(2.0, loop.call_soon, heard.append, "missed later")
        loop.stop_host(host)
        loop.call_at(loop.time() + 3.0, loop.resume_host, host)
        with network().host("server"):
            loop.call_at(loop.time() + 3.0, heard.append, "just due")
        await asyncio.sleep(4.0)
        assert heard == ["missed", "just due", "missed later"]

    holds(program)


def test_a_task_whose_wake_up_was_lost_with_its_machine_cleans_up_when_the_run_is_over():
    cleaned = []

    async def waits(future):
        try:
            await future
        finally:
            await asyncio.shield(asyncio.sleep(0.1))
            cleaned.append(current_loop().now_s)

    async def program():
        future = current_loop().create_future()
        with network().host("server"):
            program.task = asyncio.create_task(waits(future))
        await asyncio.sleep(1.0)
        network().crash("server")
        future.set_result(None)
        await asyncio.sleep(1.0)
        assert cleaned == []

    report = explore(program, runs=1, seed=7)
    assert report.counterexample is None
    assert len(cleaned) == 1
