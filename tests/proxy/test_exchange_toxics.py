"""Answers in the server's place: http_error and redis_error, byte by byte and by real clients' own bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toxic_driver import Driver, spec

from hardening.toxics import End

GET = b"GET /price?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /order HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;ext=1\r\nhel\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
)


def fed(driver: Driver, data: bytes, size: int = 0) -> Driver:
    """Feed the client's bytes, in pieces of ``size``."""
    for start in range(0, len(data), size or len(data) or 1):
        driver.feed(data[start : start + (size or len(data))], "upstream")
    return driver


# --- http_error ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 3, 7])
@pytest.mark.parametrize("request_bytes", [GET, POST, CHUNKED], ids=["get", "post", "chunked"])
def test_a_matching_request_is_swallowed_whole_and_answered(request_bytes: bytes, size: int) -> None:
    driver = fed(Driver(spec("http_error", status=503, body="no", headers={"Retry-After": "7"})), request_bytes, size)
    assert driver.data("upstream") == b""
    answer = driver.data()
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"retry-after: 7\r\n" in answer
    assert b"content-length: 2\r\n" in answer
    assert answer.endswith(b"\r\n\r\nno")


@pytest.mark.parametrize("size", [0, 1, 5])
def test_only_matching_requests_are_answered_and_the_others_pass_unchanged(size: int) -> None:
    driver = Driver(spec("http_error", path="^/order", method="post"))
    fed(driver, GET + POST + GET + CHUNKED + GET, size)
    assert driver.data("upstream") == GET * 3
    assert driver.data().count(b"HTTP/1.1 503 ") == 2


@given(st.integers(1, 60), st.permutations([GET, POST, CHUNKED]))
def test_requests_that_do_not_match_pass_byte_by_byte(size: int, requests: list[bytes]) -> None:
    whole = b"".join(requests)
    driver = fed(Driver(spec("http_error", path="^/nowhere")), whole, size)
    assert driver.data("upstream") == whole
    assert driver.data() == b""


def test_times_are_counted_over_all_connections() -> None:
    twice = spec("http_error", times=2)
    drivers = [fed(Driver(twice, number=number), GET) for number in (1, 2, 3)]
    assert [bool(driver.data()) for driver in drivers] == [True, True, False]
    assert drivers[2].data("upstream") == GET
    assert twice.tally["injected_answers"] == 2


def test_the_answer_to_head_has_no_body() -> None:
    driver = fed(Driver(spec("http_error", body="no")), GET.replace(b"GET", b"HEAD"))
    assert driver.data().endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01 tls hello", b"GET /\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"x" * 70_000]
)
def test_bytes_that_are_no_http_pass_untouched(garbage: bytes) -> None:
    assert fed(Driver(spec("http_error")), garbage, 1000).data("upstream") == garbage


def test_an_upgraded_connection_is_left_alone() -> None:
    hello = b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
    driver = fed(fed(Driver(spec("http_error", path="^/order")), hello), POST)
    assert driver.data("upstream") == hello + POST


def test_an_unfinished_head_goes_to_the_server_when_the_toxic_goes_or_the_client_ends() -> None:
    removed, ended = Driver(spec("http_error")), Driver(spec("http_error"))
    fed(removed, GET[:10]).remove("http_error")
    fed(ended, GET[:10]).feed(End.CLOSE, "upstream")
    assert removed.data("upstream") == ended.data("upstream") == GET[:10]
    assert ended.events("upstream")[-1][1] is End.CLOSE


def test_the_answer_passes_the_toxics_behind_it() -> None:
    driver = fed(Driver(spec("http_error"), spec("latency", latency=100)), GET)
    assert driver.data() == b""
    driver.at(0.1)
    assert driver.data().startswith(b"HTTP/1.1 503 ")


# --- redis_error -----------------------------------------------------------------------------------------------------


def command(*words: str) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words)


GET_A, SET_A, PING = command("GET", "a"), command("SET", "a", "x\r\ny"), command("PING")


@pytest.mark.parametrize("size", [0, 1, 2, 9])
def test_a_matching_command_is_answered_by_the_error(size: int) -> None:
    driver = fed(Driver(spec("redis_error", error="READONLY", commands=["set"])), SET_A, size)
    assert driver.data("upstream") == b""
    assert driver.data().startswith(b"-READONLY ")
    assert driver.data().endswith(b"\r\n")


@pytest.mark.parametrize("size", [0, 1, 4])
def test_errors_take_their_place_among_pipelined_replies(size: int) -> None:
    driver = Driver(spec("redis_error", error="OOM full", commands=["SET"]))
    fed(driver, GET_A + SET_A + PING + SET_A + SET_A + GET_A, size)
    assert driver.data("upstream") == GET_A + PING + GET_A
    assert driver.data() == b""
    replies = b"$3\r\nabc\r\n+PONG\r\n*2\r\n:1\r\n$-1\r\n"
    for start in range(0, len(replies), size or len(replies)):
        driver.feed(replies[start : start + (size or len(replies))])
    assert driver.data() == (b"$3\r\nabc\r\n-OOM full\r\n+PONG\r\n-OOM full\r\n-OOM full\r\n*2\r\n:1\r\n$-1\r\n")


@pytest.mark.parametrize(
    "reply",
    [
        b"+OK\r\n",
        b"-ERR x\r\n",
        b":12\r\n",
        b"$0\r\n\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"*2\r\n*1\r\n+a\r\n$3\r\n\r\n\r\r\n",
        b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
        b"~1\r\n#t\r\n",
        b"_\r\n",
        b",1.5\r\n",
        b"(123\r\n",
        b"=7\r\ntxt:abc\r\n",
        b"!3\r\nERR\r\n",
        b"|1\r\n+k\r\n+v\r\n+OK\r\n",
        b">2\r\n+pushed\r\n+x\r\n+OK\r\n",
    ],
    ids=repr,
)
@pytest.mark.parametrize("size", [0, 1])
def test_every_kind_of_reply_is_one_reply(reply: bytes, size: int) -> None:
    driver = Driver(spec("redis_error", error="ERR", commands=["SET"]))
    fed(driver, GET_A + SET_A)
    for start in range(0, len(reply), size or len(reply)):
        driver.feed(reply[start : start + (size or len(reply))])
    assert driver.data() == reply + b"-ERR injected\r\n"


def test_a_subscriber_is_left_alone_from_then_on() -> None:
    driver = Driver(spec("redis_error"))
    fed(driver, command("SUBSCRIBE", "c") + GET_A)
    fed(driver, GET_A)
    assert driver.data("upstream") == command("SUBSCRIBE", "c") + GET_A * 2


def test_inline_commands_match_too() -> None:
    assert fed(Driver(spec("redis_error", commands=["PING"])), b"ping\r\n").data().startswith(b"-LOADING ")


def test_commands_that_are_no_redis_pass_untouched() -> None:
    data = bytes(range(128, 256)) * 3 + b"\n\x00\n"
    assert fed(Driver(spec("redis_error")), data, 10).data("upstream") == data


def test_removing_it_pays_the_errors_it_owes() -> None:
    driver = fed(Driver(spec("redis_error", error="BUSY", commands=["SET"])), GET_A + SET_A + PING[:5])
    driver.remove("redis_error")
    assert driver.data("upstream") == GET_A + PING[:5]
    assert driver.data().startswith(b"-BUSY ")


@given(st.lists(st.sampled_from([GET_A, SET_A, PING]), min_size=1, max_size=8), st.integers(1, 40), st.data())
def test_every_command_gets_one_reply_in_its_place(commands: list[bytes], size: int, data: Any) -> None:
    driver = fed(Driver(spec("redis_error", error="ERR e", commands=["SET"])), b"".join(commands), size)
    replies = b"".join(b"+%d\r\n" % number for number, c in enumerate(commands) if c is not SET_A)
    cut = data.draw(st.integers(0, len(replies)))
    for part in (replies[:cut], replies[cut:]):
        if part:
            driver.feed(part)
    wanted = b"".join(b"-ERR e\r\n" if c is SET_A else b"+%d\r\n" % n for n, c in enumerate(commands))
    assert driver.data() == wanted
