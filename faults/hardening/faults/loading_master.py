"""A replication master that sends a data set without end, so that its replica stays in the state LOADING.

It speaks just enough of the replication protocol: PING, REPLCONF, PSYNC, then an RDB made of auxiliary fields
(which a loader reads and forgets), dripped so that the replica keeps answering its other clients in between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import ClassVar

_DRIP_S = 0.02
_HEAD = b"+FULLRESYNC " + b"a" * 40 + b" 0\r\n$EOF:" + b"e" * 40 + b"\r\nREDIS0011"
_AUX_VALUE_BYTES = 16383
# Opcode 0xFA, a name of one byte, a value whose length stands in 14 bits.
_AUX = b"\xfa\x01a\x7f\xff" + b"v" * _AUX_VALUE_BYTES


class LoadingMaster:
    """Listens on loopback; ``stop`` breaks the transfer, and the replica falls back to its own data."""

    SETTINGS: ClassVar[Mapping[str, str]] = {
        "repl-diskless-load": "swapdb",
        # The server serves others only once in so many bytes; the default of 2 MB would freeze it instead.
        "loading-process-events-interval-bytes": "1024",
    }

    USUAL_SETTINGS: ClassVar[Mapping[str, str]] = {
        "repl-diskless-load": "disabled",
        "loading-process-events-interval-bytes": "2097152",
    }

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Drop every connection and stop listening."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._speak(reader, writer)
        except (OSError, EOFError, ValueError, asyncio.CancelledError):
            # The replica broke off, or we are stopping: either way the transfer is over.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            words = await _command(reader)
            if words[0].upper() == b"PSYNC":
                break
            writer.write(b"+PONG\r\n" if words[0].upper() == b"PING" else b"+OK\r\n")
        writer.write(_HEAD)
        while True:
            writer.write(_AUX)
            await writer.drain()
            await asyncio.sleep(_DRIP_S)


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    """The words of one RESP command; raises EOFError when the peer is gone."""
    count = int((await reader.readuntil(b"\r\n"))[1:])
    words = []
    for _ in range(count):
        size = int((await reader.readuntil(b"\r\n"))[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words
