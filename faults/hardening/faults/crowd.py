"""Many badly behaved TCP connections, each on a task of its own, all closed together.

Streams of asyncio and nothing below them: so the same crowd comes to a simulated service.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Self

_CONNECT_S_MAX = 5.0
_AT_ONCE = 64
_LINGER_RESET = struct.pack("ii", 1, 0)


class Crowd:
    """Connections to one address; ``counts`` says what they did.

    Counts: ``connections_opened``, ``connections_refused`` (could not be opened), ``connections_cut`` (ended by
    the other side), ``longest_lived_ms`` (of one connection, until either side ended it), ``bytes_dripped``,
    ``disconnects`` (left by us in mid-answer).
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.counts: Counter[str] = Counter()
        self.address = address
        self._tasks: list[asyncio.Task[None]] = []
        self._ones: list[Crowd.One] = []
        self.gate = asyncio.Semaphore(_AT_ONCE)

    @classmethod
    async def gather(cls, address: tuple[str, int], count: int, behave: Callable[[Crowd.One], Awaitable[None]]) -> Self:
        """Open ``count`` connections, each of which then behaves; returns when each was opened or refused."""
        crowd = cls(address)
        arrived = [asyncio.Event() for _ in range(count)]
        for event in arrived:
            one = cls.One(crowd)
            crowd._ones.append(one)
            crowd._tasks.append(asyncio.create_task(crowd._live(one, behave, event), name="abusive-client"))
        try:
            await asyncio.gather(*(event.wait() for event in arrived))
        except BaseException:
            await crowd.leave()
            raise
        return crowd

    async def _live(
        self, one: Crowd.One, behave: Callable[[Crowd.One], Awaitable[None]], arrived: asyncio.Event
    ) -> None:
        clock = asyncio.get_running_loop().time
        began_s = math.inf
        try:
            await one.connect()
            began_s = clock()
            arrived.set()
            await behave(one)
        except OSError:
            self.counts["connections_cut" if arrived.is_set() else "connections_refused"] += 1
        finally:
            lived_ms = int(max(0.0, clock() - began_s) * 1000)
            self.counts["longest_lived_ms"] = max(self.counts["longest_lived_ms"], lived_ms)
            arrived.set()
            one.close()

    async def leave(self) -> None:
        """End every task and close every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for one in self._ones:
            one.close()
        await asyncio.sleep(0)  # transports close their sockets in the next round of the loop

    def left_open(self) -> int:
        """Connections still open; 0 after ``leave``."""
        return sum(one.is_open() for one in self._ones)

    class One:
        """One connection of the crowd. Its methods raise OSError when the other side ends it."""

        def __init__(self, crowd: Crowd) -> None:
            self._crowd = crowd
            self._reader: asyncio.StreamReader | None = None
            self._writer: asyncio.StreamWriter | None = None

        async def connect(self) -> None:
            """Open it; raises OSError."""
            host, port = self._crowd.address
            async with self._crowd.gate, asyncio.timeout(_CONNECT_S_MAX):
                self._reader, self._writer = await asyncio.open_connection(host, port)
            self._crowd.counts["connections_opened"] += 1

        async def reconnect(self) -> None:
            """Open another one in its place."""
            self.close()
            await self.connect()

        def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            if self._reader is None or self._writer is None:
                raise ConnectionAbortedError("the connection is closed")
            return self._reader, self._writer

        async def send(self, data: bytes) -> None:
            """Send all of it."""
            _, writer = self._open()
            writer.write(data)
            await writer.drain()

        async def drip(self, first: bytes, every_s: float) -> None:
            """Send ``first``, then a byte every ``every_s``, until the other side ends it."""
            await self.send(first)
            cut = asyncio.ensure_future(self.wait_cut())
            try:
                while True:
                    await asyncio.wait({cut}, timeout=every_s)
                    if cut.done():
                        cut.result()
                        return
                    await self.send(b"x")
                    self._crowd.counts["bytes_dripped"] += 1
            finally:
                cut.cancel()
                await asyncio.gather(cut, return_exceptions=True)

        async def end_sending(self) -> None:
            """Close the sending side only."""
            self._open()[1].write_eof()

        async def wait_cut(self) -> None:
            """Read until the other side ends it; that raises ConnectionResetError, however it was ended."""
            reader, _ = self._open()
            while await reader.read(65536):
                pass
            raise ConnectionResetError("the other side closed")

        async def leave_after(self, count: int, wait_s: float) -> None:
            """Wait for ``count`` bytes of the answer (0: for ``wait_s``), then go away with a reset."""
            reader, writer = self._open()
            got = 0
            if not count:
                await asyncio.sleep(wait_s)
            while got < count:
                data = await reader.read(count - got)
                if not data:
                    raise ConnectionResetError("the other side closed")
                got += len(data)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            self._crowd.counts["disconnects"] += 1

        def is_open(self) -> bool:
            """True until closed."""
            return self._writer is not None

        def close(self) -> None:
            """Close it, whatever was still to be sent."""
            if self._writer is not None:
                self._writer.transport.abort()
            self._reader = self._writer = None
