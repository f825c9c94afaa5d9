"""A Redis (or Valkey) server of ours is killed, shut down, restarted, frozen, or accepts no new connections.

In: whether it keeps its data; out: faults on the ``redis`` target, whose effect counts what was done to the process.
A server that does not answer PING after healing is a ``HealError``.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import ClassVar

from redis.exceptions import RedisError

from hardening.faults.base import Effect, Fault, HealError
from hardening.faults.redis_fault import RedisFault, config, open_session
from hardening.faults.targets import RedisServer, RedisSession
from hardening.faults.waiting import healed, wait_until

UP_S_MAX = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisKilled(Fault):
    """SIGKILL; healing starts it again on the same port, with its data unless ``keep_data`` is false."""

    kind: ClassVar[str] = "redis_killed"
    protocol: ClassVar[str] = "redis"
    targets: ClassVar[tuple[str, ...]] = ("redis",)
    summary: ClassVar[str] = "kill the Redis server by SIGKILL, restart it on heal"
    slot = "redis"
    drawn = ({},)

    target: str = "redis"
    keep_data: bool = True

    async def inject(self, target: RedisServer) -> object:
        """Kill it."""
        was_alive = await target.alive()
        await target.kill()
        return was_alive

    async def heal(self, target: RedisServer, token: object) -> Effect:
        """Start it again and wait for its PONG."""
        return Effect({"kills": float(await _start_again(target, self.keep_data) and bool(token))})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisShutdown(Fault):
    """A graceful end: it saves, then closes its connections; healing starts it again."""

    kind: ClassVar[str] = "redis_shutdown"
    protocol: ClassVar[str] = "redis"
    targets: ClassVar[tuple[str, ...]] = ("redis",)
    summary: ClassVar[str] = "shut the Redis server down gracefully, start it again on heal"
    slot = "redis"
    drawn = ({},)

    target: str = "redis"
    keep_data: bool = True

    async def inject(self, target: RedisServer) -> object:
        """Shut it down."""
        was_alive = await target.alive()
        await target.shutdown()
        return was_alive

    async def heal(self, target: RedisServer, token: object) -> Effect:
        """Start it again and wait for its PONG."""
        return Effect({"shutdowns": float(await _start_again(target, self.keep_data) and bool(token))})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisRestarted(Fault):
    """A quick restart: gone and back at once, so that nothing but its connections (and data) is lost."""

    kind: ClassVar[str] = "redis_restarted"
    protocol: ClassVar[str] = "redis"
    targets: ClassVar[tuple[str, ...]] = ("redis",)
    summary: ClassVar[str] = "restart the Redis server at once, with or without its data"
    slot = "redis"
    variants = ({"graceful": True}, {"graceful": False})
    drawn = ({"graceful": (False, True)},)

    target: str = "redis"
    keep_data: bool = True
    graceful: bool = True

    async def inject(self, target: RedisServer) -> object:
        """End it and start it; the process that answers afterwards must be another one."""
        before = await _run_id(target)
        await (target.shutdown() if self.graceful else target.kill())
        await target.restart(keep_data=self.keep_data)
        return before != await _run_id(target)

    async def heal(self, target: RedisServer, token: object) -> Effect:
        """Nothing is broken any more unless the restart itself went wrong; then start it."""
        await _start_again(target, self.keep_data)
        return Effect({"restarts": float(bool(token))})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisStopped(Fault):
    """SIGSTOP: connections stay open and nothing answers; healing sends SIGCONT."""

    kind: ClassVar[str] = "redis_stopped"
    protocol: ClassVar[str] = "redis"
    targets: ClassVar[tuple[str, ...]] = ("redis",)
    summary: ClassVar[str] = "freeze the Redis server by SIGSTOP, continue it on heal"
    slot = "redis"
    drawn = ({},)

    target: str = "redis"

    async def inject(self, target: RedisServer) -> object:
        """Stop it; the token says whether it answered before and does not now."""
        was_alive = await target.alive()
        await target.pause()
        return was_alive and not await target.alive()

    async def heal(self, target: RedisServer, token: object) -> Effect:
        """Continue it and wait for its PONG; one that ended meanwhile has nothing to continue."""
        if not await target.alive():
            try:
                await target.resume()
            except ProcessLookupError:
                return Effect({"stops": float(bool(token))})
        await healed(target.alive, UP_S_MAX, "redis does not answer PING after SIGCONT")
        return Effect({"stops": float(bool(token))})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisRefusing(RedisFault):
    """New connections are refused by the kernel while those already open live on.

    The server stops listening (``CONFIG SET port 0``); one connection kept open brings it back. No server counts
    what its kernel refuses: the effect is a connection of our own that was refused.
    """

    kind: ClassVar[str] = "redis_refusing"
    summary: ClassVar[str] = "refuse new connections to Redis, keep the open ones"
    drawn = ({},)

    target: str = "redis"

    async def break_it(self, target: RedisServer) -> object:
        """Stop listening; the token says whether a new connection was refused then."""
        session = await open_session(target, self.target)
        port = (await config(session, "port"))["port"]
        try:
            await session.command("CONFIG", "SET", "port", 0)
            return session, port, not await target.alive()
        except BaseException:
            await _listen_again(session, port)
            raise

    async def let_go(self, token: object) -> None:
        """Listen again on the old port."""
        if isinstance(token, tuple):
            await _listen_again(token[0], token[1])

    async def undo(self, target: RedisServer, token: object) -> Effect:
        """It answers new connections again, or we would not be here."""
        return Effect({"refusals": float(token[2]) if isinstance(token, tuple) else 0.0})


async def _listen_again(session: RedisSession, port: str) -> None:
    """A session that broke means a server that ended; started again, it listens."""
    with contextlib.suppress(OSError, RedisError):
        await session.command("CONFIG", "SET", "port", port)
    await session.close()


async def _start_again(target: RedisServer, keep_data: bool) -> bool:
    """Start it when it is gone; true when it was. Raises HealError when it stays silent."""
    was_gone = not await target.alive()
    if was_gone:
        await target.restart(keep_data=keep_data)
    if not await wait_until(target.alive, UP_S_MAX):
        raise HealError("redis does not answer PING after its restart")
    return was_gone


async def _run_id(target: RedisServer) -> str:
    found: dict[str, object] = await target.command("INFO", "server")
    return str(found["run_id"])
