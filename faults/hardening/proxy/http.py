"""A small HTTP/1 server for the control API: h11 reads and writes the protocol, asyncio the bytes.

In: an application that answers requests; out: a listening server. A request that breaks the protocol is answered and
its connection closed. Limits: heads (bytes), bodies (bytes), silence between requests and the time from the first
byte of a request to its last (seconds).
"""

from __future__ import annotations

import asyncio
import logging
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol

import h11

from hardening.proxy.api import Answer, Request

HEAD_BYTES_MAX = 256 * 1024
BODY_BYTES_MAX = 4 * 1024 * 1024
IDLE_S = 60.0
REQUEST_S = 15.0
LINGER_S = 0.5
READ_BYTES = 65536

_log = logging.getLogger(__name__)


class Application(Protocol):
    """What the server serves."""

    def refusal(self, request: Request) -> Answer | None:
        """The answer to a head alone, before its body is asked for; None when the body is wanted."""

    async def answer(self, request: Request) -> Answer:
        """The answer to a whole request."""


class _RefusedError(Exception):
    """A request that is answered before it was read to its end; the connection is closed behind it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def _plain(status: int) -> Answer:
    said = f"{status} {_phrase(status)}"
    return Answer(status, said.encode(), "text/plain; charset=utf-8")


def _phrase(status: int) -> str:
    return {413: "Content Too Large"}.get(status) or HTTPStatus(status).phrase


class ControlServer:
    """Serves ``application`` on a listening address. Connections are kept alive, and dropped by ``close``."""

    def __init__(self, application: Application, *, idle_s: float = IDLE_S, request_s: float = REQUEST_S) -> None:
        self._application = application
        self._idle_s = idle_s
        self._request_s = request_s
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
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (OSError, h11.LocalProtocolError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request and its answer; False when the connection is done."""
        try:
            request = await self._read(connection, reader, writer)
        except h11.RemoteProtocolError as error:
            await _refuse(connection, reader, writer, _plain(error.error_status_hint))
            return False
        except _RefusedError as refused:
            await _refuse(connection, reader, writer, refused.answer)
            return False
        if request is None:
            return False
        try:
            answer = await self._application.answer(request)
        except Exception:  # noqa: BLE001 - one bad request must not end the control plane; it is logged and answered
            _log.exception("control request failed: %s %s", request.method, request.target)
            answer = Answer(500, b'{"error":"internal error","status":500}')
        await _write(connection, writer, answer, request.method)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _read(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Request | None:
        """The next request with its body; None at the end of the stream."""
        request: Request | None = None
        body = bytearray()
        now = asyncio.get_running_loop().time
        deadline = now() + (self._request_s if connection.trailing_data[0] else self._idle_s)
        is_begun = False
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if request is not None and connection.they_are_waiting_for_100_continue:
                    refusal = self._application.refusal(request)
                    if refusal is not None:
                        raise _RefusedError(refusal)
                    go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                    writer.write(connection.send(go_on) or b"")
                try:
                    async with asyncio.timeout_at(deadline):
                        connection.receive_data(await reader.read(READ_BYTES))
                except TimeoutError:
                    if is_begun:
                        raise _RefusedError(_plain(408)) from None
                    return None
                if not is_begun:
                    is_begun, deadline = True, now() + self._request_s
            elif isinstance(event, h11.Request):
                request = _head(event)
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > BODY_BYTES_MAX:
                    raise _RefusedError(_plain(413))
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return Request(request.method, request.target, request.headers, bytes(body))
            else:
                return None


def _head(event: h11.Request) -> Request:
    """The head of a request, its body still to come; raises _RefusedError for what HTTP/1 does not know."""
    if not event.http_version.startswith(b"1."):
        raise _RefusedError(_plain(505))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
    if headers.get("expect", "100-continue").lower() != "100-continue":
        raise _RefusedError(_plain(417))
    return Request(event.method.decode("ascii"), event.target.decode("latin-1"), headers, b"")


async def _refuse(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer
) -> None:
    """Answer, end our side, and let the client read it before the rest of its request makes the kernel reset."""
    closing = Answer(answer.status, answer.body, answer.content_type, {**answer.headers, "connection": "close"})
    await _write(connection, writer, closing, "")
    writer.write_eof()
    try:
        async with asyncio.timeout(LINGER_S):
            while await reader.read(READ_BYTES):
                pass
    except TimeoutError:
        return


async def _write(connection: h11.Connection, writer: asyncio.StreamWriter, answer: Answer, method: str) -> None:
    if connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return
    headers = [*answer.headers.items(), ("date", formatdate(usegmt=True))]
    if answer.status != 204:
        headers.append(("content-length", str(len(answer.body))))
        if answer.content_type:
            headers.append(("content-type", answer.content_type))
    is_old = connection.their_http_version == b"1.0"
    head = h11.Response(status_code=answer.status, headers=headers, reason=_phrase(answer.status))
    data = connection.send(head) or b""
    if is_old:
        data = b"HTTP/1.0" + data[8:]
    if answer.body and answer.status != 204 and method != "HEAD":
        data += connection.send(h11.Data(data=answer.body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    writer.write(data)
    await writer.drain()
