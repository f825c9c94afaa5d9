# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""Sockets: connections are kept and reused, stale ones are seen, and sockets of one's own block in virtual time."""

import asyncio
import select
import socket
import sys

import anyio
import httpx
import pytest
import redis

from hardening.simulator import explore, network
from hardening.simulator.adapters.redis_server import SimRedis


def passes(program, runs=20):
    report = explore(program, runs=runs, seed=1)
    assert report.counterexample is None, report.counterexample.story()


async def _answer(reader, writer, made):
    made.append(1)
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()


def test_an_http_client_reuses_its_connection_and_replaces_it_once_the_server_has_closed_it():
    async def program():
        made, writers = [], []

        async def serve(reader, writer):
            writers.append(writer)
            await _answer(reader, writer, made)

        with network().host("web"):
            await asyncio.start_server(serve, None, 80)
        async with httpx.AsyncClient(trust_env=False) as pool:
            for _ in range(3):
                assert (await pool.get("http://web/")).text == "ok"
                await asyncio.sleep(0.2)
            assert len(made) == 1
            writers[0].close()
            await asyncio.sleep(0.2)
            assert (await pool.get("http://web/")).text == "ok"
            assert len(made) == 2

    passes(program)


def test_a_request_on_a_connection_that_the_server_is_closing_fails_under_some_schedule():
    async def program():
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await asyncio.sleep(0.2)  # an idle time after which the server closes
            writer.close()

        with network().host("web"):
            await asyncio.start_server(serve, None, 80)
        async with httpx.AsyncClient(trust_env=False) as pool:
            await pool.get("http://web/")
            await asyncio.sleep(0.2)
            await pool.get("http://web/")

    report = explore(program, runs=200, seed=1)
    assert isinstance(report.counterexample.exception, httpx.RemoteProtocolError | httpx.ReadError)


def test_a_transport_that_does_not_read_hears_of_a_reset_when_it_writes_or_reads():
    async def program():
        lost = []

        class Paused(asyncio.Protocol):
            def connection_made(self, transport):
                transport.pause_reading()

            def connection_lost(self, exc):
                lost.append(exc)

        with network().host("web"):
            await asyncio.get_running_loop().create_server(asyncio.Protocol, None, 80)
        transport, _ = await asyncio.get_running_loop().create_connection(Paused, "web", 80)
        await asyncio.sleep(0.2)
        network().reset("web")
        await asyncio.sleep(0.2)
        sock = transport.get_extra_info("socket")
        assert lost == []
        assert select.select([sock], [], [], 0)[0] == [sock]
        transport.write(b"x")
        await asyncio.sleep(0.2)
        assert isinstance(lost[0], ConnectionResetError)
        assert sock.fileno() == -1

    passes(program)


def test_a_transport_that_is_aborted_with_nothing_unread_ends_its_stream_as_the_kernel_does():
    async def program():
        async def serve(reader, writer):
            writer.write(b"last")
            writer.transport.abort()

        with network().host("web"):
            await asyncio.start_server(serve, None, 80)
        reader, writer = await asyncio.open_connection("web", 80)
        assert await reader.read() == b"last"
        writer.close()

    passes(program)


def test_a_listening_socket_accepts_by_asyncio_and_by_anyio():
    async def program():
        loop = asyncio.get_running_loop()
        with network().host("web"):
            plain = socket.socket()
            plain.setblocking(False)
            plain.bind(("0.0.0.0", 81))
            plain.listen()
            listener = await anyio.create_tcp_listener(local_port=82)

        async def by_asyncio():
            sock, _ = await loop.sock_accept(plain)
            while data := await loop.sock_recv(sock, 100):
                await loop.sock_sendall(sock, data)
            sock.close()

        async def by_anyio():
            async with await listener.listeners[0].accept() as stream:
                async for data in stream:
                    await stream.send(data)

        for port, serve in ((81, by_asyncio), (82, by_anyio)):
            serving = asyncio.create_task(serve())
            reader, writer = await asyncio.open_connection("web", port)
            writer.write(b"echo")
            writer.write_eof()
            assert await reader.read() == b"echo"
            writer.close()
            await serving

    passes(program)


def test_a_server_takes_a_socket_of_its_own():
    async def program():
        with network().host("web"):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("0.0.0.0", 0))
            port = sock.getsockname()[1]
            server = await asyncio.start_server(lambda r, w: w.close(), sock=sock)
        assert server.sockets[0].getsockname()[1] == port
        reader, writer = await asyncio.open_connection("web", port)
        assert await reader.read() == b""
        writer.close()
        server.close()

    passes(program)


def test_a_blocking_client_asks_another_machine_while_its_own_loop_stands_still():
    async def program():
        await SimRedis(network()).start()
        ticks = []

        async def tick():
            while True:
                await asyncio.sleep(0.0001)
                ticks.append(1)

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.001)
        before, began = len(ticks), asyncio.get_running_loop().time()
        client = redis.Redis(host="redis")
        assert client.ping()
        assert client.info()["redis_version"]
        assert len(ticks) == before
        assert asyncio.get_running_loop().time() > began
        client.close()
        ticking.cancel()

    passes(program)


def test_a_blocking_connect_is_refused_or_times_out_as_in_the_kernel():
    async def program():
        with network().host("web"):
            await asyncio.sleep(0)
        network().address("web")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("web", 80))
        network().part("local", "web")
        with pytest.raises(TimeoutError):
            socket.create_connection(("web", 80), timeout=2)

    passes(program)


def test_a_closed_server_waits_for_its_connections_only_since_python_3_12():
    async def program():
        async def serve(reader, writer):
            await reader.read()
            writer.close()

        with network().host("web"):
            server = await asyncio.start_server(serve, None, 80)
        _, writer = await asyncio.open_connection("web", 80)
        await asyncio.sleep(0.2)
        server.close()
        waiting = asyncio.create_task(server.wait_closed())
        await asyncio.sleep(1)
        assert waiting.done() == (sys.version_info < (3, 12))
        writer.close()
        await asyncio.sleep(1)
        assert waiting.done()

    passes(program)
