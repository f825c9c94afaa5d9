# mypy: disable-error-code="override"
"""The loop of a run: core's virtual time, and look-ups, connections and listeners over the simulated network.

The arguments are asyncio's; what the network does not carry (TLS, datagrams) raises ``RuleBrokenError``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from hardening.simulator.core.loop import VirtualLoop
from hardening.simulator.net.network import network_of
from hardening.simulator.net.server import SimServer
from hardening.simulator.net.sockets import SimSocket


class SimLoop(VirtualLoop):
    """The loop of a run: virtual time, and connections over the simulated network."""

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
        network = network_of(self)
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
        network = network_of(self)
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
        if isinstance(options.get("sock"), SimSocket):
            host, port = options.pop("sock").target
        self._no_more_than_tcp(options)
        return await network_of(self).connect(protocol_factory, host, port)

    async def create_server(
        self, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **options: Any
    ) -> SimServer:
        """Listen on the machine that runs the caller.

        Raises:
            OSError: when the port is taken.
            RuleBrokenError: for TLS, or a socket of one's own.
        """
        bound = options.pop("sock", None)
        if isinstance(bound, SimSocket):
            host, port = bound.getsockname()[:2]
        elif bound is not None:
            options["sock"] = bound
        self._no_more_than_tcp(options)
        name = host[0] if isinstance(host, list | tuple) and host else host
        return network_of(self).listen(protocol_factory, name, port)

    async def create_unix_connection(
        self, protocol_factory: Callable[[], Any], path: Any = None, **options: Any
    ) -> Any:
        """Connect to a path of one's own machine."""
        self._no_more_than_tcp(options)
        return await network_of(self).connect(protocol_factory, None, str(path))

    async def create_unix_server(
        self, protocol_factory: Callable[[], Any], path: Any = None, **options: Any
    ) -> SimServer:
        """Listen on a path of one's own machine."""
        self._no_more_than_tcp(options)
        return network_of(self).listen(protocol_factory, None, str(path))

    def _no_more_than_tcp(self, options: dict[str, Any]) -> None:
        if options.get("ssl"):
            self._refuse("TLS")
        if options.get("sock") is not None:
            self._refuse("a socket of one's own")
