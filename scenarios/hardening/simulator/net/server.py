"""A listener of the simulated network, with the backlog of a machine that has no descriptors left."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

from hardening.simulator.core.hosts import Host
from hardening.simulator.core.loop import VirtualLoop
from hardening.simulator.net.network_view import NetworkView
from hardening.simulator.net.sockets import SimSocket
from hardening.simulator.net.transport import SimTransport


class SimServer(asyncio.AbstractServer):
    """A listener; what ``create_server`` returns."""

    def __init__(
        self, network: NetworkView, factory: Callable[[], Any], host: Host, bound: tuple[str, Any], port: Any
    ) -> None:
        self._network = network
        self._factory = factory
        self.host = host
        self.port = port
        self.context = contextvars.copy_context()
        self._bound = bound
        self._is_open = True
        self._order: list[SimTransport] = []
        self._backlog: list[SimTransport] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._forever: asyncio.Future[None] | None = None

    @property
    def sockets(self) -> tuple[SimSocket, ...]:
        """One socket while it listens."""
        return (SimSocket(self._bound),) if self._is_open else ()

    def get_loop(self) -> VirtualLoop:
        """The simulated loop."""
        return self._network.loop

    def is_serving(self) -> bool:
        """Whether it listens."""
        return self._is_open

    async def start_serving(self) -> None:
        """It does from the beginning."""
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        """Until cancelled or closed."""
        self._forever = self._network.loop.create_future()
        try:
            await self._forever
        finally:
            self.close()

    def accept(self, transport: SimTransport) -> None:
        """A client has come; a machine without descriptors leaves it in the backlog."""
        if self.host.descriptors_left is not None and self.host.descriptors_left <= 0:
            transport.pause_reading()
            self._backlog.append(transport)
            return
        self._accept(transport)

    @property
    def waiting(self) -> int:
        """Connections that nobody could accept yet."""
        return sum(not transport.is_lost for transport in self._backlog)

    def _take_backlog(self) -> list[SimTransport]:
        waiting, self._backlog = self._backlog, []
        return waiting

    def accept_backlog(self) -> int:
        """There are descriptors again: who waited is let in; returns how many there were."""
        waiting = self._take_backlog()
        for transport in waiting:
            if not transport.is_lost:
                self._accept(transport)
                transport.resume_reading()
        return len(waiting)

    def _accept(self, transport: SimTransport) -> None:
        protocol = self.context.run(self._factory)
        transport.protocol = protocol
        self._order.append(transport)
        transport.connection.on_over = lambda: self._done(transport)
        self._network.loop.call_soon(transport.begin, context=self.context)

    def close(self) -> None:
        """Listen no longer; connections go on."""
        if self._is_open:
            self._is_open = False
            self._network.unlisten(self)
            for transport in self._take_backlog():  # the kernel resets whom nobody accepted
                transport.abort()
            if self._forever is not None and not self._forever.done():
                self._forever.cancel()
            self._wake()

    def vanish(self) -> None:
        """The machine is gone."""
        self._is_open = False
        self._network.unlisten(self)

    def close_clients(self) -> None:
        """Close every connection."""
        for transport in list(self._order):
            transport.close()

    def abort_clients(self) -> None:
        """Reset every connection."""
        for transport in list(self._order):
            transport.abort()

    async def wait_closed(self) -> None:
        """Until it is closed and every connection has ended."""
        if not self._is_open and not self._order:
            return
        future = self._network.loop.create_future()
        self._waiters.append(future)
        await future

    def _done(self, transport: SimTransport) -> None:
        if transport in self._order:
            self._order.remove(transport)
        self._wake()

    def _wake(self) -> None:
        if not self._is_open and not self._order:
            for future in self._waiters:
                if not future.done():
                    future.set_result(None)
            self._waiters.clear()
