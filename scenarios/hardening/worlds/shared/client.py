"""The clients of the world: each operation on a connection of its own, each recorded as it went out and came back.

A connection per request keeps the observation clean: a disconnect is a disconnect, a refused connection is a
definite failure, and nothing one request does can hurt another's connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import h11

from hardening.history.events import EventType, Recorder
from hardening.history.workload import Operation, Workload

SIGNALS, BATCH = "/v2/signals/", "/v2/signals/batch"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One API key of the world: the key itself and the user it belongs to, who may see ``symbols`` (None: all)."""

    key: str
    user: str
    priority: str = "normal"
    symbols: frozenset[str] | None = None

    def allows(self, operation: Operation) -> bool:
        """Whether its owner may see all that is asked for."""
        return self.symbols is None or (bool(self.symbols) and symbols_of(operation) <= self.symbols)


def symbols_of(operation: Operation) -> frozenset[str]:
    """The symbols that it asks for, as far as it says so in the way it should."""
    path = operation.path.partition("?")[0]
    body = operation.body if isinstance(operation.body, Mapping) else {}
    several = body.get("symbols", ())
    named = [path.removeprefix(SIGNALS)] if path.startswith(SIGNALS) and path != BATCH else []
    named += [body["symbol"]] if "symbol" in body else []
    named += several if isinstance(several, list | tuple) else []
    return frozenset(str(symbol) for symbol in named)


class ConnectionBrokenError(ConnectionError):
    """The peer broke the connection before its answer was complete."""


@dataclass(slots=True)
class Client:
    """Sends operations to one address and records them.

    ``now`` gives seconds since the run began. Answers' bodies go to the history as log lines (surface
    ``response``), so that the judge can look for secrets in them. ``tls`` is spoken where it is given.
    """

    address: Callable[[], tuple[str, int]]
    recorder: Recorder
    now: Callable[[], float]
    keys: Mapping[str, Credentials]
    prefix: str = "c"
    keep_bodies: bool = True
    tls: ssl.SSLContext | None = None
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _tasks: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def steady(self) -> SteadyClient:
        """Another client of the same world, on a connection that it keeps."""
        return SteadyClient(
            self.address,
            self.recorder,
            self.now,
            self.keys,
            self.prefix,
            keep_bodies=False,
            tls=self.tls,
            _ids=self._ids,
        )

    async def run(self, workload: Workload, stopped: asyncio.Event | None = None) -> None:
        """Start every operation at its time (open arrivals) and wait until all have ended.

        Once ``stopped`` is set nothing more is started; what is under way still ends by itself.
        """
        began = self.now()
        async with asyncio.TaskGroup() as group:
            for operation in workload.operations:
                wait_s = began + operation.at_s - self.now()
                if wait_s > 0:
                    await _sleep(wait_s, stopped)
                if stopped is not None and stopped.is_set():
                    return
                group.create_task(self.send(operation), name=f"client-{next(self._tasks)}")

    async def send(self, operation: Operation) -> tuple[int, dict[str, str], bytes] | None:
        """Send one operation and record it; the answer, or ``None`` when there was none."""
        request_id = f"{self.prefix}{next(self._ids)}"
        body = b"" if operation.body is None else _encode(operation.body)
        credentials = self.keys.get(operation.key)
        self._record("invoke", self._invocation(operation, credentials, body), request_id)
        began = self.now()
        waits = [operation.timeout_s, *([operation.disconnect_after_s] if operation.disconnect_after_s else [])]
        connected = [False]
        try:
            async with asyncio.timeout(min(waits)):
                answer = await self._exchange(operation, credentials, body, request_id, connected)
        except TimeoutError:
            gone = operation.disconnect_after_s is not None and operation.disconnect_after_s < operation.timeout_s
            self._failed("indeterminate", "disconnected" if gone else "timeout", began, request_id)
        except asyncio.CancelledError:
            # The simulator cancelled the client: for the service that is a client that hangs up.
            self._failed("indeterminate" if connected[0] else "fail", "disconnected", began, request_id)
            raise
        except OSError as error:
            kind: EventType = "indeterminate" if connected[0] else "fail"
            self._failed(kind, f"{type(error).__name__}: {error}", began, request_id)
        except h11.RemoteProtocolError as error:
            self._failed("indeterminate", f"broken answer: {error}", began, request_id)
        else:
            self._answered(answer, began, request_id)
            return answer
        return None

    def _invocation(self, operation: Operation, credentials: Credentials | None, body: bytes) -> dict[str, Any]:
        value: dict[str, Any] = {
            "method": operation.method,
            "path": operation.path,
            "operation": operation.operation,
            "user": credentials.user if credentials else "",
            "priority": operation.priority,
            "critical": operation.priority == "critical",
            "key": operation.sends,
        }
        if credentials is not None and not credentials.allows(operation):
            value["entitled"] = False
        if body:
            value |= {"body_digest": hashlib.sha256(body).hexdigest(), "body_bytes": len(body)}
        if "Idempotency-Key" in operation.headers:
            value["idempotency_key"] = operation.headers["Idempotency-Key"]
        return value

    def _record(self, kind: EventType, value: Mapping[str, Any], request_id: str) -> None:
        self.recorder.add(self.now(), "client", kind, "request", value, request_id)

    def _failed(self, kind: EventType, error: str, began: float, request_id: str) -> None:
        self._record(kind, {"error": error, "latency_s": round(self.now() - began, 6)}, request_id)

    def _answered(self, answer: tuple[int, dict[str, str], bytes], began: float, request_id: str) -> None:
        status, headers, body = answer
        value: dict[str, Any] = {"status": status, "latency_s": round(self.now() - began, 6)}
        if headers.get("retry-after", "").isdigit():
            value["retry_after_s"] = float(headers["retry-after"])
        if "x-config-generation" in headers:
            value["generation"] = headers["x-config-generation"]
        with contextlib.suppress(ValueError):
            data = json.loads(body)
            if isinstance(data, dict):
                value |= _known_fields(data)
        self._record("ok", value, request_id)
        if self.keep_bodies:
            text = body.decode("utf-8", "replace")
            line = {"surface": "response", "text": "\n".join([*(f"{k}: {v}" for k, v in headers.items()), text])}
            self.recorder.add(self.now(), "client", "log", "line", line, request_id)

    async def _exchange(
        self,
        operation: Operation,
        credentials: Credentials | None,
        body: bytes,
        request_id: str,
        connected: list[bool],
    ) -> tuple[int, dict[str, str], bytes]:
        host, port = self.address()
        reader, writer = await asyncio.open_connection(host, port, ssl=self.tls)
        connected[0] = True
        try:
            connection = h11.Connection(h11.CLIENT)
            writer.write(_request(connection, operation, credentials, body, (host, port), request_id))
            await writer.drain()
            return await _receive(connection, reader)
        except BaseException:
            _hang_up(writer)
            raise
        finally:
            writer.close()


@dataclass(slots=True)
class SteadyClient(Client):
    """Sends one operation after the other on a connection that it keeps: for thousands of them.

    What comes back is not kept, only what the record needs of it.
    """

    _held: tuple[h11.Connection, asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def _exchange(
        self,
        operation: Operation,
        credentials: Credentials | None,
        body: bytes,
        request_id: str,
        connected: list[bool],
    ) -> tuple[int, dict[str, str], bytes]:
        address = self.address()
        connection, reader, writer = self._held or (
            h11.Connection(h11.CLIENT),
            *await asyncio.open_connection(*address, ssl=self.tls),
        )
        self._held, connected[0] = None, True
        try:
            writer.write(_request(connection, operation, credentials, body, address, request_id, keep=True))
            await writer.drain()
            answer = await _receive(connection, reader)
            if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
                connection.start_next_cycle()
                self._held = (connection, reader, writer)
            return answer
        finally:
            if self._held is None:
                writer.close()

    def close(self) -> None:
        """Let go of the connection."""
        if self._held is not None:
            self._held[2].close()
            self._held = None


def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Reset the connection: a bare end of the stream might also be a client that still waits for its answer."""
    reset = getattr(writer.transport, "reset", None)  # the simulated network's own
    if reset is not None:
        reset()
    elif (sock := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _request(
    connection: h11.Connection,
    operation: Operation,
    credentials: Credentials | None,
    body: bytes,
    address: tuple[str, int],
    request_id: str,
    *,
    keep: bool = False,
) -> bytes:
    """The whole request as it goes onto the wire."""
    headers = {"Host": f"{address[0]}:{address[1]}", "X-Request-Id": request_id}
    if not keep:
        headers["Connection"] = "close"
    if credentials is not None:
        headers["X-API-Key"] = credentials.key
    if body:
        headers["Content-Type"] = "application/json"
        if "Transfer-Encoding" not in operation.headers:
            headers["Content-Length"] = str(len(body))
    head = h11.Request(
        method=operation.method, target=operation.path, headers=list({**headers, **operation.headers}.items())
    )
    data = (connection.send(head) or b"") + (connection.send(h11.Data(data=body)) or b"" if body else b"")
    return data + (connection.send(h11.EndOfMessage()) or b"")


async def _sleep(for_s: float, unless: asyncio.Event | None) -> None:
    if unless is None:
        await asyncio.sleep(for_s)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            await unless.wait()


def _encode(body: Any) -> bytes:
    """JSON, but text and bytes as they are, so that malformed bodies can be sent."""
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body, separators=(",", ":")).encode()


def _known_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an answer that the history has room for."""
    names = {
        "source": "source",
        "degraded": "degraded",
        "durability": "durability",
        "as_of": "as_of",
        "user": "answered_user",
        "alert_id": "delivery_id",
        "type": "problem",
        "retry_after_s": "retry_after_s",
    }
    return {there: data[here] for here, there in names.items() if data.get(here) is not None}


async def _receive(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = 0, {}, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(65536)
            if not data and status == 0:
                raise ConnectionBrokenError("the connection was closed without an answer")
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return status, headers, bytes(body)
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionBrokenError("the connection was closed in mid-answer")
