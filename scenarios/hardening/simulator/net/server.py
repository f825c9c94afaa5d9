"""A listener of the simulated network, with the backlog of a machine that has no descriptors left."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import os
import sys
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
        self,
        network: NetworkView,
        factory: Callable[[], Any] | None,
        host: Host,
        bound: tuple[str, Any],
        sock: SimSocket | None = None,
    ) -> None:
        self._network = network
        self._factory = factory
        self.host = host
        self.port = bound[1]
        self.context = contextvars.copy_context()
        self._sock = sock or SimSocket(bound)
        self._sock.state.listener = self
        self._takers: list[asyncio.Future[None]] = []
        self._is_open = True
        self.is_held = True
        self._order: list[SimTransport] = []
        self._backlog: list[SimTransport] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._forever: asyncio.Future[None] | None = None

    @property
    def sockets(self) -> tuple[SimSocket, ...]:
        """One socket while it listens."""
        return (self._sock,) if self._is_open else ()

    def get_loop(self) -> VirtualLoop:
        """The simulated loop."""
        return self._network.loop

    def is_serving(self) -> bool:
        """Whether it listens."""
        return self._is_open and not self.is_held

    def begin(self) -> None:
        """Listen from now on."""
        if self._is_open and self.is_held:
            self.is_held = False
            self._network.enlist(self)

    async def start_serving(self) -> None:
        """Listen; only a server made with ``start_serving=False`` does not yet."""
        self.begin()
        await asyncio.sleep(0)

    async def serve_forever(self) -> None:
        """Until cancelled or closed."""
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        if not self._is_open:
            raise RuntimeError(f"server {self!r} is closed")
        self.begin()
        self._forever = self._network.loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    def accept(self, transport: SimTransport) -> None:
        """A client has come; a machine without descriptors, or a socket, leaves it in the backlog."""
        if self._factory is None:
            transport.is_raw = True
            self._backlog.append(transport)
            self._wake_takers()
            return
        if self.host.descriptors_left is not None and self.host.descriptors_left <= 0:
            transport.pause_reading()
            self._backlog.append(transport)
            return
        self._accept(transport)

    @property
    def waiting(self) -> int:
        """Connections that nobody could accept yet."""
        return sum(not transport.is_lost for transport in self._backlog)

    def serve(self, factory: Callable[[], Any]) -> None:
        """From now on connections go to protocols: those in the backlog too."""
        self._factory, self.context = factory, contextvars.copy_context()
        for transport in self._take_backlog():
            transport.is_raw = False
            if not transport.is_lost:
                self._accept(transport)

    def take(self) -> SimTransport:
        """The connection that waits longest, for a socket's ``accept``.

        Raises:
            BlockingIOError: when none waits.
        """
        while self._backlog:
            transport = self._backlog.pop(0)
            if not transport.is_lost:
                return transport
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    async def somebody(self) -> None:
        """Until a connection waits, or the listener is closed."""
        while self._is_open and not self.waiting:
            future = self._network.loop.create_future()
            self._takers.append(future)
            await future

    def _wake_takers(self) -> None:
        takers, self._takers = self._takers, []
        for future in takers:
            if not future.done():
                future.set_result(None)

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
        factory = self._factory
        assert factory is not None
        protocol = self.context.run(factory)
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
                transport.reset()
            self._sock.gone()
            self._wake_takers()
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
        """Until it is closed and every connection has ended; before Python 3.12 a closed one is not waited for."""
        if not self._is_open and (not self._order or sys.version_info < (3, 12)):
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
