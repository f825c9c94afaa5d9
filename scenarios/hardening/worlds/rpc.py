"""Requests and answers as JSON objects, one a line, over a unix socket in a run directory.

In: a socket's path and requests. Out: the answers. A server refuses by ``{"error": TEXT, "kind": WORD}``, which is a
``RefusedError`` here; a process that has ended is a ``GoneError``. What a server holds for a caller lasts as long as
the connection: a caller that dies, however it dies, closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

ANSWER_S_MAX = 60.0


class RefusedError(RuntimeError):
    """The server refused or failed; the message is its own.

    ``kind``: ``usage``, ``unsupported`` (the world has not what the fault acts on), ``heal`` or ``world``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class GoneError(ConnectionError):
    """The server's process has ended; another one may be started in its place."""


def encode(value: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(value).encode() + b"\n"


def refusal(error: BaseException) -> dict[str, Any]:
    """The answer for an error that nobody expected."""
    return {"error": f"{type(error).__name__}: {error}", "kind": "world"}


class Caller:
    """One connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Connect.

        Raises:
            GoneError: when its process has ended.
            OSError: when there never was a server.
        """
        try:
            return cls(*await asyncio.open_unix_connection(path))
        except ConnectionRefusedError as error:
            raise GoneError(str(error)) from error

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request, or anything further that the server waits for."""
        self._writer.write(encode(request))

    async def receive(self) -> dict[str, Any]:
        """The next answer.

        Raises:
            RefusedError: with what the server said.
            GoneError: when it has ended, or answers no more.
        """
        line = await self._reader.readline()
        if not line:
            raise GoneError("the process at the other end has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RefusedError(answer["kind"], answer["error"])
        return answer

    async def ask(self, do: str, what: str = "", **given: Any) -> dict[str, Any]:
        """One question and its answer; raises as ``receive`` does, and TimeoutError."""
        async with self._turn, asyncio.timeout(ANSWER_S_MAX):
            self.send({"do": do, "what": what, "with": given})
            await self._writer.drain()
            return await self.receive()

    async def close(self) -> None:
        """Close it, and with it end what it holds."""
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
