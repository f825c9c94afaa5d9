"""The whole service in this process: fakeredis behind it, stand-ins as its downstreams, no server before it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fakeredis
import httpcore
from front_world import Answer, Events, call, settings

from hardening.worlds.shared.downstreams import FakeDownstream
from hardening.worlds.shared.http_server import HttpServer
from hardening.worlds.shared.market import SeededMarket
from signal_service.app import Service
from signal_service.config.settings import Settings
from signal_service.seams import Reading, Seams


@dataclass
class Files:
    """A disk that can be full."""

    full: bool = False
    written: list[bytes] = field(default_factory=list)

    def append(self, path: Path, data: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.written.append(data)

    def read(self, path: Path) -> bytes:
        return b"".join(self.written)


@dataclass
class Whole:
    """The running service and the means to disturb it."""

    service: Service
    events: Events
    files: Files
    redis: fakeredis.FakeServer
    stand_ins: dict[str, FakeDownstream]
    servers: dict[str, HttpServer]
    holds: list[Settings]

    async def get(self, path: str, key: str = "demo", **more: Any) -> Answer:
        return await call(self.service.asgi, path, key=key, **more)

    async def post(
        self,
        path: str,
        body: bytes,
        key: str = "demo",
        more: Sequence[tuple[bytes, bytes]] = (),
        **headers: str,
    ) -> Answer:
        given = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        return await call(self.service.asgi, path, key=key, method="POST", headers=given, body=[body], more=more)


async def _never(_path: Path, _changed: Callable[[], None]) -> None:
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def whole_service(**overrides: Any) -> AsyncIterator[Whole]:
    """Start it, and leave nothing of it behind."""
    stand_ins = {
        name: FakeDownstream(name, lambda *_: None, SeededMarket(3)) for name in ("ticker", "user", "alert", "comms")
    }
    servers = {name: stand_in.server() for name, stand_in in stand_ins.items()}
    urls = {name: {"url": f"http://127.0.0.1:{await server.start()}"} for name, server in servers.items()}
    for name, more in overrides.pop("downstreams", {}).items():
        urls[name] |= more
    redis, events, files = fakeredis.FakeServer(), Events(), Files()
    holds = [settings(downstreams=urls, audit_path="audit.jsonl", **overrides)]
    seams = Seams(
        emit=events,
        sample=lambda: Reading(50 << 20, None, 0.0, 10),
        files=files,
        watch=_never,
        on_signal=lambda _number, _handle: lambda: None,
        redis=lambda _: fakeredis.FakeAsyncRedis(server=redis),
        network=httpcore.AnyIOBackend,
        sleep=asyncio.sleep,
        monotonic=time.monotonic,
        rng=random.Random(1),
    )
    service = Service(holds[0], lambda: holds[0], seams)
    try:
        await service.start()
        yield Whole(service, events, files, redis, stand_ins, servers, holds)
    finally:
        await service.stop()
        for server in servers.values():
            await server.stop()
