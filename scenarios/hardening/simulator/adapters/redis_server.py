"""A simulated Redis server: RESP over the simulated network, and the ``RedisServer`` target that faults act on."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Mapping
from typing import Any, ClassVar

import redis.client

from hardening.simulator.adapters.redis_engine import Engine, RespSocket
from hardening.simulator.core.hosts import Host
from hardening.simulator.net.network import Network
from hardening.simulator.net.server import SimServer


def _of_redis_py() -> tuple[Any, Any]:
    """redis-py's own reading of INFO and of errors; both moved in version 5."""
    try:
        parsers = importlib.import_module("redis._parsers")
    except ModuleNotFoundError:
        connection: Any = importlib.import_module("redis.connection")
        client: Any = redis.client
        return client.parse_info, connection.BaseParser().parse_error
    return parsers.helpers.parse_info, parsers.BaseParser.parse_error


PARSE_INFO, PARSE_ERROR = _of_redis_py()


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: SimRedis) -> None:
        self._server = server
        self._transport: Any = None
        self._socket: RespSocket | None = None
        self._waiting: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._socket = RespSocket(self._server.engine, transport.write, transport.close)
        self._server.clients.append(self)

    def data_received(self, data: bytes) -> None:
        if self._server.is_stopped:
            self._waiting.append(data)
        elif self._socket is not None:
            self._socket.receive(data)

    def go_on(self) -> None:
        """The server runs again after SIGSTOP: what the kernel kept is read."""
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self.data_received(data)

    def hang_up(self, *, by_reset: bool) -> None:
        """The server's process has ended."""
        transport = self._transport
        if transport is not None and not transport.is_lost:
            transport.reset() if by_reset else transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._socket is not None:
            self._socket.leave()
        if self in self._server.clients:
            self._server.clients.remove(self)


class SimRedis:
    """A Redis on the machine ``host``; a ``RedisServer`` and ``RedisSessions`` target.

    What it acknowledged is kept when ``appendonly`` is on with ``appendfsync always`` (the default here); otherwise
    a kill loses what was written since the last save.

    Args:
        network: where it listens.
        host: its machine.
        port: its port.
        settings: what its configuration file says, from every start on.
    """

    session_kind: ClassVar[type[SimRedisSession]]

    def __init__(
        self, network: Network, host: str = "redis", port: int = 6379, settings: Mapping[str, str] | None = None
    ) -> None:
        self._network = network
        self._host = host
        self._port = port
        self._listener: SimServer | None = None
        self._settings = dict(settings or {})
        self.engine = self._fresh()
        self.clients: list[_Client] = []
        self.is_stopped = False
        self.is_up = False

    def _fresh(self) -> Engine:
        engine = Engine(os.urandom(20).hex(), self._network.loop.time)
        engine.settings |= {"port": str(self._port), **self._settings}
        engine.on_setting = self._set
        engine.reaches = lambda port: any(each.port == port for each in self._network.listeners(Host.default.name))
        return engine

    async def start(self) -> SimRedis:
        """Listen; returns itself."""
        self.is_up = True
        self._listen()
        return self

    def _listen(self) -> None:
        with self._network.host(self._host):
            self._listener = self._network.listen(lambda: _Client(self), None, self._port)

    def _set(self, name: str, value: str) -> None:
        if name == "port" and self._listener is not None:
            self._listener.close()
            self._listener = None
        if name == "port" and value != "0":
            self._port = int(value)
            self._listen()

    # --- the target ------------------------------------------------------------------------------------------

    async def kill(self) -> None:
        """SIGKILL: connections are reset, nothing is saved."""
        if self.engine.settings["appendonly"] != "yes" or self.engine.settings["appendfsync"] != "always":
            self.engine.server.dbs.clear()
        self._end(by_reset=True)

    async def shutdown(self) -> None:
        """It saves and closes its connections."""
        self._end(by_reset=False)

    async def restart(self, *, keep_data: bool = True) -> None:
        """Start again on the same port, with or without its data."""
        if self.is_up:
            self._end(by_reset=False)
        before = self.engine
        self.engine = self._fresh()
        if keep_data:
            for number, database in before.server.dbs.items():
                for key in list(database):
                    self.engine.server.dbs[number][key] = database[key]
        self.is_up, self.is_stopped = True, False
        self._listen()

    async def pause(self) -> None:
        """SIGSTOP: the kernel still accepts and keeps what arrives; nothing answers.

        Raises:
            ProcessLookupError: when it is not running.
        """
        self._must_run()
        self.is_stopped = True

    async def resume(self) -> None:
        """SIGCONT.

        Raises:
            ProcessLookupError: when it is not running.
        """
        self._must_run()
        self.is_stopped = False
        for client in list(self.clients):
            client.go_on()

    async def alive(self) -> bool:
        """Whether a new connection would get a PONG within half a second."""
        paused = self.engine.clock() + 0.5 < self.engine.paused_until_s and self.engine.paused_mode == "all"
        answers = self.is_up and not self.is_stopped and self._listener is not None
        return answers and not paused and not self.engine.is_loading

    async def running(self) -> bool:
        """Whether there is a process, answering or not."""
        return self.is_up

    async def command(self, *words: str | bytes | int) -> Any:
        """Run one administrative command on a connection of its own.

        Raises:
            OSError: when the server is gone or stopped.
            redis.exceptions.ResponseError: when it answers with an error.
        """
        session = await self.session()
        try:
            return await session.command(*words)
        finally:
            await session.close()

    async def session(self) -> SimRedisSession:
        """A connection of its own that stays, not over the network."""
        if not self.is_up or self.is_stopped or self._listener is None:
            raise ConnectionRefusedError(111, f"Connect call failed {(self._host, self._port)!r}")
        return self.session_kind(self)

    def _must_run(self) -> None:
        if not self.is_up:
            raise ProcessLookupError(self._host)

    def _end(self, *, by_reset: bool) -> None:
        self.is_up = self.is_stopped = False
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for client in list(self.clients):
            client.hang_up(by_reset=by_reset)
        self.clients.clear()


class SimRedisSession:
    """An administrator's connection."""

    def __init__(self, server: SimRedis) -> None:
        self._server = server
        self._reader = asyncio.StreamReader(loop=server._network.loop)  # noqa: SLF001
        self._socket = RespSocket(server.engine, self._reader.feed_data, self._reader.feed_eof)
        self._socket.known = True

    async def command(self, *words: str | bytes | int) -> Any:
        """Run one command; INFO comes parsed, as a client would.

        Raises:
            OSError: when the server is gone.
            redis.exceptions.ResponseError: when it answers with an error.
        """
        if self._server.engine is not self._socket.engine or not self._server.is_up:
            raise ConnectionResetError(104, "Connection reset by peer")
        fields = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        packed = b"*%d\r\n" % len(fields) + b"".join(b"$%d\r\n%s\r\n" % (len(field), field) for field in fields)
        self._socket.receive(packed)
        reply = await self._read()
        return dict(PARSE_INFO(reply)) if fields[0].upper() == b"INFO" else reply

    async def _read(self) -> Any:
        """One reply of RESP 2: bytes, a number, None or a list of them; an error is raised as redis-py's type."""
        line = (await self._reader.readline()).removesuffix(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise PARSE_ERROR(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else (await self._reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [await self._read() for _ in range(int(rest))]
        return rest

    async def close(self) -> None:
        """Close it."""
        self._socket.leave()


SimRedis.session_kind = SimRedisSession


__all__ = ["SimRedis", "SimRedisSession"]
