"""RFC 9110 and 9112 over raw sockets: what a server must accept, must refuse, and should limit."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from front_world import KEYS, Events
from uvicorn.server import ServerState
from whole_service import Whole, whole_service

from signal_service.config.settings import ClientLimits
from signal_service.edge.lifecycle import GuardedProtocol

pytestmark = pytest.mark.asyncio

HOST = "Host: x\r\n"
KEY = f"{HOST}X-API-Key: {KEYS['demo']}\r\n"
SIGNAL = "/v2/signals/AAA?timeframe=1m"
JSON = KEY + "Content-Type: application/json\r\n"
NEXT = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
POST = f"POST /v2/signals/batch HTTP/1.1\r\n{JSON}"
BATCH = '{"symbols":["AAA"]}'


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[tuple[Whole, tuple[str, int]]]:
    """The whole service behind the protocol that serves it, on a loopback port."""
    async with whole_service() as whole:
        config = uvicorn.Config(whole.service.asgi, lifespan="off", ws="none", log_config=None, access_log=False)
        config.load()
        state = ServerState()

        def made() -> GuardedProtocol:
            return GuardedProtocol(config=config, server_state=state, app_state={}, limits=ClientLimits, emit=Events())

        server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
        async with server:
            yield whole, server.sockets[0].getsockname()


async def exchange(address: tuple[str, int], sent: str, *, half: bool = False) -> tuple[str, bool]:
    """What comes back, and whether the server closed the connection (it has half a second to do so)."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(sent.encode("latin-1"))
    await writer.drain()
    if half:
        writer.write_eof()
    received = b""
    closed = False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            while piece := await reader.read(65536):
                received += piece
            closed = True
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return received.decode("latin-1"), closed


def statuses(answers: str) -> list[int]:
    return [int(found) for found in re.findall(r"HTTP/1\.1 (\d{3}) ", answers)]


def get(target: str, fields: str = KEY, method: str = "GET", version: str = "1.1") -> str:
    return f"{method} {target} HTTP/{version}\r\n{fields}\r\n"


ACCEPTED = {
    "9112 2.2 an empty line before the request": "\r\n" + get(SIGNAL),
    "9112 2.2 bare line feeds": get(SIGNAL).replace("\r\n", "\n"),
    "9112 3.2.1 origin form": get(SIGNAL),
    "9112 3.2.2 absolute form": get(f"http://x{SIGNAL}"),
    "9112 3.2.2 absolute form in capitals": get(f"HTTP://EXAMPLE.org:80{SIGNAL}"),
    "9112 5.1 white space around a value": get(SIGNAL, KEY.replace(": ", ":  \t")),
    "9110 5.1 names in any case": get(SIGNAL, KEY.lower().replace(KEYS["demo"].lower(), KEYS["demo"])),
    "9110 5.1 an unknown header": get(SIGNAL, KEY + "X-Unknown: 1\r\n"),
    "9110 7.2 an empty Host": get(SIGNAL, KEY.replace("Host: x", "Host:")),
    "9112 6.1 chunked": f"{POST}Transfer-Encoding: chunked\r\n\r\n{len(BATCH):x}\r\n{BATCH}\r\n0\r\n\r\n",
    "9112 7.1 extensions and trailers": f"{POST}Transfer-Encoding: Chunked\r\n\r\n"
    f"{len(BATCH):X};a=b\r\n{BATCH}\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "9110 8.6 a length": f"{POST}Content-Length: {len(BATCH)}\r\n\r\n{BATCH}",
    "9112 2.3 a later minor version": get(SIGNAL, version="1.2"),
    "9110 7.8 an upgrade is ignored": get(SIGNAL, KEY + "Connection: upgrade\r\nUpgrade: foo/2\r\n"),
}

REFUSED = {
    "9112 3.2 no Host": (get(SIGNAL, KEY.replace(HOST, "")), 400),
    "9112 3.2 two Hosts": (get(SIGNAL, KEY + HOST), 400),
    "9112 2.2 no HTTP": ("hello\r\n\r\n", 400),
    "9112 3 a space in the target": (get("/v2/signals/A A"), 400),
    "9112 5.1 a space before the colon": (get(SIGNAL, KEY + "X-A : 1\r\n"), 400),
    "9110 5.5 a NUL in a value": (get(SIGNAL, KEY + "X-A: a\0b\r\n"), 400),
    "9112 6.1 a length and chunks": (
        f"{POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{NEXT}",
        400,
    ),
    "9112 6.3 two lengths": (get(SIGNAL, KEY + "Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
    "9110 8.6 a signed length": (get(SIGNAL, KEY + "Content-Length: +1\r\n"), 400),
    "9110 8.6 a negative length": (get(SIGNAL, KEY + "Content-Length: -1\r\n"), 400),
    "9112 6.1 an unknown transfer coding": (get(SIGNAL, KEY + "Transfer-Encoding: gzip\r\n"), 501),
    "9112 6.1 chunked not last": (get(SIGNAL, KEY + "Transfer-Encoding: chunked, gzip\r\n"), 501),
    "9112 7.1 a chunk size that is none": (
        f"{POST}Transfer-Encoding: chunked\r\n\r\nxyz\r\n{NEXT}",
        400,
    ),
    "9112 2.3 a major version that is not spoken": (get(SIGNAL, version="2.0"), 505),
    "9110 5.4 a head without end": (get(SIGNAL, KEY + "X-A: " + "a" * 70_000 + "\r\n"), 431),
    "9110 5.4 too many headers": (get(SIGNAL, KEY + "X-A: 1\r\n" * 120), 431),
    "9110 15.5.14 a body that is too long": (
        f"{POST}Content-Length: 999999999\r\n\r\n",
        413,
    ),
}


async def test_what_a_server_must_accept_is_answered():
    async with listening() as (_, address):
        for section, sent in ACCEPTED.items():
            received, _ = await exchange(address, sent)
            assert statuses(received) == [200], (section, received[:300])


async def test_what_a_server_must_refuse_is_refused_once_and_the_connection_ends():
    async with listening() as (_, address):
        for section, (sent, status) in REFUSED.items():
            received, closed = await exchange(address, sent)
            assert (statuses(received), closed) == ([status], True), (section, received[:300])
            assert "application/problem+json" in received, section


async def test_head_is_answered_where_get_is_with_its_head_and_no_body():
    async with listening() as (_, address):
        for target in ("/health", SIGNAL, "/openapi.json"):
            await exchange(address, get(target))  # from here on the answer is the cached one
            with_body, _ = await exchange(address, get(target))
            head, _ = await exchange(address, get(target, method="HEAD"))
            assert statuses(head) == statuses(with_body) == [200]
            assert head.endswith("\r\n\r\n")
            length = re.search(r"(?i)content-length: (\d+)", with_body)
            assert length is not None
            assert length[0].lower() in head.lower()
        refused, _ = await exchange(address, get("/v2/alerts", method="HEAD"))
        assert statuses(refused) == [405]


async def test_a_client_that_ended_its_sending_side_is_answered_and_then_the_connection_ends():
    async with listening() as (_, address):
        for sent, expected in ((get(SIGNAL), [200]), (get(SIGNAL) + get("/health"), [200, 200])):
            received, closed = await exchange(address, sent, half=True)
            assert (statuses(received), closed) == (expected, True)


async def test_half_a_request_at_the_end_of_the_stream_is_dropped():
    async with listening() as (_, address):
        for sent in ("GET /hea", f"{POST}Content-Length: 50\r\n\r\nhalf"):
            received, closed = await exchange(address, sent, half=True)
            assert closed
            assert 200 not in statuses(received)


async def test_pipelined_requests_are_answered_in_order_and_http_1_0_ends_the_connection():
    async with listening() as (_, address):
        received, closed = await exchange(address, get(SIGNAL) + get("/nothing") + NEXT)
        assert (statuses(received), closed) == ([200, 404, 200], True)
        received, closed = await exchange(address, get(SIGNAL, version="1.0"))
        assert (statuses(received), closed) == ([200], True)


async def test_a_client_that_expects_100_continue_is_told_to_go_on():
    async with listening() as (_, address):
        head = f"{POST}Expect: 100-continue\r\nContent-Length: {len(BATCH)}\r\n\r\n"
        reader, writer = await asyncio.open_connection(*address)
        writer.write(head.encode())
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(BATCH.encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_an_error_before_the_application_is_a_whole_problem_document():
    async with listening() as (_, address):
        received, _ = await exchange(address, "nonsense\r\n\r\n")
        head, _, body = received.partition("\r\n\r\n")
        fields: dict[str, Any] = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
        assert int(fields["content-length"]) == len(body)
        assert fields["connection"] == "close"
        assert '"type":"urn:signal-service:problem:malformed"' in body
