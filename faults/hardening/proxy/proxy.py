"""A proxy: a listener, an upstream, its toxics and its live connections.

In: addresses and toxics; out: relayed bytes and counts (bytes, connections). An address that cannot be bound is an
``AddressError``; an upstream that cannot be dialled closes the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Mapping

from hardening.proxy import address
from hardening.proxy.link import Connection, close_by_reset
from hardening.toxics import DIRECTIONS, Direction, Draws, Link, Tally, ToxicSpec

ACCEPTS_PER_WAKEUP = 64
ACCEPT_RETRY_S = 0.2
RETIRED_TALLIES_MAX = 256


class Proxy:
    """One proxy. All methods but ``_dial`` are synchronous: the control plane never waits for a connection.

    Attributes:
        name: unique in its server.
        listen: as given until started, then with the real address; survives disable and enable.
        upstream: ``host:port`` that is dialled for each client.
        enabled: whether it listens.
        counts: connections, resets and refusals so far.
    """

    def __init__(self, name: str, listen: str, upstream: str, draws: Draws) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self.counts = Tally()
        self._draws = draws
        self._toxics: list[ToxicSpec] = []
        self._retired: dict[tuple[str, str, str], Tally] = {}  # effects of toxics that are gone
        self._passed: dict[Direction, tuple[int, int]] = dict.fromkeys(DIRECTIONS, (0, 0))
        self._number = 0
        self._connections: dict[Connection, None] = {}
        self._dials: dict[asyncio.Task[None], socket.socket] = {}
        self._listener: socket.socket | None = None
        self._is_refusing = False

    # --- up and down ------------------------------------------------------------------------------------------

    def start(self, resolved: address.Resolved) -> None:
        """Listen.

        Raises:
            address.AddressError: when the address cannot be bound; the proxy then stays down.
        """
        if self.enabled:
            return
        self._listener = address.listen(resolved)
        family, host, _ = resolved
        self.listen = address.written((family, host, self._listener.getsockname()[1]))
        self.enabled = True
        self._watch_listener()
        self._refuse_if_asked()

    def stop(self) -> None:
        """Stop listening and drop all live connections."""
        self.enabled = False
        self._is_refusing = False
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None
        self.counts.count("dropped", self.open_connections)
        for dial in self._dials:
            dial.cancel()
        for connection in list(self._connections):
            connection.drop()

    def _watch_listener(self) -> None:
        if self._listener is not None and not self._is_refusing:
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _refuse_if_asked(self) -> None:
        """Let the kernel refuse clients while a ``connect_refuse`` hits them all; the port stays ours.

        ``shutdown`` takes a listening TCP socket of Linux back to bound-but-not-listening, and ``listen`` revives
        it; closing it would let somebody else take the port.
        """
        if self._listener is None:
            return
        asked = any(
            spec.kind.type == "connect_refuse" and spec.toxicity >= 1 and spec.attributes["unlisten"]
            for spec in self._toxics
        )
        if asked and not self._is_refusing:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.shutdown(socket.SHUT_RDWR)
        elif self._is_refusing and not asked:
            self._listener.listen(address.BACKLOG)
        if asked != self._is_refusing:
            self._is_refusing = asked
            self._watch_listener()

    # --- toxics -----------------------------------------------------------------------------------------------

    @property
    def toxics(self) -> list[ToxicSpec]:
        """Upstream ones first, then downstream ones, each in the order they were added."""
        return [spec for direction in DIRECTIONS for spec in self._toxics if spec.direction == direction]

    def toxic(self, name: str) -> ToxicSpec | None:
        """The toxic of that name, of either stream."""
        return next((spec for spec in self._toxics if spec.name == name), None)

    def add_toxic(self, spec: ToxicSpec) -> None:
        """Add a toxic to the end of its chain, for live and future connections."""
        self._toxics.append(spec)
        for connection in list(self._connections):
            connection.add_toxic(spec)
        self._refuse_if_asked()

    def update_toxic(self, spec: ToxicSpec) -> None:
        """Its attributes or toxicity were changed."""
        for connection in list(self._connections):
            connection.update_toxic(spec.name)
        self._refuse_if_asked()

    def remove_toxic(self, spec: ToxicSpec) -> None:
        """Remove it; live connections get what it held."""
        self._toxics.remove(spec)
        for connection in list(self._connections):
            connection.remove_toxic(spec.name)
        retired = self._retired.setdefault((spec.name, spec.kind.type, spec.stream), Tally())
        for effect, amount in spec.tally.items():
            retired.count(effect, amount)
        if len(self._retired) > RETIRED_TALLIES_MAX:
            del self._retired[next(iter(self._retired))]
        self._refuse_if_asked()

    # --- connections ------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(ACCEPTS_PER_WAKEUP):
            if self._listener is None:
                return
            try:
                client, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # Out of descriptors: the waiting client would wake us at once again, for ever.
                loop.remove_reader(self._listener.fileno())
                loop.call_later(ACCEPT_RETRY_S, self._watch_listener)
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._number += 1
            self.counts.count("connections")
            dial = loop.create_task(self._dial(client, self._number))
            self._dials[dial] = client
            dial.add_done_callback(self._dialled)

    async def _dial(self, client: socket.socket, number: int) -> None:
        """Connect the upstream and begin to relay; a failed dial closes the client."""
        loop = asyncio.get_running_loop()
        link = Link(self.name, number, self._draws, (), loop.time())
        plan = link.connect_plan(self._toxics)
        if plan.delay_s:
            await asyncio.sleep(plan.delay_s)
        if plan.refused:
            self.counts.count("refused")
            close_by_reset(client)
            return
        upstream = await self._connect_upstream()
        if upstream is None:
            self.counts.count("failed_dials")
            client.close()
            return
        for spec in self._toxics:
            link.add(spec, loop.time())
        connection = Connection(loop, link, client, upstream, self._ended)
        if not connection.is_over:
            self._connections[connection] = None

    async def _connect_upstream(self) -> socket.socket | None:
        sock: socket.socket | None = None
        try:
            family, host, port = await address.resolve_upstream(self.upstream)
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
        except (OSError, address.AddressError):
            if sock is not None:
                sock.close()
            return None
        except asyncio.CancelledError:
            if sock is not None:
                sock.close()
            raise
        return sock

    def _dialled(self, dial: asyncio.Task[None]) -> None:
        client = self._dials.pop(dial)
        if dial.cancelled():
            client.close()
        elif (error := dial.exception()) is not None:
            client.close()
            asyncio.get_running_loop().call_exception_handler({"message": "a dial failed", "exception": error})

    def _ended(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        if connection.was_reset:
            self.counts.count("resets")
        for direction, (received, sent) in connection.counts().items():
            before = self._passed[direction]
            self._passed[direction] = (before[0] + received, before[1] + sent)

    # --- figures ----------------------------------------------------------------------------------------------

    @property
    def open_connections(self) -> int:
        """How many are live now, those being dialled included."""
        return len(self._connections) + len(self._dials)

    def passed(self) -> Mapping[Direction, tuple[int, int]]:
        """Bytes (received, sent) by direction, of live connections too."""
        totals = dict(self._passed)
        for connection in self._connections:
            for direction, (received, sent) in connection.counts().items():
                before = totals[direction]
                totals[direction] = (before[0] + received, before[1] + sent)
        return totals

    def effects(self) -> Iterator[tuple[str, str, str, str, float]]:
        """(toxic, type, stream, effect, amount) so far, of removed toxics too."""
        merged: dict[tuple[str, str, str], Tally] = {key: Tally(tally) for key, tally in self._retired.items()}
        for spec in self._toxics:
            tally = merged.setdefault((spec.name, spec.kind.type, spec.stream), Tally())
            for effect, amount in spec.tally.items():
                tally.count(effect, amount)
        for key, tally in merged.items():
            for effect, amount in tally.items():
                yield (*key, effect, amount)

    async def closed(self) -> None:
        """Wait until cancelled dials are gone (at shutdown)."""
        dials = list(self._dials)
        if dials:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(dials)
