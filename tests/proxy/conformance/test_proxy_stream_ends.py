"""How toxics cut streams and end them, against every Toxiproxy that can be had. Real sockets, real (short) waits."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable

import pytest
from proxy_driving import FarEnd, Pair, Server, ends, is_silent, read_exactly, send_aside, since

pytestmark = [pytest.mark.conformance, pytest.mark.live]

Connect = Callable[[], Pair]
STREAMS = ["upstream", "downstream"]
BIG = bytes(range(256)) * 4096  # 1 MiB


# --- slow_close, timeout, reset_peer ---------------------------------------------------------------------------------


def test_slow_close_delays_the_end_and_no_byte(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("slow_close", {"delay": 250})
    start = time.monotonic()
    pair.upstream.sendall(b"quick")
    assert read_exactly(pair.client, 5) == b"quick"
    assert since(start) < 0.2
    start = time.monotonic()
    pair.upstream.close()
    assert pair.client.recv(1) == b""
    assert 0.24 <= since(start) < 0.6


@pytest.mark.parametrize("stream", STREAMS)
def test_timeout_drops_bytes_and_closes(server: Server, connect: Connect, stream: str) -> None:
    pair = connect()
    source, sink = ends(pair, stream)
    server.toxic("timeout", {"timeout": 200}, stream)
    start = time.monotonic()
    source.sendall(b"lost")
    assert sink.recv(4) == b""
    assert 0.19 <= since(start) < 0.6


def test_timeout_closes_an_idle_connection_too(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("timeout", {"timeout": 150})
    start = time.monotonic()
    assert pair.client.recv(1) == b""
    assert since(start) < 0.6


def test_a_timeout_of_zero_never_closes_until_it_is_removed(server: Server, connect: Connect) -> None:
    pair = connect()
    name = server.toxic("timeout", {"timeout": 0})
    pair.upstream.sendall(b"lost")
    assert is_silent(pair.client, 0.3)
    server.send("DELETE", f"/proxies/p/toxics/{name}")
    assert pair.client.recv(1) == b""


def test_reset_peer_resets_the_client(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    server.toxic("reset_peer", {"timeout": 100})
    pair = Pair(address, far_end)
    start = time.monotonic()
    pair.upstream.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        pair.client.recv(1)
    assert 0.09 <= since(start) < 0.5
    pair.close()


def test_reset_peer_lets_an_idle_connection_be(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    server.toxic("reset_peer", {"timeout": 0})
    pair = Pair(address, far_end)
    assert is_silent(pair.client, 0.2)
    pair.close()


# --- slicer, limit_data ----------------------------------------------------------------------------------------------


def test_the_slicer_cuts_and_pauses_and_changes_nothing(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("slicer", {"average_size": 100, "size_variation": 10, "delay": 10_000})
    data = BIG[:1000]
    start = time.monotonic()
    pair.upstream.sendall(data)
    pieces = []
    while sum(map(len, pieces)) < len(data):
        pieces.append(pair.client.recv(4096))
    assert b"".join(pieces) == data
    assert len(pieces) >= 6
    assert max(map(len, pieces)) <= 250
    assert since(start) >= 0.06


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("limit", [1, 100, 70_000])
def test_limit_data_passes_exactly_so_many_bytes_then_closes(
    server: Server, connect: Connect, stream: str, limit: int
) -> None:
    source, sink = ends(connect(), stream)
    server.toxic("limit_data", {"bytes": limit}, stream)
    thread = send_aside(source, BIG[: limit * 2])
    assert read_exactly(sink, limit * 2) == BIG[:limit]
    thread.join()


def test_a_limit_that_is_reached_while_the_client_sleeps_still_delivers_its_bytes(
    server: Server, connect: Connect
) -> None:
    pair = connect()
    limit = 12 * len(BIG)  # more than the sockets' buffers hold
    server.toxic("latency", {"latency": 200})
    server.toxic("limit_data", {"bytes": limit})
    thread = send_aside(pair.upstream, BIG * 13)
    time.sleep(0.5)
    total = 0
    while part := pair.client.recv(65536):
        total += len(part)
    assert total == limit
    thread.join()


def test_limit_data_counts_over_several_writes_and_updates_of_others(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("limit_data", {"bytes": 10})
    other = server.toxic("latency", {"latency": 1})
    for _ in range(3):
        pair.upstream.sendall(b"abc")
        assert read_exactly(pair.client, 3) == b"abc"
        server.send("PATCH", f"/proxies/p/toxics/{other}", {"attributes": {"latency": 2}})
    pair.upstream.sendall(b"abc")
    assert read_exactly(pair.client, 3) == b"a"


def test_a_limit_of_zero_closes_on_the_first_byte(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("limit_data", {"bytes": 0})
    assert is_silent(pair.client, 0.15)
    pair.upstream.sendall(b"x")
    assert pair.client.recv(1) == b""


def test_limit_data_counts_each_connection_by_itself(server: Server, connect: Connect) -> None:
    first = connect()
    server.toxic("limit_data", {"bytes": 4})
    second = connect()
    for pair in (first, second):
        pair.upstream.sendall(b"12345678")
        assert read_exactly(pair.client, 8) == b"1234"


def test_reset_peer_holds_the_sender_back_until_it_resets(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("reset_peer", {"timeout": 700}, "upstream")
    pair = connect()
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 5, 0))
    start, swallowed = time.monotonic(), 0
    with contextlib.suppress(ConnectionError):
        while since(start) < 5:
            swallowed += pair.client.send(BIG)
    assert 0.6 <= since(start) < 2
    assert swallowed < 32 * len(BIG)  # what the kernel's buffers take; without a brake it is hundreds of MB a second
