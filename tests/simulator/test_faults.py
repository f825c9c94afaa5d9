# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""The network faults of ``faults/`` act on a simulated link as on a live one: each bites, and each is healed."""

import asyncio

import pytest

from hardening.faults.network import NETWORK_FAULTS
from hardening.simulator import explore, network

KINDS = [kind for kind in NETWORK_FAULTS if "ticker" in kind.targets]


async def serve(reader, writer):
    """A web server that says the same to everybody."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def ask():
    """One request on a connection of its own; whether it was answered in full."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("ticker", 80)
            try:
                writer.write(b"GET / HTTP/1.1\r\nHost: ticker\r\n\r\n")
                return (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200") and len(
                    await reader.readexactly(5000)
                ) == 5000
            finally:
                writer.close()
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        return False


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_network_fault_bites_and_heals_on_a_simulated_link(kind):
    async def program():
        with network().host("ticker"):
            server = await asyncio.start_server(serve, None, 80)
        link = network().link("ticker")
        idle = await asyncio.open_connection("ticker", 80)
        fault = kind(target="ticker")
        token = await fault.inject(link)
        for _ in range(12):
            await ask()
        bite = await fault.heal(link, token)
        assert bite.bit, bite
        assert await ask()
        idle[1].close()
        server.close()

    report = explore(program, runs=4, seed=3)
    assert report.counterexample is None, report.counterexample.story()
