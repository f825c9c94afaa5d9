"""A Redis server delays its clients, or closes their connections in the middle of a command.

In: durations and periods in ms; out: faults on the ``redis`` target, whose effect says how long a command was held,
or how many scripts ran and connections were killed.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from redis.exceptions import RedisError

from hardening.faults.base import Effect, between, one_of
from hardening.faults.redis_fault import ANSWER_S_MAX, RedisFault, open_session, text
from hardening.faults.targets import RedisServer, RedisSession
from hardening.faults.waiting import end_task, wait_until

_LOOPS = 200_000
_SPIN = "local i = 0 while i < tonumber(ARGV[1]) do i = i + 1 end return i"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisClientPause(RedisFault):
    """CLIENT PAUSE: commands (``all``, or only those that ``write``) wait, connections stay open.

    The server itself ends the pause after ``pause_ms``. A pause of ``all`` holds back CLIENT UNPAUSE too, so
    healing then waits for its end.
    """

    kind: ClassVar[str] = "redis_client_pause"
    summary: ClassVar[str] = "make Redis hold back commands (CLIENT PAUSE)"
    variants = ({"pause_ms": 1500}, {"pause_ms": 1500, "mode": "write"})
    drawn = ({"mode": ("all", "write"), "pause_ms": 1000},)

    target: str = "redis"
    mode: str = "all"
    pause_ms: int = 2000

    def validate(self) -> None:
        """``all`` or ``write``, for at most a minute."""
        one_of("mode", self.mode, ("all", "write"))
        between("pause_ms", self.pause_ms, 1, 60_000)

    async def break_it(self, target: RedisServer) -> object:
        """Pause; a command of our own, sent right after, shows how long commands are held."""
        session = await open_session(target, self.target)
        try:
            await session.command("CLIENT", "PAUSE", self.pause_ms, self.mode.upper())
        except BaseException:
            await session.close()
            raise
        return asyncio.create_task(_held_ms(session, self.mode), name="redis-pause-probe")

    def answers_within_s(self) -> float:
        """A pause of ``all`` cannot be cut short."""
        return self.pause_ms / 1000 + ANSWER_S_MAX

    async def undo(self, target: RedisServer, token: object) -> Effect:
        """End the pause (one of ``all`` is over, since the server answers) and say how long it held a command."""
        await target.command("CLIENT", "UNPAUSE")
        if not isinstance(token, asyncio.Task):
            return Effect({"command_held_ms": 0.0})
        return Effect({"command_held_ms": await asyncio.wait_for(token, ANSWER_S_MAX)})


async def _held_ms(session: RedisSession, mode: str) -> float:
    """How long one command takes (``write``: one that writes nothing); below 5 ms, or unanswered, it was not held."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        await (session.command("PING") if mode == "all" else session.command("UNLINK", "hardening:no-such-key"))
    except (RedisError, OSError):
        return 0.0
    finally:
        await session.close()
    took_ms = round((loop.time() - began) * 1000, 3)
    return took_ms if took_ms >= 5 else 0.0


@dataclass(slots=True)
class _Spinner:
    session: RedisSession
    spun_ms: list[float] = field(default_factory=list)
    task: asyncio.Task[object] | None = None
    stopping: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSlowCommands(RedisFault):
    """Somebody else's slow script: every ``every_ms`` the server's one thread is busy for about ``busy_ms``."""

    kind: ClassVar[str] = "redis_slow_commands"
    summary: ClassVar[str] = "keep the Redis server's thread busy with slow scripts"
    variants = ({"busy_ms": 150.0, "every_ms": 300.0},)

    target: str = "redis"
    busy_ms: float = 200.0
    every_ms: float = 400.0

    def validate(self) -> None:
        """A script must end before the next begins, and before the server reports it as stuck (5 s)."""
        between("busy_ms", self.busy_ms, 1, 4_000)
        between("every_ms", self.every_ms, self.busy_ms, 60_000)

    async def break_it(self, target: RedisServer) -> object:
        """Measure how fast the server counts, then keep it counting."""
        spinner = _Spinner(await open_session(target, self.target))
        try:
            rate = await _loops_per_ms(spinner.session)
        except BaseException:
            await spinner.session.close()
            raise
        spinner.task = asyncio.create_task(self._spin(spinner, rate), name="redis-slow-commands")
        return spinner

    async def _spin(self, spinner: _Spinner, loops_per_ms: float) -> None:
        loop = asyncio.get_running_loop()
        # The flag beside the cancellation: on 3.11 a cancellation that meets a finished command can get lost.
        while not spinner.stopping:
            began = loop.time()
            await spinner.session.command("EVAL", _SPIN, 0, int(self.busy_ms * loops_per_ms))
            took_ms = (loop.time() - began) * 1000
            spinner.spun_ms.append(took_ms)
            await asyncio.sleep(max(0.0, self.every_ms - took_ms) / 1000)

    async def let_go(self, token: object) -> None:
        """Start no further script."""
        if isinstance(token, _Spinner):
            token.stopping = True
            await end_task(token.task)
            await token.session.close()

    async def undo(self, target: RedisServer, token: object) -> Effect:
        """The last script has ended by itself, since the server answers."""
        spun_ms = token.spun_ms if isinstance(token, _Spinner) else []
        return Effect({"scripts_run": float(len(spun_ms)), "busy_ms": round(sum(spun_ms), 3)})


async def _loops_per_ms(session: RedisSession) -> float:
    """Grown until a run takes 10 ms, so that the round trip does not count.

    The quickest of three runs decides: one during which somebody else had the core says nothing of the server.
    """
    loop = asyncio.get_running_loop()
    loops = _LOOPS
    while True:
        took_ms = math.inf
        for _ in range(3):
            began = loop.time()
            await session.command("EVAL", _SPIN, 0, loops)
            took_ms = min(took_ms, (loop.time() - began) * 1000)
        if took_ms >= 10 or loops >= 10**9:
            return loops / max(took_ms, 0.1)
        loops *= 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisClientsKilled(RedisFault):
    """CLIENT KILL of everybody else's connections, every ``every_ms`` (0: once).

    With ``mid_command`` writes are held back for up to ``hold_ms`` first, so that connections die while a
    command of theirs waits: whether it was done, the client cannot know (here it was not).
    """

    kind: ClassVar[str] = "redis_clients_killed"
    summary: ClassVar[str] = "break Redis connections, also in mid-command (CLIENT KILL)"
    variants = ({"every_ms": 500.0}, {"mid_command": False, "every_ms": 300.0})
    drawn = ({"mid_command": (False, True), "every_ms": 300.0},)

    target: str = "redis"
    mid_command: bool = True
    hold_ms: int = 250
    every_ms: float = 0.0

    def validate(self) -> None:
        """Bounded waits."""
        between("hold_ms", self.hold_ms, 1, 10_000)
        between("every_ms", self.every_ms, 0, 60_000)

    async def break_it(self, target: RedisServer) -> object:
        """Kill now, and go on in the background when asked to."""
        session = await open_session(target, self.target)
        killer = _Killer(session)
        try:
            await self._kill(killer)
        except BaseException:
            await session.close()
            raise
        if self.every_ms:
            killer.task = asyncio.create_task(self._again(killer), name="redis-clients-killed")
        return killer

    async def _again(self, killer: _Killer) -> None:
        while True:
            await asyncio.sleep(self.every_ms / 1000)
            await self._kill(killer)

    async def _kill(self, killer: _Killer) -> None:
        session = killer.session
        if self.mid_command:
            await session.command("CLIENT", "PAUSE", self.hold_ms, "WRITE")

            async def held() -> bool:
                return bool(await _blocked(session))

            await wait_until(held, self.hold_ms / 1000 * 0.8)
            killer.in_command += await _blocked(session)
        killer.killed += int(await session.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
        if self.mid_command:
            await session.command("CLIENT", "UNPAUSE")

    async def let_go(self, token: object) -> None:
        """Kill no more."""
        if isinstance(token, _Killer):
            await end_task(token.task)
            await token.session.close()

    async def undo(self, target: RedisServer, token: object) -> Effect:
        """Hold nothing back any more."""
        killer = token if isinstance(token, _Killer) else None
        await target.command("CLIENT", "UNPAUSE")
        counts = {"connections_killed": killer.killed, "in_mid_command": killer.in_command} if killer else {}
        return Effect({name: float(count) for name, count in counts.items()})


@dataclass(slots=True)
class _Killer:
    session: RedisSession
    killed: int = 0
    in_command: int = 0
    task: asyncio.Task[object] | None = None


async def _blocked(session: RedisSession) -> int:
    """Connections whose command is held back now (flag ``b`` of CLIENT LIST)."""
    listed: Any = await session.command("CLIENT", "LIST")
    rows = listed if isinstance(listed, list) else [_row(line) for line in text(listed).splitlines()]
    return sum("b" in text(row.get("flags", "")) for row in rows)


def _row(line: str) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in line.split())
