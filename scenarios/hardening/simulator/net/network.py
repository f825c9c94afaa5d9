"""The simulated network: machines with names and addresses, listeners, connections, and everything that can go wrong.

Reached with ``network()`` inside a program. A program that says nothing runs on the machine ``local``; a server
bound to any address listens on the machine it runs on, and clients reach it by that machine's name or address.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hardening.simulator.core.hosts import Host, beside_of, current_host
from hardening.simulator.core.loop import VirtualLoop
from hardening.simulator.net.connection import Connection
from hardening.simulator.net.links import SimLink
from hardening.simulator.net.server import SimServer
from hardening.simulator.net.sockets import SimSocket
from hardening.simulator.net.transport import SimTransport
from hardening.toxics import End, seeded_draws

LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "")
CONNECT_TIMEOUT_S = 127.0
"""How long Linux tries before a connect ends in ETIMEDOUT."""


@dataclass(slots=True)
class NameFault:
    """Look-ups of one name are slow, or fail with ``error`` (an ``EAI_`` number); ``hurt`` counts them."""

    error: int | None
    delay_s: float
    hurt: int = 0


class Network:
    """The network of one run."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.latency_s = loop.bounds.latency_s
        self.connections: list[Connection] = []
        self.links: dict[str, SimLink] = {}
        self._hosts: dict[str, Host] = {Host.default.name: Host.default}
        self._addresses: dict[str, str] = {}
        self._listeners: dict[tuple[str, Any], SimServer] = {}
        self._latencies: dict[tuple[str, str], tuple[float, float]] = {}
        self._parted: set[tuple[str, str]] = set()
        self._numbers: dict[str, int] = {}
        self._ports = 49152
        self._hanging: list[tuple[set[str], asyncio.Future[None]]] = []
        self.broken_names: dict[str, NameFault] = {}
        self.draws = seeded_draws(loop.choices.entropy)

    # --- machines --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def host(self, name: str) -> Iterator[Host]:
        """Code inside, and the tasks it makes, run on the machine ``name``; after a crash it is a new life."""
        token = current_host.set(self._live(name))
        try:
            yield current_host.get()
        finally:
            current_host.reset(token)

    def _live(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None or not host.alive:
            host = self._hosts[name] = Host(name)
        return host

    def address(self, name: str) -> str:
        """The IP address of a machine, made at first use."""
        return self._addresses.setdefault(name, f"10.0.0.{len(self._addresses) + 1}")

    def resolve(self, host: str | None) -> str:
        """The machine that a name or address means.

        Raises:
            socket.gaierror: when there is no such machine.
        """
        if host is None or host in LOOPBACK:
            return current_host.get().name
        for name, address in self._addresses.items():
            if host in (name, address):
                return name
        if host in self._hosts:
            return host
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def look_up(self, host: str | None) -> str:
        """``resolve``, as slow as a broken name server makes it.

        Raises:
            socket.gaierror: when there is no such machine, or its name is broken.
        """
        fault = self.broken_names.get(host) if host is not None else None
        if fault is not None:
            fault.hurt += 1
            await asyncio.sleep(fault.delay_s)
            if fault.error is not None:
                raise socket.gaierror(fault.error, os.strerror(errno.EAGAIN))
        return self.resolve(host)

    def live_host(self, name: str) -> Host:
        """The present life of a machine."""
        return self._live(name)

    def crash(self, name: str) -> None:
        """End a machine's process: its tasks stop where they are, not even ``finally`` runs; peers get a reset."""
        host = self._hosts.get(name)
        if host is None or host is Host.default:
            raise ValueError(f"crash: machine is {name!r}, allowed: one of {sorted(set(self._hosts) - {'local'})}")
        host.alive = False
        self.loop.hosts_differ = True
        self._note("crash", name)
        for server in [s for (where, _), s in self._listeners.items() if where == name]:
            server.vanish()
        for connection in list(self.connections):
            for end in [end for end in connection.ends.values() if end.host is host and not end.is_lost]:
                connection.send(end.outward, End.RESET)
                end.vanish()
                connection.over(end)

    # --- what goes wrong between them ------------------------------------------------------------------------

    def set_latency(self, one: str, other: str, low: float, high: float) -> None:
        """Bounds of the latency of packets between two machines, seconds."""
        if not 0 <= low <= high:
            raise ValueError(f"set_latency: bounds are {low!r} and {high!r}, allowed: 0 <= low <= high")
        self._latencies[one, other] = self._latencies[other, one] = (low, high)

    def latency_between(self, one: str, other: str) -> tuple[float, float]:
        """Those bounds, or the run's."""
        return self._latencies.get((one, other), self.latency_s)

    def part(self, one: str, other: str) -> None:
        """Packets between two machines are held, as TCP sends them again and again; connects hang."""
        self._parted |= {(one, other), (other, one)}
        self._note("part", f"{one} | {other}")

    def heal(self, one: str, other: str) -> None:
        """They reach each other again; what was held goes on its way."""
        self._parted -= {(one, other), (other, one)}
        self._note("heal", f"{one} | {other}")
        for connection in list(self.connections):
            connection.carry_on()
        for between, future in list(self._hanging):
            if between == {one, other} and not future.done():
                future.set_result(None)

    @contextlib.contextmanager
    def partition(self, one: str, other: str) -> Iterator[None]:
        """Parted inside the block, healed on leaving it, whatever happens."""
        self.part(one, other)
        try:
            yield
        finally:
            self.heal(one, other)

    def held_packets(self, one: str, other: str) -> int:
        """Packets held between two machines, and connects that hang, while they are parted."""
        if not self.is_parted(one, other):
            return 0
        ends = {one, other}
        between = [c for c in self.connections if {end.host.name for end in c.ends.values()} == ends]
        hanging = sum(each == ends for each, _ in self._hanging)
        return sum(connection.held_count() for connection in between) + hanging

    def is_parted(self, one: str, other: str) -> bool:
        """Whether packets between them are held."""
        return bool(self._parted) and (one, other) in self._parted

    def reset(self, one: str, other: str | None = None) -> int:
        """Reset the connections of a machine (with another); how many there were."""
        hit = 0
        for connection in list(self.connections):
            names = {end.host.name for end in connection.ends.values()}
            if one in names and (other is None or other in names):
                connection.hang_up()
                hit += 1
        return hit

    def link(self, name: str) -> SimLink:
        """The link to the machine ``name``: toxics on it, up or down, counters."""
        return self.links.setdefault(name, SimLink(self, name))

    # --- connecting ------------------------------------------------------------------------------------------

    def listen(
        self,
        factory: Callable[[], Any] | None,
        host: str | None,
        port: Any,
        sock: SimSocket | None = None,
        *,
        begin: bool = True,
    ) -> SimServer:
        """Open a listener on the machine that runs the caller, for protocols or (without a factory) for a socket.

        Raises:
            OSError: EADDRINUSE.
        """
        where = current_host.get()
        self._hosts.setdefault(where.name, where)
        self.address(where.name)
        bound = self.reserve((host or "0.0.0.0", port or 0))
        server = SimServer(self, factory, where, bound, sock)
        if begin:
            server.begin()
        return server

    def enlist(self, server: SimServer) -> None:
        """A listener takes connections from now on."""
        self._listeners[server.host.name, server.port] = server

    def reserve(self, address: Any) -> Any:
        """Bind an address of the caller's machine; a port 0 becomes a free one.

        Raises:
            OSError: EADDRINUSE.
        """
        host, port = ("0.0.0.0", str(address)) if isinstance(address, str | bytes) else address[:2]
        if port == 0:
            self._ports += 1
            port = self._ports
        if (current_host.get().name, port) in self._listeners:
            text = f"[Errno {errno.EADDRINUSE}] error while attempting to bind on address {(host, port)!r}"
            raise OSError(errno.EADDRINUSE, f"{text}: address already in use")
        return host, port

    def listen_raw(self, address: Any, sock: SimSocket) -> SimServer:
        """Listen on behalf of a socket."""
        return self.listen(None, address[0], address[1], sock)

    async def connect_raw(self, address: Any) -> SimTransport:
        """Connect on behalf of a socket; packets come even while the machine's loop is blocked.

        Raises:
            OSError: as ``connect``.
        """
        host, port = (None, address) if isinstance(address, str) else address[:2]
        end = await self._dial(host, port, beside_of(current_host.get()))
        end.is_raw = True
        return end

    def unlisten(self, server: SimServer) -> None:
        """Close a listener."""
        self._listeners.pop((server.host.name, server.port), None)

    async def connect(self, factory: Callable[[], Any], host: str | None, port: Any) -> tuple[SimTransport, Any]:
        """Connect from the machine of the caller.

        Raises:
            OSError: refused, reset, or timed out; ``socket.gaierror`` for an unknown name.
        """
        return await self.hand_over(await self._dial(host, port, contextvars.copy_context()), factory)

    async def _dial(self, host: str | None, port: Any, context: contextvars.Context) -> SimTransport:
        client = current_host.get()
        name = await self.look_up(host)
        if client.descriptors_left is not None and client.descriptors_left <= 0:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        who = f"{client.name}->{name}:{port} #{number}"
        low, high = self.latency_between(client.name, name)
        delay_s = self.loop.choices.wait(f"{who} connect", low, high, self.loop.now_s, self.loop.timers)
        if self.loop.tracing:
            self.loop.trace.note(self.loop, "delay", f"{who} connect", f"{delay_s:.6g} of {low:g}..{high:g}")
        await asyncio.sleep(delay_s)
        await self._reach(client.name, name, host, port)
        link = self.links.get(name)
        plan_link = None
        if link is not None:
            plan_link = link.open(number)
            plan = plan_link.connect_plan(link.specs)
            if plan.delay_s:
                await asyncio.sleep(plan.delay_s)
            if plan.refused:
                link.refused()
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        server = self._listeners.get((name, port))
        if server is None or (link is not None and not link.enabled):
            if link is not None and not link.enabled:
                link.refused()
            self._note("refuse", who)
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {(host, port)!r}")
        return self._establish(server, who, client, plan_link, context)

    async def _reach(self, client: str, name: str, host: str | None, port: Any) -> None:
        """Wait while the two are parted; the kernel gives up in the end."""
        if not self.is_parted(client, name):
            return
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                while self.is_parted(client, name):
                    entry = ({client, name}, self.loop.create_future())
                    self._hanging.append(entry)
                    try:
                        await entry[1]
                    finally:
                        self._hanging.remove(entry)
        except TimeoutError:
            raise TimeoutError(errno.ETIMEDOUT, f"Connect call failed {(host, port)!r}") from None

    def _establish(
        self, server: SimServer, who: str, client: Host, link: Any, context: contextvars.Context
    ) -> SimTransport:
        connection = Connection(self, who, link)
        self._ports += 1
        near = (self.address(client.name), self._ports)
        far = (self.address(server.host.name), server.port)
        own = SimTransport(connection, client, near, far, context, "upstream")
        theirs = SimTransport(connection, server.host, far, near, server.context, "downstream")
        connection.ends = {"upstream": own, "downstream": theirs}
        self.connections.append(connection)
        if self.loop.tracing:
            self.loop.trace.note(self.loop, "net", who, "connected")
        server.accept(theirs)
        return own

    async def hand_over(self, own: SimTransport, factory: Callable[[], Any]) -> tuple[SimTransport, Any]:
        """Give a connected end to a protocol, and wait until the protocol has heard of it."""
        own.is_raw = False
        own.protocol = protocol = factory()
        connection = own.connection
        ready = self.loop.create_future()
        self.loop.call_soon(own.begin)
        self.loop.call_soon(_set, ready)
        try:
            await ready
        except BaseException:
            own.close()
            raise
        connection.advance()
        return own, protocol

    def listeners(self, name: str) -> list[SimServer]:
        """The open listeners of a machine."""
        return [server for (where, _), server in self._listeners.items() if where == name]

    def open_ends(self, name: str) -> int:
        """Ends of connections that a machine holds open, of its own making or accepted."""
        ends = [end for connection in self.connections for end in connection.ends.values()]
        return sum(end.host.name == name and not end.is_lost for end in ends)

    def accepted_ends(self, name: str) -> int:
        """Of those, the accepted ones; who waits for a descriptor is none."""
        ends = [connection.ends["downstream"] for connection in self.connections]
        waiting = sum(server.waiting for server in self.listeners(name))
        return sum(end.host.name == name and not end.is_lost for end in ends) - waiting

    def forget(self, connection: Connection) -> None:
        """Both ends are closed."""
        if connection in self.connections:
            self.connections.remove(connection)

    def leftovers(self) -> list[str]:
        """Connections and listeners that are still open."""
        found = []
        for connection in self.connections:
            ends = connection.left_open()
            if ends:
                found.append(f"connection {connection.name} ({ends} of 2 ends open)")
        found += [f"listener {name}:{port}" for name, port in self._listeners]
        return found

    def vanish(self) -> None:
        """The run is over: what is open is gone, without a callback."""
        for connection in self.connections:
            for end in connection.ends.values():
                end.vanish()

    def _note(self, kind: str, text: str) -> None:
        if self.loop.tracing:
            self.loop.trace.note(self.loop, "net", kind, text)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def network_of(loop: VirtualLoop) -> Network:
    """A run's network, made at first use."""
    network: Network | None = loop.attachments.get("network")
    if network is None:
        network = loop.attachments["network"] = Network(loop)
    return network
