"""Broken caches."""

from __future__ import annotations

import dataclasses
from typing import Any

from hardening.mutants.patching import put
from signal_service.store import historical_data
from signal_service.store.cache import Cache
from signal_service.store.redis_link import RedisGoneError, RedisLink


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


def ttl_kept_on_write() -> None:
    """A write keeps the time to live of what it replaces: SET with KEEPTTL, meant well."""
    remember = Cache._remember
    born: dict[tuple[int, str], float] = {}

    def as_old_as_before(self: Cache[Any], key: str, entry: Any) -> None:
        entry.written_s = min(entry.written_s, born.setdefault((id(self), key), entry.written_s))
        remember(self, key, entry)

    put(Cache, "_remember", as_old_as_before)


def slow_load_overwrites() -> None:
    """A load stores what it found, whatever was written or forgotten while it was under way."""
    store = Cache._store

    async def regardless(self: Cache[Any], key: str, raw: bytes, _allowed: Any) -> Any:
        return await store(self, key, raw, lambda _: True)

    put(Cache, "_store", regardless)
    put(Cache, "_supersede", lambda self, key: None)


def lock_deleted_in_use() -> None:
    """Invalidation deletes the lock together with the entry: whoever comes next does not find the load under way."""
    supersede = Cache._supersede

    def tidy(self: Cache[Any], key: str) -> None:
        supersede(self, key)
        self._flights.pop(key, None)

    put(Cache, "_supersede", tidy)


def superseded_load_not_awaited() -> None:
    """After an invalidation the next caller takes off at once, beside the load that still runs."""
    take_off = Cache._take_off
    join = Cache._join

    async def impatient(self: Cache[Any], key: str, load: Any) -> Any:
        flight = self._flights.get(key)
        if flight is not None and flight.superseded and not flight.leaving:
            fresh = take_off(self, key, load)
            fresh.waiters += 1
            found, error = await fresh.task
            if error is not None:
                raise error
            return found
        return await join(self, key, load)

    put(Cache, "_join", impatient)


def stale_beyond_grace() -> None:
    """What is known is served for as long as nothing better comes, however old."""
    put(Cache, "_own", lambda self, key: self._entries.get(key))


def copies_not_marked() -> None:
    """Answers from the copy in process look like any other."""
    loaded = historical_data._loaded
    put(historical_data, "_loaded", lambda found: dataclasses.replace(loaded(found), degraded=False))


def redis_left_alone_for_long() -> None:
    """After an error Redis is left alone for 20 s, whether it is back or not."""
    lost = RedisLink._lost
    put(RedisLink, "_lost", lambda self, error, _pause_s: lost(self, error, 20.0))


def invalidated_here_only() -> None:
    """An invalidation clears the process, and leaves what lies in Redis."""

    async def near(self: Cache[Any], key: str) -> None:
        self._supersede(key)
        self._forget(key)
        self._emit("cache", key=key, event="invalidate", version=next(self._versions))

    put(Cache, "invalidate", near)


def stale_copies_not_marked() -> None:
    """A copy beyond its TTL, served because nothing better can be had, looks like any other."""
    found = Cache._found

    def unmarked(self: Cache[Any], key: str, entry: Any) -> Any:
        copy = found(self, key, entry)
        return copy and copy._replace(source="cache")

    put(Cache, "_found", unmarked)
