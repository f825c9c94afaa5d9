"""What toxics do to bytes, against every Toxiproxy that can be had. Real sockets, real (short) waits."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from proxy_driving import FarEnd, Pair, Server, ends, eventually, is_silent, read_exactly, send_aside, since

pytestmark = [pytest.mark.conformance, pytest.mark.live]

Connect = Callable[[], Pair]
STREAMS = ["upstream", "downstream"]
BIG = bytes(range(256)) * 4096  # 1 MiB


# --- the bare proxy --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("size", [0, 1, 64, 65_536, 1_048_576])
def test_bytes_pass_unchanged_and_the_end_behind_them(connect: Connect, stream: str, size: int) -> None:
    source, sink = ends(connect(), stream)
    thread = send_aside(source, BIG[:size])
    assert read_exactly(sink, size) == BIG[:size]
    thread.join()
    source.close()
    assert sink.recv(1) == b""


@pytest.mark.parametrize("stream", STREAMS)
def test_an_end_in_one_direction_closes_the_other_too(connect: Connect, stream: str) -> None:
    pair = connect()
    source, sink = ends(pair, stream)
    source.shutdown(socket.SHUT_WR)
    assert sink.recv(1) == b""
    assert source.recv(1) == b""


def test_a_failed_dial_closes_the_client(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    address = server.proxy(f"127.0.0.1:{port}")
    with socket.create_connection(address, timeout=5) as client:
        assert client.recv(1) == b""


@pytest.mark.parametrize("how", ["disable", "delete", "move"])
def test_a_proxy_that_goes_drops_its_connections_and_its_port(server: Server, connect: Connect, how: str) -> None:
    pair = connect()
    address = pair.client.getpeername()
    if how == "disable":
        server.send("PATCH", "/proxies/p", {"enabled": False})
    elif how == "delete":
        server.send("DELETE", "/proxies/p")
    else:
        server.send("PATCH", "/proxies/p", {"listen": "127.0.0.1:0"})
    assert pair.client.recv(1) == b""
    assert pair.upstream.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)


def test_an_enabled_proxy_serves_again_on_its_port(server: Server, connect: Connect) -> None:
    first = connect()
    server.send("PATCH", "/proxies/p", {"enabled": False})
    server.send("PATCH", "/proxies/p", {"enabled": True})
    second = connect()
    assert second.client.getpeername() == first.client.getpeername()
    second.client.sendall(b"x")
    assert second.upstream.recv(1) == b"x"


@pytest.mark.parametrize("kind", ["", "noop", "bandwidth"])
def test_a_client_that_does_not_read_makes_the_sender_wait(server: Server, connect: Connect, kind: str) -> None:
    pair = connect()
    if kind:
        server.toxic(kind, {"rate": 1_000_000} if kind == "bandwidth" else {})
    pair.upstream.setblocking(False)
    sent, last_sent_at = 0, time.monotonic()
    while since(last_sent_at) < 0.2:
        try:
            sent += pair.upstream.send(BIG)
            last_sent_at = time.monotonic()
        except BlockingIOError:
            time.sleep(0.005)
        assert sent < 100 * len(BIG), "somebody keeps it all in memory"
    assert len(read_exactly(pair.client, sent)) == sent


# --- latency ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
def test_latency_delays_one_direction_only(server: Server, connect: Connect, stream: str) -> None:
    source, sink = ends(connect(), stream)
    server.toxic("latency", {"latency": 150}, stream)
    start = time.monotonic()
    sink.sendall(b"back")
    assert read_exactly(source, 4) == b"back"
    assert since(start) < 0.12
    start = time.monotonic()
    source.sendall(b"slow")
    assert read_exactly(sink, 4) == b"slow"
    assert 0.145 <= since(start) < 0.4


def test_latency_keeps_throughput(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("latency", {"latency": 200})
    start = time.monotonic()
    for number in range(20):
        pair.upstream.sendall(bytes([number]))
        time.sleep(0.01)
    assert read_exactly(pair.client, 20) == bytes(range(20))
    assert since(start) < 0.8


def test_two_latencies_add_up(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("latency", {"latency": 100}, name="one")
    server.toxic("latency", {"latency": 80}, name="two")
    start = time.monotonic()
    pair.upstream.sendall(b"x")
    assert pair.client.recv(1) == b"x"
    assert 0.175 <= since(start) < 0.4


def test_jitter_stays_within_its_bounds(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("latency", {"latency": 30, "jitter": 20})
    taken = []
    for _ in range(10):
        start = time.monotonic()
        pair.upstream.sendall(b"x")
        pair.client.recv(1)
        taken.append(since(start))
    assert min(taken) >= 0.009
    assert max(taken) < 0.25
    assert max(taken) - min(taken) > 0.002


def test_removing_a_latency_loses_no_byte(server: Server, connect: Connect) -> None:
    pair = connect()
    name = server.toxic("latency", {"latency": 2000})
    thread = send_aside(pair.upstream, BIG)
    time.sleep(0.1)
    start = time.monotonic()
    assert server.send("DELETE", f"/proxies/p/toxics/{name}").status == 204
    assert read_exactly(pair.client, len(BIG)) == BIG
    assert since(start) < 1.9
    thread.join()


def test_the_end_waits_for_the_bytes_before_it(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("latency", {"latency": 150})
    pair.upstream.sendall(b"last")
    pair.upstream.close()
    assert read_exactly(pair.client, 4) == b"last"
    assert pair.client.recv(1) == b""


def test_the_end_alone_is_not_delayed(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("latency", {"latency": 1500})
    start = time.monotonic()
    pair.upstream.close()
    assert pair.client.recv(1) == b""
    assert since(start) < 1.0


# --- bandwidth -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("rate", [100, 1000])
def test_bandwidth_lets_so_many_thousand_bytes_pass_each_second(
    server: Server, connect: Connect, stream: str, rate: int
) -> None:
    source, sink = ends(connect(), stream)
    server.toxic("bandwidth", {"rate": rate}, stream)
    size = rate * 1000 // 2
    start = time.monotonic()
    thread = send_aside(source, BIG[:size])
    assert read_exactly(sink, size) == BIG[:size]
    assert 0.45 <= since(start) < 0.75
    thread.join()


def test_a_rate_of_zero_holds_everything_and_closes_nothing(server: Server, connect: Connect) -> None:
    pair = connect()
    name = server.toxic("bandwidth", {"rate": 0})
    pair.upstream.sendall(b"held")
    assert is_silent(pair.client, 0.3)
    server.send("DELETE", f"/proxies/p/toxics/{name}")
    assert read_exactly(pair.client, 4) == b"held"


def test_removing_a_bandwidth_loses_no_byte(server: Server, connect: Connect) -> None:
    pair = connect()
    name = server.toxic("bandwidth", {"rate": 100})
    thread = send_aside(pair.upstream, BIG)
    time.sleep(0.25)
    server.send("DELETE", f"/proxies/p/toxics/{name}")
    assert read_exactly(pair.client, len(BIG)) == BIG
    thread.join()


# --- toxicity, order, reset ------------------------------------------------------------------------------------------


def test_a_toxicity_of_zero_spares_everybody(server: Server, connect: Connect) -> None:
    pairs = [connect() for _ in range(5)]
    server.toxic("timeout", {"timeout": 0}, toxicity=0)
    for pair in pairs:
        pair.upstream.sendall(b"x")
        assert pair.client.recv(1) == b"x"


def test_a_toxicity_of_a_half_hits_some_connections(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    server.toxic("limit_data", {"bytes": 0}, toxicity=0.5)
    spared = 0
    for _ in range(40):
        pair = Pair(address, far_end)
        pair.upstream.sendall(b"x")
        spared += pair.client.recv(1) == b"x"
        pair.close()
    assert 4 <= spared <= 36


def test_reset_frees_what_is_held(server: Server, connect: Connect) -> None:
    pair = connect()
    server.toxic("bandwidth", {"rate": 0})
    pair.upstream.sendall(b"held")
    assert is_silent(pair.client, 0.1)
    assert server.send("POST", "/reset").status == 204
    assert read_exactly(pair.client, 4) == b"held"


def test_an_update_acts_on_live_connections(server: Server, connect: Connect) -> None:
    pair = connect()
    name = server.toxic("latency", {"latency": 0})
    server.send("PATCH", f"/proxies/p/toxics/{name}", {"attributes": {"latency": 120}})
    start = time.monotonic()
    pair.upstream.sendall(b"x")
    assert pair.client.recv(1) == b"x"
    assert since(start) >= 0.115


def test_many_connections_pass_at_once(server: Server, connect: Connect) -> None:
    pairs = [connect() for _ in range(50)]
    for number, pair in enumerate(pairs):
        pair.client.sendall(b"%04d" % number)
    for number, pair in enumerate(pairs):
        assert read_exactly(pair.upstream, 4) == b"%04d" % number
    for pair in pairs:
        pair.client.close()
    assert eventually(lambda: all(pair.upstream.recv(1) == b"" for pair in pairs))
