"""The control API's HTTP, addresses and JSON at their edges, byte by byte, against every Toxiproxy that can be had."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from typing import Any

import pytest
from proxy_driving import Server

pytestmark = [pytest.mark.conformance, pytest.mark.live]

HOST = b"Host: x\r\n"
LONG = b"A: " + b"x" * 70_000 + b"\r\n"
TOO_LONG = b"A: " + b"x" * 1_200_000 + b"\r\n"


@dataclass
class Raw:
    """What came back for bytes that were sent; names of headers in small letters."""

    version: str
    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    is_closed: bool


def exchange(server: Server, data: bytes) -> Raw:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    got, is_closed = b"", False
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(data)
        sock.settimeout(0.4)
        try:
            while not is_closed:
                part = sock.recv(65536)
                is_closed = not part
                got += part
        except TimeoutError:
            pass
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, reason = first.split(" ", 2)
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Raw(version, int(status), reason, headers, body, is_closed)


REQUESTS: dict[str, tuple[bytes, int, bool]] = {
    "absolute form": (b"GET http://x/version HTTP/1.1\r\n" + HOST + b"\r\n", 200, False),
    "absolute form with a query": (b"GET http://x/version?a=1 HTTP/1.1\r\n" + HOST + b"\r\n", 200, False),
    "HTTP/1.0": (b"GET /version HTTP/1.0\r\n\r\n", 200, True),
    "HTTP/0.9": (b"GET /version\r\n\r\n", 400, True),
    "HTTP/2.0": (b"GET /version HTTP/2.0\r\n" + HOST + b"\r\n", 505, True),
    "no host": (b"GET /version HTTP/1.1\r\n\r\n", 400, True),
    "two hosts": (b"GET /version HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, True),
    "options of the server": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 200, False),
    "options of a path": (b"OPTIONS /proxies HTTP/1.1\r\n" + HOST + b"\r\n", 405, False),
    "another expectation": (b"GET /version HTTP/1.1\r\n" + HOST + b"Expect: 200-maybe\r\n\r\n", 417, True),
    "expecting without a body": (
        b"GET /version HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n\r\n",
        200,
        False,
    ),
    "a long head": (b"GET /version HTTP/1.1\r\n" + HOST + LONG + b"\r\n", 200, False),
    "a head that is too long": (b"GET /version HTTP/1.1\r\n" + HOST + TOO_LONG + b"\r\n", 431, True),
    "a bad method": (b"G@T /version HTTP/1.1\r\n" + HOST + b"\r\n", 400, True),
    "a bad escape": (b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400, True),
    "an unknown coding": (b"POST /reset HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 501, True),
    "two slashes": (b"GET //version?a=b HTTP/1.1\r\n" + HOST + b"\r\n", 301, False),
    "a head on an unknown path": (b"HEAD /nope HTTP/1.1\r\n" + HOST + b"\r\n", 404, False),
    "a head where only GET answers": (b"HEAD /version HTTP/1.1\r\n" + HOST + b"\r\n", 405, False),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_at_the_edge_gets_its_status_and_its_text(server: Server, name: str) -> None:
    data, status, is_closed = REQUESTS[name]
    answer = exchange(server, data)
    assert (answer.status, answer.is_closed) == (status, is_closed)
    phrases = {200: "OK", 301: "Moved Permanently", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}
    phrases |= {417: "Expectation Failed", 431: "Request Header Fields Too Large", 501: "Not Implemented"}
    assert answer.reason.startswith(phrases.get(status, "HTTP Version Not Supported"))
    if status == 431:
        assert answer.body.startswith(b"431 Request Header Fields Too Large")
    if name == "two slashes":
        assert answer.headers["location"] == "/version?a=b"
    if name == "HTTP/1.0":
        assert answer.version == "HTTP/1.0"
    if data.startswith(b"HEAD"):
        assert answer.body == b""


def test_every_request_that_reaches_a_handler_gets_a_number_of_its_own(server: Server) -> None:
    asked = [b"GET /version", b"GET /proxies", b"GET /proxies/none", b"GET /version"]
    numbers = [exchange(server, one + b" HTTP/1.1\r\n" + HOST + b"\r\n").headers for one in asked]
    found = {headers["x-toxiproxy-request-id"] for headers in numbers}
    assert len(found) == len(asked)
    assert all(re.fullmatch("[0-9a-v]{20}", number) for number in found)
    for unanswered in (b"GET /nope", b"DELETE /version"):
        assert "x-toxiproxy-request-id" not in exchange(server, unanswered + b" HTTP/1.1\r\n" + HOST + b"\r\n").headers


def test_a_client_that_waits_for_100_gets_it_only_where_its_body_is_wanted(server: Server) -> None:
    waiting = b" HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert exchange(server, b"POST /proxies" + waiting).status == 100
    refused = exchange(server, b"POST /nope" + waiting)
    assert (refused.status, refused.headers["connection"]) == (404, "close")


# --- addresses -------------------------------------------------------------------------------------------------------

BOTH, FOUR, SIX = {"127.0.0.1", "::1"}, {"127.0.0.1"}, {"::1"}
ADDRESSES = {
    "127.0.0.1:": FOUR,
    "localhost:": FOUR,
    ":": BOTH,
    ":0": BOTH,
    ":00": BOTH,
    ":+0": BOTH,
    "[::]:0": BOTH,
    "[0::0]:0": BOTH,
    "0.0.0.0:0": BOTH,
    "0.0.0.0:": BOTH,
    "[::ffff:0.0.0.0]:0": BOTH,
    "[::ffff:127.0.0.1]:0": FOUR,
    "[127.0.0.1]:0": FOUR,
    "[::1]:0": SIX,
}


def reached(port: int) -> set[str]:
    found = set()
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as sock:
            if sock.connect_ex((host, port)) == 0:
                found.add(host)
    return found


@pytest.mark.parametrize("listen", ADDRESSES)
def test_an_address_serves_the_families_that_it_names(server: Server, listen: str) -> None:
    reply = server.send("POST", "/proxies", {"name": "a", "listen": listen, "upstream": "127.0.0.1:9"})
    assert reply.status == 201, reply.text
    shown = str(reply.json["listen"])
    wanted = ADDRESSES[listen]
    assert shown.rpartition(":")[0] == ("[::]" if wanted == BOTH else "127.0.0.1" if wanted == FOUR else "[::1]")
    assert reached(int(shown.rpartition(":")[2])) == wanted


@pytest.mark.parametrize("text", ["http", "HTTP", "https", "+81"])
def test_a_port_may_be_the_name_of_a_service(server: Server, text: str) -> None:
    reply = server.send("POST", "/proxies", {"name": "a", "listen": f"127.0.0.1:{text}", "upstream": "127.0.0.1:9"})
    number = {"http": 80, "https": 443}.get(text.lower(), 81)
    taken_or_forbidden = {f"listen tcp 127.0.0.1:{number}: bind: {said}" for said in TAKEN}
    assert (reply.status == 201 and reply.json["listen"] == f"127.0.0.1:{number}") or (
        reply.json["error"] in taken_or_forbidden
    )


TAKEN = ("address already in use", "permission denied")


@pytest.mark.parametrize(
    ("listen", "said"),
    [
        ("127.0.0.1:no-such", "listen tcp: lookup tcp/no-such: unknown port"),
        (":-1", "listen tcp: address -1: invalid port"),
        (":70000", "listen tcp: address 70000: invalid port"),
        (":0x10", "listen tcp: lookup tcp/0x10: unknown port"),
        (":1_0", "listen tcp: lookup tcp/1_0: unknown port"),
        ("127.1:0", "listen tcp: lookup 127.1: no such host"),
        ("::1:0", "listen tcp: address ::1:0: too many colons in address"),
    ],
)
def test_a_bad_address_is_a_500_in_the_same_words(server: Server, listen: str, said: str) -> None:
    reply = server.send("POST", "/proxies", {"name": "a", "listen": listen, "upstream": "127.0.0.1:9"})
    assert (reply.status, reply.json["error"]) == (500, said)


# --- names that occur more than once ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"name":"a","name":"b"}', {"name": "b"}),
        (b'{"name":"a","Name":"b"}', {"name": "b"}),
        (b'{"name":"b","listen":"127.0.0.1:7","listen":null}', {"name": "b", "listen": "127.0.0.1:7"}),
        (b'{"NAME":"a","name":"b","name":null}', {"name": "b"}),
    ],
)
def test_the_last_of_several_values_counts_and_null_does_not(server: Server, raw: bytes, expected: Any) -> None:
    reply = server.send("POST", "/proxies", raw=raw[:-1] + b',"upstream":"h:1","enabled":false}')
    assert reply.status == 201
    assert {name: reply.json[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (b'"attributes":{"latency":1},"attributes":{"jitter":2}', {"latency": 1, "jitter": 2}),
        (b'"attributes":{"latency":1},"attributes":null', {"latency": 1, "jitter": 0}),
        (b'"attributes":{"latency":1,"LATENCY":3}', {"latency": 3, "jitter": 0}),
        (b'"attributes":{"LATENCY":3,"latency":1}', {"latency": 1, "jitter": 0}),
    ],
)
def test_repeated_attributes_are_merged(server: Server, attributes: bytes, expected: Any) -> None:
    server.send("POST", "/proxies", {"name": "p", "upstream": "h:1", "enabled": False})
    reply = server.send("POST", "/proxies/p/toxics", raw=b'{"type":"latency",' + attributes + b"}")
    assert (reply.status, reply.json["attributes"]) == (200, expected), json.dumps(reply.json)
