"""A small HTTP/1.1 server for the control API: h11 reads and writes the protocol, asyncio the bytes.

In: a function from request to answer; out: a listening server. Requests that break the protocol are answered and
their connection is closed; bodies (4 MiB), idle connections and half-sent requests (seconds) have limits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import h11

from hardening.proxy.api import Answer, Request

BODY_BYTES_MAX = 4 * 1024 * 1024
IDLE_S = 60.0
READ_BYTES = 65536

Answering = Callable[[Request], Awaitable[Answer]]
_log = logging.getLogger(__name__)


class ControlServer:
    """Serves ``answer`` on a listening address. Connections are kept alive, and dropped by ``close``."""

    def __init__(self, answer: Answering) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; returns the real host and port.

        Raises:
            OSError: when the address cannot be bound.
        """
        self._server = await asyncio.start_server(self._serve, host, port, limit=READ_BYTES, backlog=1024)
        bound = self._server.sockets[0].getsockname()
        return str(bound[0]), int(bound[1])

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        # Let the connections' tasks see it, so that none is left behind.
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (ConnectionError, TimeoutError, h11.LocalProtocolError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request and its answer; False when the connection is done."""
        try:
            request = await _read(connection, reader, writer)
        except h11.RemoteProtocolError as error:
            await _write(connection, writer, Answer(error.error_status_hint, b"400 Bad Request\n", "text/plain"))
            return False
        if request is None:
            return False
        try:
            answer = await self._answer(request)
        except Exception:  # noqa: BLE001 - one bad request must not end the control plane; it is logged and answered
            _log.exception("control request failed: %s %s", request.method, request.target)
            answer = Answer(500, b'{"error":"internal error","status":500}')
        await _write(connection, writer, answer)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE


async def _read(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """The next request with its body; None at the end of the stream."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                writer.write(connection.send(go_on) or b"")
            async with asyncio.timeout(IDLE_S):
                connection.receive_data(await reader.read(READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                raise h11.RemoteProtocolError("body too large", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
            return Request(head.method.decode("ascii"), head.target.decode("latin-1"), headers, bytes(body))
        else:
            return None


async def _write(connection: h11.Connection, writer: asyncio.StreamWriter, answer: Answer) -> None:
    if connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return
    headers = [(name, value) for name, value in answer.headers.items()]
    if answer.status != 204:
        headers.append(("content-length", str(len(answer.body))))
        if answer.content_type:
            headers.append(("content-type", answer.content_type))
    data = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    if answer.body and answer.status != 204:
        data += connection.send(h11.Data(data=answer.body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    writer.write(data)
    await writer.drain()
