"""Where ours differs from Toxiproxy on purpose (`docs/PROXY.md`), over real sockets."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from proxy_driving import FarEnd, LoopThread, Pair, Server, eventually, is_silent, read_exactly

from hardening.proxy.api import Answer, Request
from hardening.proxy.http import ControlServer
from hardening.proxy.server import ProxyServer

pytestmark = pytest.mark.live


@pytest.fixture
def server(ours: Server) -> Server:
    return ours


@pytest.fixture
def seeded(loop_thread: LoopThread) -> Iterator[Any]:
    """Starts servers with arguments of the test's choice."""
    started: list[tuple[ProxyServer, Server]] = []

    def start(**arguments: Any) -> Server:
        inner = ProxyServer(**arguments)
        loop_thread.run(inner.__aenter__())
        started.append((inner, Server("embedded", inner.url)))
        return started[-1][1]

    yield start
    for inner, server in started:
        server.close()
        loop_thread.run(inner.__aexit__(None, None, None))


# --- the control plane -----------------------------------------------------------------------------------------------


def test_the_api_answers_with_a_thousand_stuck_connections(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    name = server.toxic("bandwidth", {"rate": 0}, "upstream")
    server.toxic("timeout", {"timeout": 0})
    clients = [socket.create_connection(address, timeout=5) for _ in range(1000)]
    try:
        for client in clients:
            client.sendall(b"stuck")
        start = time.monotonic()
        assert len(server.send("GET", "/proxies/p").json["toxics"]) == 2
        assert server.send("PATCH", f"/proxies/p/toxics/{name}", {"toxicity": 0.5}).status == 200
        assert server.send("DELETE", f"/proxies/p/toxics/{name}").status == 204
        assert server.send("GET", "/metrics").status == 200
        assert server.send("POST", "/reset").status == 204
        assert time.monotonic() - start < 2.0
    finally:
        for client in clients:
            client.close()


def test_removing_a_toxic_from_a_client_that_does_not_read_returns_at_once(server: Server, far_end: FarEnd) -> None:
    pair = Pair(server.proxy(far_end.address), far_end)
    name = server.toxic("latency", {"latency": 60_000})
    pair.upstream.setblocking(False)
    sent = 0
    try:
        while True:
            sent += pair.upstream.send(bytes(65536))
            time.sleep(0.0005)
    except BlockingIOError:
        pass
    start = time.monotonic()
    assert server.send("DELETE", f"/proxies/p/toxics/{name}").status == 204
    assert server.send("GET", "/proxies/p/toxics").json == []
    assert time.monotonic() - start < 1.0
    assert len(read_exactly(pair.client, sent)) == sent
    pair.close()


def test_a_bearer_token_is_asked_for_when_it_was_given(seeded: Any) -> None:
    server = seeded(token="s3cret")
    assert server.send("GET", "/proxies").status == 401
    assert server.send("GET", "/proxies").json == {"error": "missing or wrong bearer token", "status": 401}
    assert server.send("GET", "/proxies", authorization="Bearer wrong").status == 401
    assert server.send("GET", "/proxies", authorization="Bearer s3cret").status == 200


def test_it_binds_to_loopback_unless_told_otherwise(seeded: Any, far_end: FarEnd) -> None:
    server = seeded()
    assert server.url.startswith("http://127.0.0.1:")
    reply = server.send("POST", "/proxies", {"name": "p", "upstream": far_end.address})
    assert reply.json["listen"].startswith("127.0.0.1:")
    told = server.send("POST", "/proxies", {"name": "q", "upstream": far_end.address, "listen": ":0"})
    assert not told.json["listen"].startswith("127.")


def test_toxics_appear_with_their_proxy(server: Server, far_end: FarEnd) -> None:
    toxic = {"type": "limit_data", "attributes": {"bytes": 2}}
    entry = {"name": "p", "upstream": far_end.address, "listen": "127.0.0.1:0", "toxics": [toxic]}
    reply = server.send("POST", "/populate", [entry])
    assert reply.status == 201
    assert reply.json["proxies"][0]["toxics"][0]["name"] == "limit_data_downstream"
    host, port = reply.json["proxies"][0]["listen"].split(":")
    pair = Pair((host, int(port)), far_end)
    pair.upstream.sendall(b"abcd")
    assert read_exactly(pair.client, 4) == b"ab"
    pair.close()


@pytest.mark.parametrize(
    ("toxics", "status"),
    [
        ([{"type": "nope"}], 400),
        ([{"type": "noop"}, {"type": "noop"}], 409),
        ([{"type": "bandwidth", "attributes": {"rate": -1}}], 400),
        ("x", 400),
    ],
)
def test_a_bad_toxic_in_a_populate_creates_nothing(server: Server, toxics: Any, status: int) -> None:
    good = {"name": "a", "upstream": "x:1", "listen": "127.0.0.1:0"}
    assert server.send("POST", "/populate", [good, {**good, "name": "b", "toxics": toxics}]).status == status
    assert server.send("GET", "/proxies").json == {}


@pytest.mark.parametrize(
    ("kind", "attributes", "words"),
    [
        ("bandwidth", {"rate": -1}, "attribute rate is -1, allowed: 0 or more"),
        ("slicer", {}, "attribute average_size is 0, allowed: 1 or more"),
        (
            "slicer",
            {"average_size": 5, "size_variation": 6},
            "attribute size_variation is 6, allowed: 0 to average_size",
        ),
    ],
)
def test_attributes_that_crash_the_real_one_are_a_400(server: Server, kind: str, attributes: Any, words: str) -> None:
    server.send("POST", "/proxies", {"name": "p", "upstream": "x:1", "listen": "127.0.0.1:0"})
    reply = server.send("POST", "/proxies/p/toxics", {"type": kind, "attributes": attributes})
    assert reply.json == {"error": f"bad request body: {words}", "status": 400}


def test_a_refused_update_changes_nothing_of_it(server: Server) -> None:
    server.send("POST", "/proxies", {"name": "p", "upstream": "x:1", "listen": "127.0.0.1:0"})
    name = server.toxic("latency", {"latency": 1})
    body = {"attributes": {"jitter": 5, "latency": "x"}, "toxicity": 0.5}
    assert server.send("PATCH", f"/proxies/p/toxics/{name}", body).status == 400
    kept = server.send("GET", f"/proxies/p/toxics/{name}").json
    assert (kept["attributes"], kept["toxicity"]) == ({"latency": 1, "jitter": 0}, 1.0)


def test_one_proxy_that_cannot_be_enabled_does_not_keep_reset_from_the_others(server: Server) -> None:
    for name, listen in (("a", "nonsense"), ("b", "127.0.0.1:0"), ("p", "127.0.0.1:0")):
        server.send("POST", "/proxies", {"name": name, "upstream": "x:1", "listen": listen, "enabled": False})
    server.toxic("noop", {})
    assert server.send("POST", "/reset").status == 500
    proxies = server.send("GET", "/proxies").json
    assert {name: proxy["enabled"] for name, proxy in proxies.items()} == {"a": False, "b": True, "p": True}
    assert proxies["p"]["toxics"] == []


# --- resets ----------------------------------------------------------------------------------------------------------


def assert_is_reset(sock: socket.socket) -> None:
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


def assert_turned_away(address: tuple[str, int]) -> None:
    """The reset may come before ``connect`` has returned, or after."""
    with pytest.raises(ConnectionResetError), socket.create_connection(address, timeout=5) as refused:
        refused.recv(1)


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_a_reset_peer_added_in_mid_connection_resets_both_sides(server: Server, far_end: FarEnd, stream: str) -> None:
    pair = Pair(server.proxy(far_end.address), far_end)
    server.toxic("reset_peer", {"timeout": 20}, stream)
    (pair.client if stream == "upstream" else pair.upstream).sendall(b"x")
    assert_is_reset(pair.client)
    assert_is_reset(pair.upstream)
    pair.close()


def test_a_spared_connection_ends_by_a_plain_close(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    server.toxic("reset_peer", {"timeout": 0}, toxicity=0)
    pair = Pair(address, far_end)
    pair.upstream.sendall(b"x")
    pair.upstream.close()
    assert read_exactly(pair.client, 2) == b"x"
    pair.close()


# --- our own toxics over the wire ------------------------------------------------------------------------------------


def test_connect_delay_holds_back_the_dial(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    server.toxic("connect_delay", {"delay": 200})
    start = time.monotonic()
    pair = Pair(address, far_end)
    assert 0.19 <= time.monotonic() - start < 0.6
    pair.close()


def test_connect_refuse_resets_new_connections_and_leaves_live_ones(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    pair = Pair(address, far_end)
    name = server.toxic("connect_refuse", {})
    assert_turned_away(address)
    pair.client.sendall(b"x")
    assert pair.upstream.recv(1) == b"x"
    server.send("DELETE", f"/proxies/p/toxics/{name}")
    Pair(address, far_end).close()
    pair.close()


def test_unlistening_refuses_truly_and_keeps_the_port(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    pair = Pair(address, far_end)
    name = server.toxic("connect_refuse", {"unlisten": 1})
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    with pytest.raises(OSError, match="in use"), socket.socket() as thief:
        thief.bind(address)
    pair.client.sendall(b"x")
    assert pair.upstream.recv(1) == b"x"
    server.send("DELETE", f"/proxies/p/toxics/{name}")
    Pair(address, far_end).close()
    pair.close()


def test_fail_first_fails_the_first_connections(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    server.toxic("fail_first", {"connections": 2})
    for _ in range(2):
        assert_turned_away(address)
    Pair(address, far_end).close()


def test_a_half_close_leaves_the_other_direction_open(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    server.toxic("half_close", {}, "upstream")
    pair = Pair(address, far_end)
    pair.client.sendall(b"question")
    pair.client.shutdown(socket.SHUT_WR)
    assert read_exactly(pair.upstream, 9) == b"question"
    pair.upstream.sendall(b"answer")
    pair.upstream.close()
    assert read_exactly(pair.client, 7) == b"answer"
    pair.close()


def test_http_errors_come_from_the_proxy_and_the_connection_lives(server: Server, far_end: FarEnd) -> None:
    pair = Pair(server.proxy(far_end.address), far_end)
    server.toxic("http_error", {"status": 500, "body": "no", "times": 1})
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    pair.client.sendall(request)
    assert pair.client.recv(4096).startswith(b"HTTP/1.1 500 ")
    assert is_silent(pair.upstream, 0.05)
    pair.client.sendall(request)
    assert read_exactly(pair.upstream, len(request)) == request
    pair.close()


def test_redis_errors_come_from_the_proxy(server: Server, far_end: FarEnd) -> None:
    pair = Pair(server.proxy(far_end.address), far_end)
    server.toxic("redis_error", {"error": "MOVED 1 127.0.0.1:7000", "commands": ["GET"]})
    pair.client.sendall(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n")
    assert pair.client.recv(4096) == b"-MOVED 1 127.0.0.1:7000\r\n"
    pair.close()


def test_corruption_flips_bits_on_the_way(server: Server, far_end: FarEnd) -> None:
    pair = Pair(server.proxy(far_end.address), far_end)
    server.toxic("corrupt", {"probability": 1.0})
    pair.upstream.sendall(bytes(100))
    got = read_exactly(pair.client, 100)
    assert all(byte.bit_count() == 1 for byte in got)
    pair.close()


# --- seeds and counts ------------------------------------------------------------------------------------------------


def test_a_seed_repeats_which_connections_are_hit(seeded: Any, far_end: FarEnd) -> None:
    def hits(seed: int) -> list[bool]:
        server = seeded(seed=seed)
        address = server.proxy(far_end.address)
        server.toxic("limit_data", {"bytes": 0}, toxicity=0.5)
        result = []
        for _ in range(24):
            pair = Pair(address, far_end)
            pair.upstream.sendall(b"x")
            result.append(pair.client.recv(1) == b"")
            pair.close()
        return result

    assert hits(11) == hits(11)
    assert hits(11) != hits(12)


def test_metrics_tell_bytes_connections_and_what_each_toxic_did(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    server.toxic("latency", {"latency": 1})
    pair = Pair(address, far_end)
    pair.client.sendall(b"123")
    assert read_exactly(pair.upstream, 3) == b"123"
    pair.upstream.sendall(b"12345")
    assert read_exactly(pair.client, 5) == b"12345"
    text = server.send("GET", "/metrics").text
    assert f'direction="upstream",listener="127.0.0.1:{address[1]}",proxy="p"' in text
    for line in (
        'toxiproxy_proxy_connections_total{proxy="p",outcome="accepted"} 1',
        'toxiproxy_proxy_open_connections{proxy="p"} 1',
        'toxic="latency_downstream",type="latency",stream="downstream",effect="delayed_bytes"} 5',
    ):
        assert line in text
    received = {}
    for line in text.splitlines():
        if line.startswith("toxiproxy_proxy_received_bytes_total{"):
            received[line.split('direction="')[1].split('"')[0]] = line.rsplit(" ", 1)[1]
    assert received == {"upstream": "3", "downstream": "5"}
    pair.close()
    assert eventually(lambda: 'open_connections{proxy="p"} 0' in server.send("GET", "/metrics").text)


# --- what must not stop the proxy ------------------------------------------------------------------------------------


def test_a_pattern_that_backtracks_elsewhere_takes_linear_time(server: Server, far_end: FarEnd) -> None:
    address = server.proxy(far_end.address)
    server.toxic("http_error", {"path": "(a+)+$"}, "upstream")
    with socket.create_connection(address, timeout=5) as client:
        client.sendall(b"GET /" + b"a" * 8000 + b"! HTTP/1.1\r\nHost: x\r\n\r\n")
        start = time.monotonic()
        assert server.send("GET", "/version").status == 200
        with far_end.accept() as upstream:
            assert upstream.recv(5) == b"GET /"
        assert time.monotonic() - start < 2


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", r"a\Z"])
def test_a_pattern_that_cannot_run_in_linear_time_is_a_400(server: Server, far_end: FarEnd, pattern: str) -> None:
    server.proxy(far_end.address)
    reply = server.send("POST", "/proxies/p/toxics", {"type": "http_error", "attributes": {"path": pattern}})
    assert reply.status == 400
    assert "attribute path is" in reply.json["error"]
    assert server.send("GET", "/proxies/p").json["toxics"] == []


def test_half_sent_requests_are_closed_in_bounded_time(loop_thread: LoopThread) -> None:
    class Nothing:
        def refusal(self, request: Request) -> Answer | None:
            return None

        async def answer(self, request: Request) -> Answer:
            return Answer(204)

    control = ControlServer(Nothing(), idle_s=30.0, request_s=0.5)
    address = loop_thread.run(control.start("127.0.0.1", 0))
    heads = [
        b"POST /proxies HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
        b"G",
    ]
    clients = [socket.create_connection(address, timeout=5) for _ in range(300)]
    try:
        for number, client in enumerate(clients):
            client.sendall(heads[number % len(heads)])
        dripping = socket.create_connection(address, timeout=5)
        start = time.monotonic()
        while time.monotonic() - start < 1.5:
            with contextlib.suppress(OSError):
                dripping.sendall(b"G")
            time.sleep(0.1)
        assert all(client.recv(1000).startswith(b"HTTP/1.1 408 Request Timeout") for client in clients)
        assert all(client.recv(1) == b"" for client in clients)
        with contextlib.suppress(ConnectionResetError):
            assert dripping.recv(1000).startswith(b"HTTP/1.1 4")
        dripping.close()
    finally:
        for client in clients:
            client.close()
        loop_thread.run(control.close())
