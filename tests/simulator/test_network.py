# ruff: noqa: ANN001, ANN003, ANN202 - programs under test are written as anybody would write them
"""The simulated network: order, latency, partitions, resets, crashes, half-close, flow control, toxics."""

import asyncio
import contextlib
import socket

import pytest

from hardening.simulator import always, draw, explore, network, replay, say
from hardening.simulator.core.plan import Plan

RUNS = 40


def holds(program, **options):
    report = explore(program, runs=RUNS, seed=7, **options)
    assert report.counterexample is None, report.counterexample.story()
    return report


async def _echo(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _echo_server(host="server", port=7):
    with network().host(host):
        return await asyncio.start_server(_echo, None, port)


def test_bytes_arrive_in_order_however_they_are_split():
    async def program():
        server = await _echo_server()
        reader, writer = await asyncio.open_connection("server", 7)
        text = b"".join(b"%d " % i for i in range(300))
        for start in range(0, len(text), 100):
            writer.write(text[start : start + 100])
        writer.write_eof()
        assert await reader.read() == text
        writer.close()
        server.close()

    holds(program)


def test_a_name_nobody_has_does_not_resolve_and_a_closed_port_refuses():
    async def program():
        with pytest.raises(socket.gaierror):
            await asyncio.open_connection("nowhere", 1)
        server = await _echo_server()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("server", 8)
        server.close()

    holds(program)


def test_a_partition_holds_packets_and_connects_until_it_heals():
    async def program():
        loop = asyncio.get_running_loop()
        server = await _echo_server()
        reader, writer = await asyncio.open_connection("server", 7)
        began = loop.time()
        loop.call_later(10, network().heal, "local", "server")
        network().part("local", "server")
        writer.write(b"late")
        connect = asyncio.create_task(asyncio.open_connection("server", 7))
        assert await reader.read(100)
        assert loop.time() - began >= 10
        _, other = await connect
        for each in (writer, other):
            each.close()
        server.close()

    holds(program)


def test_a_connect_through_a_lasting_partition_times_out_as_the_kernel_would():
    async def program():
        await _echo_server()
        with network().partition("local", "server"), pytest.raises(TimeoutError):
            await asyncio.open_connection("server", 7)

    holds(program)


def test_a_reset_reaches_both_ends():
    async def program():
        server = await _echo_server()
        reader, _writer = await asyncio.open_connection("server", 7)
        await asyncio.sleep(1)
        assert network().reset("server") == 1
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        server.close()

    holds(program)


def test_a_crash_stops_tasks_where_they_are_and_resets_their_peers():
    cleaned = []

    async def program():
        cleaned.clear()

        async def service():
            try:
                await asyncio.sleep(100)
            finally:
                cleaned.append("finally")

        with network().host("server"):
            await asyncio.start_server(_echo, None, 7)
            task = asyncio.create_task(service(), name="service")
        reader, _ = await asyncio.open_connection("server", 7)
        network().crash("server")
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("server", 7)
        await asyncio.sleep(200)
        assert not task.done()
        assert not cleaned
        again = await _echo_server()
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"x")
        assert await reader.read(1) == b"x"
        writer.close()
        again.close()

    holds(program)


def test_a_sender_waits_when_nobody_reads():
    async def program():
        slept = asyncio.Event()

        async def slow(reader, writer):
            await slept.wait()
            while await reader.read(65536):
                pass
            writer.close()

        with network().host("server"):
            server = await asyncio.start_server(slow, None, 7)
        _, writer = await asyncio.open_connection("server", 7)
        for _ in range(40):
            writer.write(b"x" * 65536)
        drained = asyncio.create_task(writer.drain())
        await asyncio.sleep(5)
        assert not drained.done()
        slept.set()
        await drained
        writer.close()
        server.close()

    holds(program)


def test_a_link_drives_the_very_toxics_of_the_proxy():
    async def program():
        loop = asyncio.get_running_loop()
        server = await _echo_server()
        link = network().link("server")
        reader, writer = await asyncio.open_connection("server", 7)
        name = await link.add_toxic("latency", "downstream", 1.0, {"latency": 2000})
        began = loop.time()
        writer.write(b"a")
        assert await reader.read(1) == b"a"
        assert 2.0 <= loop.time() - began <= 2.5
        await link.remove_toxic(name)
        began = loop.time()
        writer.write(b"a")
        assert await reader.read(1) == b"a"
        assert loop.time() - began < 0.5
        assert (await link.counters())["toxic.latency_downstream.delayed_bytes"] >= 1
        await link.add_toxic("reset_peer", "upstream", 1.0, {"timeout": 0})
        writer.write(b"a")
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        await link.remove_toxic("reset_peer_upstream")
        await link.set_enabled(False)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("server", 7)
        await link.set_enabled(True)
        _, writer = await asyncio.open_connection("server", 7)
        writer.close()
        server.close()

    holds(program)


@pytest.mark.parametrize(
    ("toxic", "attributes", "arrives"),
    [
        ("bandwidth", {"rate": 1}, b"x" * 3000),
        ("slicer", {"average_size": 10, "size_variation": 5, "delay": 10}, b"x" * 3000),
        ("limit_data", {"bytes": 100}, b"x" * 100),
        ("slow_close", {"delay": 1000}, b"x" * 3000),
        ("timeout", {"timeout": 500}, b""),
        ("noop", {}, b"x" * 3000),
    ],
)
def test_each_toxic_does_to_a_simulated_stream_what_it_says(toxic, attributes, arrives):
    async def program():
        async def feed(reader, writer):
            await reader.read(1)
            writer.write(b"x" * 3000)
            writer.close()

        with network().host("server"):
            server = await asyncio.start_server(feed, None, 7)
        await network().link("server").add_toxic(toxic, "downstream", 1.0, attributes)
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("server", 7)
        began = loop.time()
        writer.write(b"?")
        assert await reader.read() == arrives
        if toxic == "bandwidth":
            assert loop.time() - began >= 2.5
        writer.close()
        server.close()

    holds(program)


def test_packets_never_overtake_each_other():
    async def program():
        seen = []

        class Numbers(asyncio.Protocol):
            def data_received(self, data):
                seen.extend(data)

        with network().host("server"):
            server = await asyncio.get_running_loop().create_server(Numbers, None, 7)
        always("bytes are in order", lambda: seen == sorted(seen))
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "server", 7)
        for number in range(20):
            transport.write(bytes([number]))
            await asyncio.sleep(0.001)
        await asyncio.sleep(5)
        assert len(seen) == 20
        transport.close()
        server.close()

    holds(program)


def test_the_trace_shows_each_packet():
    async def program():
        server = await _echo_server()
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"hello")
        say(str(await reader.read(5)))
        writer.close()
        server.close()
        return draw(1, 1)

    text = "\n".join(replay(program, Plan()).trace.lines())
    assert "send     local->server:7 #1 upstream 5 bytes b'hello'" in text
    assert "receive  local->server:7 #1 downstream 5 bytes b'hello'" in text


def test_an_address_in_use_is_refused():
    async def program():
        server = await _echo_server()
        with pytest.raises(OSError, match="in use"):
            await _echo_server()
        server.close()

    holds(program)


def test_tasks_of_a_crashed_machine_that_would_clean_up_at_length_leave_no_trace():
    async def program():
        async def service():
            try:
                await asyncio.sleep(1000)
            finally:
                try:
                    await asyncio.sleep(1)
                finally:
                    await asyncio.sleep(1)

        with network().host("server"):
            task = asyncio.create_task(service())
        await asyncio.sleep(1)
        network().crash("server")
        await asyncio.sleep(10)
        assert not task.done()

    holds(program)


def test_a_slow_farewell_is_waited_for_and_an_endless_one_is_not():
    ended = []

    async def program():
        async def slow():
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(5)
                ended.append(1)

        async def endless():
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1)

        program.tasks = [asyncio.create_task(slow()), asyncio.create_task(endless())]
        await asyncio.sleep(1)

    assert holds(program).leftovers
    assert ended


def test_who_waits_for_a_descriptor_is_not_accepted_and_is_reset_when_the_listener_closes():
    async def program():
        server = await _echo_server()
        network().live_host("server").descriptors_left = 0
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"hello")
        await asyncio.sleep(1.0)
        assert (network().accepted_ends("server"), server.waiting) == (0, 1)
        server.close()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert server.waiting == 0
        writer.close()

    holds(program)


def test_a_clock_set_off_on_one_machine_is_right_on_the_others():
    async def program():
        import time

        from hardening.simulator.net.program import current_loop

        server = await _echo_server()
        before = time.time()
        current_loop().set_wall(3600.0, 1.0, "server")
        assert abs(time.time() - before) < 1
        with network().host("server"):
            assert time.time() - before > 3599
        server.close()

    holds(program)
