"""Every Toxiproxy that can be had, as fixtures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from proxy_driving import FarEnd, LoopThread, Pair, Server

from hardening.faults.toxiproxy import Found, find_toxiproxy
from hardening.faults.toxiproxy_process import ToxiproxyProcess
from hardening.proxy.server import ProxyServer


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(scope="session")
def embedded(loop_thread: LoopThread) -> Iterator[Server]:
    inner = ProxyServer(seed=1)
    loop_thread.run(inner.__aenter__())
    server = Server("embedded", inner.url)
    yield server
    server.close()
    loop_thread.run(inner.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def real(loop_thread: LoopThread) -> Iterator[Server]:
    found = find_toxiproxy(os.environ)
    if found.how == "embedded":
        missing = "no real Toxiproxy: set TOXIPROXY_SERVER to the binary that `go install` makes, or TOXIPROXY_URL"
        if os.environ.get("REQUIRE_REAL_TOXIPROXY") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    yield from _real_server(loop_thread, found)


def _real_server(loop_thread: LoopThread, found: Found) -> Iterator[Server]:
    process = None if found.how == "url" else ToxiproxyProcess(found)
    url = found.where
    if process is not None:
        loop_thread.run(process.__aenter__())
        url = process.url
    server = Server("real", url)
    yield server
    server.close()
    if process is not None:
        loop_thread.run(process.__aexit__(None, None, None))


@pytest.fixture(params=["embedded", "real"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each Toxiproxy in turn, without proxies."""
    chosen: Server = request.getfixturevalue(request.param)
    chosen.clear()
    return chosen


@pytest.fixture
def ours(embedded: Server) -> Server:
    """The embedded one, without proxies."""
    embedded.clear()
    return embedded


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    end = FarEnd()
    yield end
    end.close()


@pytest.fixture
def connect(server: Server, far_end: FarEnd) -> Iterator[Any]:
    """Makes the proxy ``p`` on first use, and a connected pair on each."""
    pairs: list[Pair] = []
    address: list[tuple[str, int]] = []

    def make() -> Pair:
        if not address:
            address.append(server.proxy(far_end.address))
        pairs.append(Pair(address[0], far_end))
        return pairs[-1]

    yield make
    for pair in pairs:
        pair.close()
