"""A fake HTTP server on a simulated machine: a reply function, the requests that came, and time that replies take.

In: an async function from ``Request`` to ``Reply`` (or a ``Reply`` for all). Out: HTTP/1.1 over the simulated network,
connections kept until a client closes. A broken request closes the connection. Times are virtual seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from hardening.simulator.net.network import Network


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What it gets."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class SimHttp:
    """An HTTP server on the machine ``host``.

    Args:
        network: where it listens.
        reply: the reply to every request, or the function that makes it.
        host: its machine.
        port: its port.
        takes_s: bounds of the time that a reply takes, drawn by the schedule.

    Attributes:
        requests: those that came, in order.
    """

    def __init__(
        self,
        network: Network,
        reply: Reply | Callable[[Request], Awaitable[Reply]] = Reply(),
        *,
        host: str = "web",
        port: int = 80,
        takes_s: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._network = network
        self._reply = reply
        self._host = host
        self._port = port
        self._takes_s = takes_s
        self.requests: list[Request] = []

    async def start(self) -> SimHttp:
        """Listen; returns itself."""
        with self._network.host(self._host):
            await asyncio.start_server(self._serve, None, self._port)
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await self._read(reader)) is not None:
                self.requests.append(request)
                reply = await self._answer(request)
                writer.write(_encoded(reply))
                await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request) -> Reply:
        loop, (low, high) = self._network.loop, self._takes_s
        if high:
            await asyncio.sleep(loop.choices.wait(f"{self._host} replies", low, high, loop.now_s, loop.timers))
        return self._reply if isinstance(self._reply, Reply) else await self._reply(request)

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def _encoded(reply: Reply) -> bytes:
    reason = HTTPStatus(reply.status).phrase
    lines = [f"HTTP/1.1 {reply.status} {reason}", f"content-length: {len(reply.body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body
