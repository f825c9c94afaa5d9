"""A small HTTP/1.1 server on h11 over asyncio streams, with every byte under our control.

The fake downstreams need what a web server rightly refuses: bodies that stop in the middle, that drip, that lie about
their length. It uses only ``asyncio.start_server`` and runs on any event loop, the simulated one included.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import h11

_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@dataclass(slots=True)
class Answer:
    """What to answer, and how badly.

    Attributes:
        status: status code.
        body: the whole body.
        headers: extra headers.
        delay_s: seconds before the first byte.
        drip_s: seconds between single bytes of the body (0: all at once).
        drip_head: drip the head as well.
        cut_after: send only so many bytes of the body, then drop the connection (-1: never).
        then_garbage: bytes written after a complete answer, on the same connection.
    """

    status: int = 200
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()
    delay_s: float = 0.0
    drip_s: float = 0.0
    drip_head: bool = False
    cut_after: int = -1
    then_garbage: bytes = b""


Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(slots=True)
class HttpServer:
    """Listens on one port and answers each request with what the handler says.

    ``on_gone`` is called when the caller went away before its answer was out.
    """

    handler: Handler
    on_gone: Callable[[Request, BaseException], None] = lambda _request, _error: None
    on_sent: Callable[[Request, Answer], None] = lambda _request, _answer: None
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _count: int = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the real port."""
        self._server = await asyncio.start_server(self._accept, host, port, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._count += 1
        try:
            await self._serve(reader, writer, self._count)
        except (OSError, h11.RemoteProtocolError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The caller broke off or we are stopping: there is nobody left to answer.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            request = await _read_request(connection, reader, number)
            if request is None:
                return
            sent = asyncio.ensure_future(self._answer(connection, writer, request))
            gone = asyncio.ensure_future(_wait_gone(connection, reader))
            try:
                await asyncio.wait({sent, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not sent.done():
                    self.on_gone(request, ConnectionResetError("the caller went away"))
                    return
                if not sent.result():
                    return
            finally:
                for task in (sent, gone):
                    task.cancel()
                await asyncio.gather(sent, gone, return_exceptions=True)
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _answer(self, connection: h11.Connection, writer: asyncio.StreamWriter, request: Request) -> bool:
        """Send the answer; False when the connection is to be dropped."""
        answer = await self.handler(request)
        await asyncio.sleep(answer.delay_s)
        headers = [("Content-Length", str(len(answer.body))), *answer.headers]
        head = connection.send(h11.Response(status_code=answer.status, headers=headers))
        assert head is not None
        await _write(writer, head, answer.drip_s if answer.drip_head else 0.0)
        body = answer.body if answer.cut_after < 0 else answer.body[: answer.cut_after]
        if body:
            data = connection.send(h11.Data(data=body))
            assert data is not None
            await _write(writer, data, answer.drip_s)
        if answer.cut_after >= 0:
            return False
        connection.send(h11.EndOfMessage())
        if answer.then_garbage:
            await _write(writer, answer.then_garbage, 0.0)
        self.on_sent(request, answer)
        return True


async def _write(writer: asyncio.StreamWriter, data: bytes, drip_s: float) -> None:
    if drip_s <= 0:
        writer.write(data)
        await writer.drain()
        return
    for i in range(len(data)):
        writer.write(data[i : i + 1])
        await writer.drain()
        await asyncio.sleep(drip_s)


async def _wait_gone(connection: h11.Connection, reader: asyncio.StreamReader) -> None:
    """Return when the peer closes; bytes of a pipelined next request are kept."""
    while True:
        data = await reader.read(_READ_BYTES)
        if not data:
            return
        connection.receive_data(data)


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader, number: int) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode("latin-1"), headers, bytes(body), number)
        else:
            return None
