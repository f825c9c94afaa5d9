"""The wrapper round toxiproxy-python, and network faults through it, on every Toxiproxy that can be had."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from proxy_driving import eventually
from toxiproxy.api import APIConsumer

from hardening.faults.base import Effect, FaultError, HealError
from hardening.faults.catalogue import build
from hardening.faults.network import NETWORK_FAULTS, NetDown
from hardening.faults.targets import Link
from hardening.faults.toxiproxy import Found, ProxyHandle, ProxyLink, Toxiproxy, ToxiproxyError, find_toxiproxy
from hardening.proxy.server import ProxyServer

pytestmark = pytest.mark.live


def chosen(kind: str) -> Found:
    if kind == "embedded":
        return Found("embedded")
    found = find_toxiproxy(os.environ)
    if found.how == "embedded":
        missing = "no real Toxiproxy: set TOXIPROXY_SERVER to the binary that `go install` makes, or TOXIPROXY_URL"
        if os.environ.get("REQUIRE_REAL_TOXIPROXY") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@contextlib.asynccontextmanager
async def started(kind: str, **more: Any) -> AsyncIterator[Toxiproxy]:
    """A Toxiproxy: ours inside this process (``near``) or in one of its own, or the real one."""
    if kind != "near":
        async with Toxiproxy.start(found=chosen(kind), **more) as toxiproxy:
            yield toxiproxy
        return
    async with ProxyServer(seed=1) as inner, Toxiproxy.start(found=Found("url", inner.url)) as toxiproxy:
        yield toxiproxy


@contextlib.asynccontextmanager
async def proxied(kind: str = "near", **more: Any) -> AsyncIterator[tuple[Toxiproxy, ProxyHandle]]:
    async with echo() as upstream, started(kind, **more) as toxiproxy:
        proxy = await toxiproxy.create("wrapped", upstream)
        try:
            yield toxiproxy, proxy
        finally:
            await proxy.delete()


async def exchange(proxy: ProxyHandle, data: bytes, count: int | None = None) -> bytes:
    """What comes back for ``data`` before the other side ends, or a quarter of a second passes."""
    reader, writer = await asyncio.open_connection(*proxy.address)
    got = b""
    try:
        writer.write(data)
        async with asyncio.timeout(0.25 if count is None else 3):
            while count is None or len(got) < count:
                part = await reader.read(65536)
                if not part:
                    break
                got += part
    except TimeoutError:
        pass
    finally:
        writer.close()
    return got


# --- finding one -----------------------------------------------------------------------------------------------------


def program(path: Path, name: str) -> Path:
    file = path / name
    file.write_text("#!/bin/sh\nexit 1\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def test_a_url_goes_before_a_binary_before_the_path_before_the_embedded_one(tmp_path: Path) -> None:
    named, on_path = program(tmp_path, "server"), program(tmp_path, "toxiproxy-server")
    env = {"TOXIPROXY_URL": "http://h:1", "TOXIPROXY_SERVER": str(named), "PATH": str(tmp_path)}
    assert find_toxiproxy(env) == Found("url", "http://h:1")
    del env["TOXIPROXY_URL"]
    assert find_toxiproxy(env) == Found("binary", str(named))
    del env["TOXIPROXY_SERVER"]
    assert find_toxiproxy(env) == Found("path", str(on_path))
    assert find_toxiproxy({}) == Found("embedded")


def test_a_named_binary_that_is_not_there_is_an_error_not_a_fallback() -> None:
    with pytest.raises(FileNotFoundError, match="TOXIPROXY_SERVER is '/no/such/server', allowed"):
        find_toxiproxy({"TOXIPROXY_SERVER": "/no/such/server"})


@pytest.mark.asyncio
async def test_a_binary_that_does_not_start_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        async with Toxiproxy.start({"TOXIPROXY_SERVER": str(program(tmp_path, "server"))}):
            pass


@pytest.mark.asyncio
async def test_a_url_that_nobody_serves_says_so() -> None:
    with pytest.raises(ToxiproxyError, match="no answer to GET /version"):
        async with Toxiproxy.start({"TOXIPROXY_URL": "http://127.0.0.1:1"}):
            pass


# --- driving one -----------------------------------------------------------------------------------------------------


@pytest.mark.conformance
@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["embedded", "real"])
async def test_the_whole_wrapper(kind: str) -> None:
    async with proxied(kind) as (toxiproxy, proxy):
        assert toxiproxy.kind.flavour == kind
        assert toxiproxy.kind.flavour in str(toxiproxy.kind)
        name = await proxy.add_toxic("latency", attributes={"latency": 5}, toxicity=0.5)
        assert name == "latency_downstream"
        updated = await proxy.update_toxic(name, {"jitter": 2}, 1.0)
        assert (updated["attributes"], updated["toxicity"]) == ({"latency": 5, "jitter": 2}, 1)
        assert [toxic["name"] for toxic in await proxy.toxics()] == [name]
        await proxy.remove_toxic(name)
        assert await proxy.toxics() == []
        await proxy.disable()
        assert (await toxiproxy.proxies())["wrapped"].enabled is False
        with pytest.raises(ConnectionRefusedError):
            await exchange(proxy, b"x", 1)
        await toxiproxy.reset()
        await proxy.refresh()
        assert proxy.enabled
        assert await exchange(proxy, b"hello", 5) == b"hello"
        populated = await toxiproxy.populate([{"name": "more", "upstream": proxy.upstream, "listen": "127.0.0.1:0"}])
        assert [other.name for other in populated] == ["more"]
        await populated[0].delete()


@pytest.mark.conformance
@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["embedded", "real"])
async def test_refusals_carry_status_and_reason(kind: str) -> None:
    async with proxied(kind) as (toxiproxy, proxy):
        with pytest.raises(ToxiproxyError) as taken:
            await toxiproxy.create("wrapped", proxy.upstream)
        assert (taken.value.status, taken.value.reason) == (409, "proxy already exists")
        with pytest.raises(ToxiproxyError) as unknown:
            await proxy.remove_toxic("none")
        assert (unknown.value.status, unknown.value.reason) == (404, "toxic not found")
        with pytest.raises(ToxiproxyError) as bad:
            await proxy.add_toxic("nope")
        assert (bad.value.status, bad.value.reason) == (400, "invalid toxic type")
        with pytest.raises(ToxiproxyError) as unbound:
            await toxiproxy.create("other", proxy.upstream, proxy.listen)
        assert unbound.value.status == 500


@pytest.mark.asyncio
async def test_two_servers_do_not_collide_and_proxies_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    before = (APIConsumer.host, APIConsumer.port)
    async with proxied("embedded") as (_, one), proxied("embedded") as (_, two):
        await one.add_toxic("noop", name="only_here")
        assert [toxic["name"] for toxic in await one.toxics()] == ["only_here"]
        assert await two.toxics() == []
    assert (APIConsumer.host, APIConsumer.port) == before


@pytest.mark.asyncio
async def test_a_token_is_sent() -> None:
    async with proxied("embedded", token="s3cret") as (toxiproxy, _):
        assert "wrapped" in await toxiproxy.proxies()


STARTS_ONE_AND_WAITS = """
import asyncio, os
from hardening.faults.toxiproxy import Found, Toxiproxy, find_toxiproxy
async def main():
    found = Found("embedded") if {kind!r} == "embedded" else find_toxiproxy(os.environ)
    async with Toxiproxy.start(found=found) as toxiproxy:
        print(toxiproxy.process.pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["embedded", "real"])
def test_a_killed_harness_leaves_no_server_behind(kind: str) -> None:
    if chosen(kind).how == "url":
        pytest.skip("the server behind TOXIPROXY_URL is not ours to end")
    harness = subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE_AND_WAITS.format(kind=kind)], stdout=subprocess.PIPE, text=True
    )
    assert harness.stdout is not None
    server = psutil.Process(int(harness.stdout.readline()))
    harness.kill()
    harness.communicate()
    assert eventually(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.asyncio
async def test_a_cancelled_add_leaves_no_toxic_behind() -> None:
    async with proxied() as (_, proxy):
        link = ProxyLink(proxy)
        adding = asyncio.ensure_future(link.add_toxic("noop", "upstream", 1.0, {}))
        await asyncio.sleep(0)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        assert await proxy.toxics() == []


# --- network faults --------------------------------------------------------------------------------------------------

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PING = b"*1\r\n$4\r\nPING\r\n"
EFFECTS: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "net_latency": ({"latency_ms": 20}, b"x", "delayed_bytes"),
    "net_bandwidth": ({}, b"x" * 100, "delayed_bytes"),
    "net_reset": ({}, b"x", "resets"),
    "net_timeout": ({}, b"x", "dropped_bytes"),
    "net_slicer": ({}, b"x" * 100, "slices"),
    "net_limit_data": ({}, b"x" * 200, "closes"),
    "net_slow_close": ({"delay_ms": 10}, b"x", "delayed_closes"),
    "connect_delay": ({"delay_ms": 10}, b"x", "delayed_connects"),
    "connect_refuse": ({}, b"x", "refused_connects"),
    "fail_first": ({}, b"x", "refused_connects"),
    "net_loss": ({"probability": 0.9, "retransmit_ms": 1}, bytes(40_000), "lost_segments"),
    "net_corrupt": ({"probability": 1.0}, b"x", "corrupted_bytes"),
    "http_error": ({}, GET, "injected_answers"),
    "redis_error": ({}, PING, "injected_answers"),
    "half_close": ({"limit_bytes": 1}, b"xyz", "half_closes"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", EFFECTS)
async def test_a_fault_has_an_effect_is_healed_and_counts_it(kind: str) -> None:
    fields, data, name = EFFECTS[kind]
    fault = build({"kind": kind, **fields})
    async with proxied() as (_, proxy):
        link = ProxyLink(proxy)
        token = await fault.inject(link)
        with contextlib.suppress(ConnectionError):
            await exchange(proxy, data)
        await asyncio.sleep(0.05)  # the end of the exchange is on its way through the proxy
        effect = await fault.heal(link, token)
        assert effect.effective
        assert effect.counts[name] >= 1
        assert await proxy.toxics() == []
        assert await exchange(proxy, b"healed", 6) == b"healed"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault", [build({"kind": fault.kind}) for fault in NETWORK_FAULTS], ids=lambda fault: fault.kind
)
async def test_a_fault_that_met_nobody_says_that_it_did_not_bite(fault: Any) -> None:
    async with proxied() as (_, proxy):
        link = ProxyLink(proxy)
        effect = await fault.heal(link, await fault.inject(link))
        assert not effect.effective


@pytest.mark.asyncio
async def test_a_link_that_goes_down_counts_the_connections_it_dropped() -> None:
    async with proxied() as (_, proxy):
        link = ProxyLink(proxy)
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"x")
        assert await reader.read(1) == b"x"
        token = await NetDown().inject(link)
        assert await reader.read(1) == b""
        writer.close()
        assert await NetDown().heal(link, token) == Effect({"dropped_connections": 1.0})
        assert await exchange(proxy, b"up", 2) == b"up"


@pytest.mark.conformance
@pytest.mark.asyncio
async def test_through_the_real_one_passing_bytes_are_the_bite() -> None:
    async with proxied("real") as (_, proxy):
        link, fault = ProxyLink(proxy), build({"kind": "net_latency", "latency_ms": 5})
        token = await fault.inject(link)
        assert await exchange(proxy, b"hello", 5) == b"hello"
        await asyncio.sleep(0.1)  # the real one counts a connection's bytes when it has ended
        assert (await fault.heal(link, token)).counts == {"passed_bytes": 5.0}


@pytest.mark.asyncio
async def test_a_heal_that_cannot_be_done_is_an_error() -> None:
    async with proxied() as (_, proxy):
        link = ProxyLink(proxy)
        token = await build({"kind": "net_latency"}).inject(link)
        await proxy.remove_toxic((await proxy.toxics())[0]["name"])
        with pytest.raises(HealError, match="could not be removed"):
            await build({"kind": "net_latency"}).heal(link, token)


@pytest.mark.asyncio
async def test_healing_after_a_failed_inject_is_harmless() -> None:
    async with proxied() as (_, proxy):
        for fault in NETWORK_FAULTS:
            assert not (await fault(target=fault.targets[0]).heal(ProxyLink(proxy), None)).effective
        assert isinstance(ProxyLink(proxy), Link)


@pytest.mark.parametrize("fault", NETWORK_FAULTS, ids=lambda fault: fault.kind)
def test_a_fault_survives_json(fault: Any) -> None:
    original = fault(target=fault.targets[-1])
    assert fault.from_json(original.to_json()) == original
    assert original.to_json()["kind"] == fault.kind


def test_kinds_are_unique_and_say_what_they_do() -> None:
    assert len({fault.kind for fault in NETWORK_FAULTS}) == len(NETWORK_FAULTS)
    assert all(fault.summary and fault.protocol == "link" for fault in NETWORK_FAULTS)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("net_latency", "target", "moon"),
        ("net_latency", "stream", "sideways"),
        ("net_latency", "toxicity", 0.0),
        ("net_latency", "toxicity", 1.5),
        ("net_latency", "latency_ms", 0),
        ("net_latency", "latency_ms", 1.5),
        ("net_latency", "jitter_ms", -1),
        ("net_bandwidth", "rate_kb_per_s", -1),
        ("net_reset", "timeout_ms", -1),
        ("net_timeout", "timeout_ms", -1),
        ("net_slicer", "average_bytes", 0),
        ("net_slicer", "variation_bytes", 17),
        ("net_limit_data", "limit_bytes", -1),
        ("net_slow_close", "delay_ms", 0),
        ("net_down", "target", "moon"),
        ("connect_delay", "delay_ms", 0),
        ("fail_first", "connections", 0),
        ("net_loss", "probability", 0.0),
        ("net_corrupt", "probability", 2.0),
        ("http_error", "status", 600),
        ("http_error", "path", "("),
        ("http_error", "target", "redis"),
        ("redis_error", "error", "two\nlines"),
        ("redis_error", "commands", [""]),
        ("redis_error", "target", "ticker"),
        ("half_close", "limit_bytes", -1),
    ],
)
def test_a_bad_field_is_one_line_that_names_it(kind: str, field: str, value: object) -> None:
    fault = next(fault for fault in NETWORK_FAULTS if fault.kind == kind)
    with pytest.raises(FaultError) as caught:
        fault.from_json({"kind": kind, field: value})
    assert caught.value.field == f"fault.{field}"
    assert "\n" not in str(caught.value)
