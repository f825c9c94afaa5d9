# mypy: disable-error-code="override"
"""The loop of a run: core's virtual time, and look-ups, connections and listeners over the simulated network.

The arguments are asyncio's; what the network does not carry (TLS, datagrams) raises ``RuleBrokenError``.
"""

from __future__ import annotations

import contextvars
import socket
from collections.abc import Callable
from typing import Any, cast

from hardening.simulator.core.loop import VirtualLoop
from hardening.simulator.net.network import Network, network_of
from hardening.simulator.net.server import SimServer
from hardening.simulator.net.sockets import SimSocket, connected


class SimLoop(VirtualLoop):
    """The loop of a run: virtual time, and connections over the simulated network."""

    @property
    def network(self) -> Network:
        """The network of the run, made at first use."""
        return network_of(self)

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's own name
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[int, int, int, str, tuple[Any, ...]]]:
        """Addresses of a simulated machine: one, IPv4.

        Raises:
            socket.gaierror: when there is no such machine.
        """
        network = self.network
        await network.look_up(host.decode() if isinstance(host, bytes) else host)
        return self.addresses(host, port, type, proto)

    def addresses(
        self,
        host: Any,
        port: Any,
        type: int = 0,  # noqa: A002 - asyncio's own name
        proto: int = 0,
    ) -> list[tuple[int, int, int, str, tuple[Any, ...]]]:
        """The same at once, as a blocking look-up gives it.

        Raises:
            socket.gaierror: when there is no such machine.
        """
        network = self.network
        address = network.address(network.resolve(host.decode() if isinstance(host, bytes) else host))
        kind = type or socket.SOCK_STREAM
        return [(socket.AF_INET, kind, proto or socket.IPPROTO_TCP, "", (address, int(port or 0)))]

    async def create_connection(
        self, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        """Connect to a simulated machine.

        Raises:
            OSError: refused, reset or timed out.
            RuleBrokenError: for TLS, or a socket of one's own.
        """
        sock = options.get("sock")
        if isinstance(sock, SimSocket):
            del options["sock"]
            if sock.state.end is not None:
                return await self._adopt(sock, protocol_factory)
            host, port = sock.state.target
        self._no_more_than_tcp(options)
        return await self.network.connect(protocol_factory, host, port)

    async def _adopt(self, sock: SimSocket, protocol_factory: Callable[[], Any]) -> Any:
        """Give the connection of a socket to a protocol."""
        end: Any = sock.state.end
        end.context = contextvars.copy_context()
        return await self.network.hand_over(end, protocol_factory)

    async def connect_accepted_socket(self, protocol_factory: Callable[[], Any], sock: Any, **options: Any) -> Any:
        """Give a connection that a socket accepted to a protocol."""
        self._no_more_than_tcp(options)
        return await self._adopt(sock, protocol_factory)

    async def create_server(
        self, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **options: Any
    ) -> SimServer:
        """Listen on the machine that runs the caller.

        Raises:
            OSError: when the port is taken.
            RuleBrokenError: for TLS, or a real socket.
        """
        sock = options.pop("sock", None)
        if isinstance(sock, SimSocket):
            if sock.state.listener is not None:
                server: Any = sock.state.listener
                server.serve(protocol_factory)
                return server  # type: ignore[no-any-return]
            host, port = sock.getsockname()[:2]
        elif sock is not None:
            options["sock"] = sock
        self._no_more_than_tcp(options)
        name = host[0] if isinstance(host, list | tuple) and host else host
        begin = options.get("start_serving", True)
        return self.network.listen(protocol_factory, name, port, sock, begin=begin)

    # --- sockets ---------------------------------------------------------------------------------------------

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Connect a socket."""
        sock.attach(await self.network.connect_raw(address))

    async def sock_accept(self, sock: Any) -> tuple[SimSocket, Any]:
        """The next connection of a listening socket."""
        listener = sock.state.listener
        await listener.somebody()
        end = listener.take()
        return connected(end), end.peer

    async def sock_recv(self, sock: Any, n: int) -> bytes:
        """Bytes that have come; empty at the end of the stream."""
        end = sock.state.end
        while not end.is_readable:
            await self._change_of(end)
        return cast(bytes, end.take(n))

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """The same into a buffer."""
        data = await self.sock_recv(sock, len(buf))
        memoryview(buf).cast("B")[: len(data)] = data
        return len(data)

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """Send all of the bytes."""
        end, rest = sock.state.end, bytes(data)
        while rest:
            while not end.room and not end.is_lost:
                await self._change_of(end)
            rest = rest[end.put(rest[: end.room or len(rest)]) :]

    async def _change_of(self, end: Any) -> None:
        future = self.create_future()
        end.waiters.append(future)
        await future

    async def create_unix_connection(
        self, protocol_factory: Callable[[], Any], path: Any = None, **options: Any
    ) -> Any:
        """Connect to a path of one's own machine."""
        self._no_more_than_tcp(options)
        return await self.network.connect(protocol_factory, None, str(path))

    async def create_unix_server(
        self, protocol_factory: Callable[[], Any], path: Any = None, **options: Any
    ) -> SimServer:
        """Listen on a path of one's own machine."""
        self._no_more_than_tcp(options)
        return self.network.listen(protocol_factory, None, str(path))

    def _no_more_than_tcp(self, options: dict[str, Any]) -> None:
        if options.get("ssl"):
            self._refuse("TLS")
        if options.get("sock") is not None:
            self._refuse("a socket of one's own")
