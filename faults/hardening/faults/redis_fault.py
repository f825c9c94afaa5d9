"""What faults on a running Redis server share, and how they read INFO and CONFIG.

Faults may overlap, so another fault may have ended the server meanwhile: then there is nothing to break or to undo. A
server that runs and does not answer is a ``HealError``.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from hardening.faults.base import Effect, Fault, HealError, UnsupportedTargetError
from hardening.faults.targets import RedisServer, RedisSession, RedisSessions
from hardening.faults.waiting import wait_until

ANSWER_S_MAX = 10.0


class RedisFault(Fault):
    """Breaks a server by commands. A server that is gone (faults may overlap) cannot be hurt, and needs no healing.

    A server that was ended comes back with the settings that it starts with: what we had set is gone by then.
    """

    __slots__ = ()
    protocol: ClassVar[str] = "redis"
    targets: ClassVar[tuple[str, ...]] = ("redis",)
    slot = "redis"

    @abstractmethod
    async def break_it(self, target: RedisServer) -> object:
        """``inject`` for a server that answers."""

    @abstractmethod
    async def undo(self, target: RedisServer, token: object) -> Effect:
        """``heal`` for a server that answers; the token is ``None`` when ``break_it`` never finished."""

    async def let_go(self, token: object) -> None:
        """Give back what the token holds on our side (tasks, connections); done before anything is asked."""
        return

    def answers_within_s(self) -> float:
        """How long the server may stay silent because of us."""
        return ANSWER_S_MAX

    async def inject(self, target: RedisServer) -> object:
        """Break it, when there is somebody to break."""
        return await self.break_it(target) if await target.alive() else None

    async def heal(self, target: RedisServer, token: object) -> Effect:
        """Undo it, unless the server is gone."""
        await self.let_go(token)
        if not await wait_until(lambda: _answers_or_gone(target), self.answers_within_s()):
            raise HealError(f"redis runs but does not answer PING after {self.kind}")
        return await self.undo(target, token) if await target.alive() else Effect({})


async def _answers_or_gone(target: RedisServer) -> bool:
    return await target.alive() or (isinstance(target, RedisSessions) and not await target.running())


async def open_session(target: RedisServer, name: str) -> RedisSession:
    """A connection that stays; raises UnsupportedTargetError."""
    if not isinstance(target, RedisSessions):
        raise UnsupportedTargetError("fault.target", name, "a Redis server that can hold a session open")
    return await target.session()


def text(value: object) -> str:
    """A reply word as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


async def config(server: RedisServer | RedisSession, pattern: str) -> dict[str, str]:
    """The settings that match ``pattern``, as text."""
    reply = await server.command("CONFIG", "GET", pattern)
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {text(name): text(value) for name, value in pairs}


async def info(server: RedisServer | RedisSession, section: str) -> dict[str, Any]:
    """One section of INFO; numbers as numbers, ``a=1,b=2`` as a dict."""
    reply = await server.command("INFO", section)
    return dict(reply)


async def refusals(server: RedisServer | RedisSession, error: str) -> int:
    """How many commands the server has answered with ``error`` (``OOM``, ``READONLY``, ``LOADING``) so far."""
    entry = (await info(server, "errorstats")).get(f"errorstat_{error}", {})
    return int(entry.get("count", 0)) if isinstance(entry, dict) else int(str(entry).rpartition("=")[2])
