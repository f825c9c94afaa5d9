"""Fake downstreams for the four downstreams (ticker, user, alert, comms) as real HTTP servers that record requests.

``python -m hardening.worlds.shared.downstreams --spec JSON`` runs all four and a control port in one process.
Each arrival and each answer is one history event on stdout. They de-duplicate by ``Idempotency-Key`` as a good receiver
does, and misbehave on request: see ``Misbehaviour``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hardening.history.events import EventType
from hardening.worlds.shared.http_server import Answer, HttpServer, Request
from hardening.worlds.shared.keys import INACTIVE, LIMITED
from hardening.worlds.shared.market import TIMEFRAME_S, CsvMarket, SeededMarket
from hardening.worlds.shared.misbehaviour import Misbehaviour

NAMES = ("ticker", "user", "alert", "comms")

Record = Callable[[str, EventType, str, Mapping[str, Any], str], None]
"""Takes (process, type, f, value, id) of a history event; the writer knows the time."""


class Market(Protocol):
    """Where candles come from."""

    def candles(self, symbol: str, timeframe: str, limit: int, now_s: float) -> list[dict[str, float]] | None:
        """The last closed bars, ascending; ``None`` for an unknown symbol."""


@dataclass(slots=True)
class FakeDownstream:
    """One downstream: answers well unless a fault has it misbehave, and records what arrived.

    Attributes:
        name: ``ticker``, ``user``, ``alert`` or ``comms``.
        effects: what an idempotency key first did here, by key (for alert and comms).
    """

    name: str
    record: Record
    market: Market
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    inactive_users: frozenset[str] = INACTIVE
    effects: dict[str, bytes] = field(default_factory=dict)
    misbehaviour: Misbehaviour | None = None
    latency_s: float = 0.0
    hurt: int = 0
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _open: dict[int, tuple[str, float, bool]] = field(default_factory=dict)

    def server(self) -> HttpServer:
        """The HTTP server that speaks for it."""
        return HttpServer(self._handle, self._gone, self._sent)

    async def _handle(self, request: Request) -> Answer:
        arrival = f"{self.name}-{next(self._ids)}"
        self._open[id(request)] = (arrival, self.monotonic(), False)
        value: dict[str, Any] = {"method": request.method, "path": request.path, "connection": request.connection}
        if "?" in request.target:
            value["query"] = request.target.partition("?")[2]
        for header, name in (("x-request-id", "request_id"), ("idempotency-key", "idempotency_key")):
            if header in request.headers:
                value[name] = request.headers[header]
        if request.headers.get("x-attempt", "").isdigit():
            value["attempt"] = int(request.headers["x-attempt"])
        if request.path == "/health":
            value["probe"] = True
        self.record(self.name, "invoke", "arrival", value, arrival)
        fault = self.misbehaviour
        if fault is not None and fault.matches(request.path):
            self.hurt += 1
            self._open[id(request)] = (*self._open[id(request)][:2], True)
            return await fault.answer(lambda: self._answer(request), request)
        answer = self._answer(request)
        answer.delay_s = self.latency_s if request.path != "/health" else 0.0
        return answer

    def _answer(self, request: Request) -> Answer:
        if request.path == "/health":
            return _json(200, {"status": "ok"})
        parts = [urllib.parse.unquote(part) for part in request.path.strip("/").split("/")]
        if self.name == "ticker" and request.method == "GET" and len(parts) == 2 and parts[0] == "candles":
            return self._candles(request, parts[1])
        if self.name == "user" and request.method == "GET" and len(parts) == 3 and parts[0] == "users":
            active = parts[1] not in self.inactive_users
            symbols = list(LIMITED.get(parts[1], ("*",)))
            return _json(200, {"user": parts[1], "plan": "pro", "active": active, "symbols": symbols})
        wanted = {"alert": "/alerts", "comms": "/messages"}.get(self.name)
        if request.method == "POST" and request.path == wanted:
            return self._effect(request)
        return _json(404, {"error": "no such resource"})

    def _candles(self, request: Request, symbol: str) -> Answer:
        query = dict(urllib.parse.parse_qsl(request.target.partition("?")[2]))
        timeframe, limit = query.get("timeframe", "1m"), query.get("limit", "200")
        if timeframe not in TIMEFRAME_S or not limit.isdigit() or not 1 <= int(limit) <= 5000:
            return _json(400, {"error": "timeframe or limit is out of range"})
        bars = self.market.candles(symbol, timeframe, int(limit), self.wall())
        if bars is None:
            return _json(404, {"error": "unknown symbol"})
        return _json(200, {"symbol": symbol, "timeframe": timeframe, "candles": bars})

    def _effect(self, request: Request) -> Answer:
        key = request.headers.get("idempotency-key", "")
        if not key:
            return _json(400, {"error": "Idempotency-Key is missing"})
        status = 201 if self.name == "alert" else 202
        if key not in self.effects:
            self.effects[key] = request.body
        elif self.effects[key] != request.body:
            return _json(422, {"error": "Idempotency-Key was used with another body"})
        return _json(status, {"id": f"{self.name}-{key}"})

    def _close(self, request: Request) -> tuple[str, float, bool]:
        arrival, began, hurt = self._open.pop(id(request))
        return arrival, round(self.monotonic() - began, 6), hurt

    def _sent(self, request: Request, answer: Answer) -> None:
        arrival, duration_s, hurt = self._close(request)
        value: dict[str, Any] = {"status": answer.status, "duration_s": duration_s}
        if hurt:
            value["altered"] = True
        self.record(self.name, "ok", "arrival", value, arrival)

    def _gone(self, request: Request, error: BaseException) -> None:
        arrival, duration_s, _ = self._close(request)
        self.record(self.name, "indeterminate", "arrival", {"error": str(error), "duration_s": duration_s}, arrival)


def _json(status: int, value: object) -> Answer:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Answer(status, body, (("Content-Type", "application/json"),))


def _control(fakes: Mapping[str, FakeDownstream]) -> HttpServer:
    """``PUT /name`` sets a misbehaviour (``null`` heals) and answers how often the last one hurt; ``GET`` reads."""

    async def handle(request: Request) -> Answer:
        fake = fakes.get(request.path.strip("/"))
        if fake is None:
            return _json(404, {"error": f"no fake downstream {request.path!r}, allowed: {', '.join(fakes)}"})
        hurt = fake.hurt
        if request.method == "PUT":
            data = json.loads(request.body)
            fake.misbehaviour = None if data is None else Misbehaviour.from_json(data)
            fake.hurt = 0
        return _json(200, {"hurt": hurt, "effects": len(fake.effects)})

    return HttpServer(handle)


async def serve(spec: Mapping[str, Any], write: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT.

    ``spec``: ``ports`` {name: port}, ``only`` [names], ``seed``, ``candles`` (path of a CSV), ``latency_s`` {name: s},
    ``host`` (default loopback; inside a container, ``0.0.0.0``). The control port stays on loopback.
    """
    market: Market = CsvMarket.load(Path(spec["candles"])) if spec.get("candles") else SeededMarket(spec.get("seed", 0))

    def record(process: str, type: EventType, f: str, value: Mapping[str, Any], id: str) -> None:  # noqa: A002
        event = {"mono_s": time.monotonic(), "process": process, "type": type, "f": f, "value": value, "id": id}
        write(json.dumps(event, separators=(",", ":")))

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    latency_s = spec.get("latency_s", {})
    fakes = {n: FakeDownstream(n, record, market, latency_s=latency_s.get(n, 0.0)) for n in spec.get("only", NAMES)}
    servers = {name: fake.server() for name, fake in fakes.items()}
    wanted = spec.get("ports", {})
    host = spec.get("host", "127.0.0.1")
    ports = {name: await server.start(host, wanted.get(name, 0)) for name, server in servers.items()}
    control = _control(fakes)
    ports["control"] = await control.start(port=wanted.get("control", 0))
    write(json.dumps({"ports": ports}))
    await stop.wait()
    for server in (*servers.values(), control):
        await server.stop()


def main() -> None:
    """Entry point of the fake downstreams' process."""
    spec = json.loads(sys.argv[sys.argv.index("--spec") + 1])
    # SIGINT at a terminal reaches the whole group; the owner stops us, in order, by SIGTERM.
    if spec.get("ignore_sigint"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def write(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    asyncio.run(serve(spec, write))


if __name__ == "__main__":
    main()
