"""Broken caches."""

from __future__ import annotations

from typing import Any

from scenarios.sabotage.patching import put
from service.cache import Cache
from service.redis_link import RedisGoneError, RedisLink


class _Forgetful(dict[str, Any]):
    """A lock table in which nothing is ever found."""

    def get(self, key: str, default: Any = None) -> Any:
        return default


def no_lock_per_key() -> None:
    """Each caller of a missing key loads it for itself: the stampede that the lock was for."""
    init = Cache.__init__

    def without_locks(self: Cache[Any], *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self._flights = _Forgetful()

    put(Cache, "__init__", without_locks)


def corrupt_entry_raised() -> None:
    """An entry that cannot be read is an error instead of a miss."""

    async def raised(self: Cache[Any], key: str, error: Exception) -> None:
        self._emit("cache", key=key, event="corrupt", why="value")
        raise RuntimeError(f"corrupt entry {key}") from error

    put(Cache, "_drop_corrupt", raised)


def ttl_on_the_wall_clock() -> None:
    """Ages are differences of wall time: a jump of the clock expires or revives everything."""
    init = Cache.__init__

    def by_the_wall(self: Cache[Any], *args: Any, **kwargs: Any) -> None:
        init(self, *args, **{**kwargs, "monotonic": kwargs["wall"]})

    put(Cache, "__init__", by_the_wall)


def redis_given_up() -> None:
    """Once Redis was lost it is never asked again."""
    run = RedisLink.run

    async def gave_up(self: RedisLink, *args: Any, **kwargs: Any) -> Any:
        if not self.up:
            raise RedisGoneError
        return await run(self, *args, **kwargs)

    put(RedisLink, "run", gave_up)


def cache_never_evicts() -> None:
    """What is remembered stays until the process ends: the bound on entries was left for later."""

    def hoard(self: Cache[Any], key: str, entry: Any) -> None:
        self._forget(key)
        self._entries[key] = entry
        self._size_bytes += entry.size_bytes

    put(Cache, "_remember", hoard)
