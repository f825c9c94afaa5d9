"""A running Redis server refuses commands or loses keys: out of memory, evicting, read-only, loading.

In: limits in bytes, an eviction policy; out: faults on the ``redis`` target. The effect counts refused commands or
evicted keys as the server counts them. Settings that are not restored are a ``HealError``.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, ClassVar

from redis.exceptions import RedisError

from hardening.faults.base import Effect, HealError, one_of
from hardening.faults.loading_master import LoadingMaster
from hardening.faults.redis_fault import RedisFault, config, info, refusals
from hardening.faults.targets import RedisServer
from hardening.faults.waiting import healed, wait_until

HEAL_S_MAX = 10.0
LOADING_S_MAX = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisMemoryFull(RedisFault):
    """``maxmemory`` falls to what is in use (plus ``spare_bytes``) without eviction: writes are answered OOM."""

    kind: ClassVar[str] = "redis_memory_full"
    summary: ClassVar[str] = "no memory left in Redis: writes are refused with OOM"
    drawn = ({},)

    target: str = "redis"
    spare_bytes: int = 0

    async def break_it(self, target: RedisServer) -> object:
        """Lower the limit; the token holds the settings and the count of refusals before."""
        before = await config(target, "maxmemory*")
        used = int((await info(target, "memory"))["used_memory"])
        token = {"settings": before, "refusals": await refusals(target, "OOM")}
        limit = max(1, used + self.spare_bytes) if self.spare_bytes else 1
        await target.command("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", limit)
        return token

    async def undo(self, target: RedisServer, token: object) -> Effect:
        """Set the limit back and read it."""
        before = await _settings_back(target, token)
        return Effect({"commands_refused": await _since(target, "OOM", before)})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisEvicting(RedisFault):
    """``maxmemory`` falls below what is in use and keys are evicted: what was stored is gone unasked."""

    kind: ClassVar[str] = "redis_evicting"
    summary: ClassVar[str] = "memory pressure in Redis: keys are evicted"
    variants = ({"policy": "volatile-lru"}, {"policy": "volatile-ttl"})

    target: str = "redis"
    policy: str = "allkeys-lru"
    spare_bytes: int = 0

    def validate(self) -> None:
        """Only policies that evict."""
        one_of("policy", self.policy, ("allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"))

    async def break_it(self, target: RedisServer) -> object:
        """Lower the limit; a write of nothing makes the server look at it at once."""
        before = await config(target, "maxmemory*")
        evicted = int((await info(target, "stats"))["evicted_keys"])
        token = {"settings": before, "evicted": evicted}
        limit = max(1, self.spare_bytes)
        await target.command("CONFIG", "SET", "maxmemory-policy", self.policy, "maxmemory", limit)
        return token

    async def undo(self, target: RedisServer, token: object) -> Effect:
        """Set limit and policy back and read them."""
        before = await _settings_back(target, token)
        evicted = int((await info(target, "stats"))["evicted_keys"])
        return Effect({"keys_evicted": float(max(0, evicted - int(before.get("evicted", evicted))))})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisReadOnly(RedisFault):
    """The server becomes a replica of nobody: reads work, writes are answered READONLY (a failover gone wrong)."""

    kind: ClassVar[str] = "redis_read_only"
    summary: ClassVar[str] = "Redis becomes a replica: writes are refused with READONLY"
    drawn = ({},)

    target: str = "redis"

    async def break_it(self, target: RedisServer) -> object:
        """Follow a port at which nobody listens: the data stays as it is."""
        token = {"refusals": await refusals(target, "READONLY")}
        await target.command("REPLICAOF", "127.0.0.1", 1)
        return token

    async def undo(self, target: RedisServer, token: object) -> Effect:
        """Make it a master again and read its role."""
        before = token if isinstance(token, dict) else {}
        await target.command("REPLICAOF", "NO", "ONE")
        await healed(lambda: _is_master(target), HEAL_S_MAX, "redis is still a replica after REPLICAOF NO ONE")
        return Effect({"commands_refused": await _since(target, "READONLY", before)})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisLoading(RedisFault):
    """The server loads a data set that never ends: commands are answered LOADING, as after a large restart.

    It is made the replica of a master of ours which drips an endless RDB. The server's own data are set aside
    by it (``repl-diskless-load swapdb``) and come back when the transfer breaks. Between the order and the
    first LOADING it is a replica for a second or two and answers writes with READONLY.
    """

    kind: ClassVar[str] = "redis_loading"
    summary: ClassVar[str] = "Redis loads its data set: commands are refused with LOADING"

    target: str = "redis"

    async def break_it(self, target: RedisServer) -> object:
        """Start the transfer and wait until the server says LOADING."""
        settings = {name: (await config(target, name))[name] for name in LoadingMaster.SETTINGS}
        master = LoadingMaster()
        token: dict[str, Any] = {"settings": settings, "master": master}
        try:
            port = await master.start()
            words = [word for pair in LoadingMaster.SETTINGS.items() for word in pair]
            await target.command("CONFIG", "SET", *words)
            await target.command("REPLICAOF", "127.0.0.1", port)
            if not await wait_until(lambda: _says_loading(target), LOADING_S_MAX, 0.05):
                raise HealError("redis never began to load")
            token["refusals"] = await refusals(target, "LOADING")
        except BaseException:
            await master.stop()
            raise
        return token

    async def heal(self, target: RedisServer, token: object) -> Effect:
        """Count what was refused before our own looks add to it, then heal."""
        if isinstance(token, dict):
            with contextlib.suppress(RedisError, OSError):
                token["refused"] = await _since(target, "LOADING", token)
        return await RedisFault.heal(self, target, token)

    async def let_go(self, token: object) -> None:
        """Break the transfer: the server falls back to its own data."""
        if isinstance(token, dict) and isinstance(token.get("master"), LoadingMaster):
            await token["master"].stop()

    async def undo(self, target: RedisServer, token: object) -> Effect:
        """Make it a master again, set its settings back."""
        before: dict[str, Any] = token if isinstance(token, dict) else {}
        await healed(lambda: _promoted(target), HEAL_S_MAX, "redis is still loading or a replica")
        # It rewrites its append-only file now; until that is done it keeps no promise, and refuses to end.
        await healed(lambda: _is_durable_again(target), HEAL_S_MAX, "redis has not rewritten its append-only file")
        for name, value in before.get("settings", LoadingMaster.USUAL_SETTINGS).items():
            await target.command("CONFIG", "SET", name, value)
        return Effect({"commands_refused": float(before.get("refused", 0))})


async def _is_master(target: RedisServer) -> bool:
    return str((await info(target, "replication"))["role"]) == "master"


async def _promoted(target: RedisServer) -> bool:
    try:
        await target.command("REPLICAOF", "NO", "ONE")
        return await _is_master(target)
    except (RedisError, OSError):
        return False


async def _is_durable_again(target: RedisServer) -> bool:
    said = await info(target, "persistence")
    return not int(said["aof_rewrite_in_progress"]) and not int(said["aof_rewrite_scheduled"])


async def _says_loading(target: RedisServer) -> bool:
    """True once it loads. INFO is answered meanwhile and is no refused command."""
    try:
        return int((await info(target, "persistence"))["loading"]) == 1 and not await target.alive()
    except (RedisError, OSError):
        return False


async def _settings_back(target: RedisServer, token: object) -> dict[str, Any]:
    """Set ``maxmemory`` and its policy back and verify; returns the token (empty when there is none)."""
    before: dict[str, Any] = token if isinstance(token, dict) else {}
    wanted: dict[str, str] = before.get("settings", {})
    limit, policy = wanted.get("maxmemory", "0"), wanted.get("maxmemory-policy", "noeviction")
    await target.command("CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", policy)
    now = await config(target, "maxmemory*")
    if now["maxmemory"] != limit or now["maxmemory-policy"] != policy:
        raise HealError(f"redis has maxmemory {now['maxmemory']} {now['maxmemory-policy']}, not {limit} {policy}")
    return before


async def _since(target: RedisServer, error: str, before: dict[str, Any]) -> float:
    """Refusals since the token; 0 when the server was restarted meanwhile and counts from 0."""
    now = await refusals(target, error)
    return float(max(0, now - int(before.get("refusals", now))))
