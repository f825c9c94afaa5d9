"""Mutants of C5: the cache, its locks, its entries, and the clocks."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any

from hardening.mutants.mutant import breaks, put
from signal_service import app
from signal_service.admission.limits import RateWindow
from signal_service.clients import breaker
from signal_service.seams import Seams
from signal_service.store import cache, cache_entry, historical_data
from signal_service.store.cache import Cache, Found
from signal_service.store.cache_entry import FORMAT, CorruptError, Envelope, age_of
from signal_service.store.redis_link import RedisGoneError, RedisLink


class _Forgetful(dict[str, Any]):
    """A lock table in which nothing is ever found."""

    def get(self, key: str, default: Any = None) -> Any:
        return default


@breaks("C5.1", shown_by="cancelled-herd")
def no_lock_per_key() -> None:
    """Each caller of a missing key loads it for itself: a stampede."""
    init = Cache.__init__

    def without_locks(self: Cache[Any], *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self._flights = _Forgetful()

    put(Cache, "__init__", without_locks)


@breaks("C5.1", shown_by="cancelled-herd")
def leader_takes_followers() -> None:
    """A load is cancelled together with the caller that began it, however many wait for it."""

    async def join(self: Cache[Any], key: str, load: Callable[[], Awaitable[Any]]) -> Found[Any]:
        flight = self._flights.get(key)
        leads = flight is None
        if flight is None:
            flight = self._take_off(key, load)
        else:
            self._emit("cache", key=key, event="join")
        try:
            await asyncio.wait([flight.task])
        finally:
            if leads and not flight.task.done():
                flight.task.cancel()
        found, error = flight.task.result()
        if error is not None:
            raise error
        return found  # type: ignore[no-any-return]

    put(Cache, "_join", join)


@breaks("C5.2", shown_by="slow-loads")
def ttl_kept_on_write() -> None:
    """A write keeps the time to live of the entry that it replaces: SET with KEEPTTL."""
    remember = Cache._remember
    born: dict[tuple[int, str], float] = {}

    def as_old_as_before(self: Cache[Any], key: str, entry: Any) -> None:
        entry.written_s = min(entry.written_s, born.setdefault((id(self), key), entry.written_s))
        remember(self, key, entry)

    put(Cache, "_remember", as_old_as_before)


@breaks("C5.2", shown_by="slow-loads")
def slow_load_overwrites() -> None:
    """A load stores its result, whatever was written or invalidated meanwhile."""
    store = Cache._store

    async def regardless(self: Cache[Any], key: str, raw: bytes, _allowed: Any) -> Any:
        return await store(self, key, raw, lambda _: True)

    put(Cache, "_store", regardless)
    put(Cache, "_supersede", lambda self, key: None)


@breaks("C5.3", shown_by="slow-loads")
def lock_deleted_in_use() -> None:
    """Invalidation deletes the lock with the entry: the next caller does not find the running load."""
    supersede = Cache._supersede

    def tidy(self: Cache[Any], key: str) -> None:
        supersede(self, key)
        self._flights.pop(key, None)

    put(Cache, "_supersede", tidy)


@breaks("C5.3", shown_by="slow-loads")
def superseded_load_not_awaited() -> None:
    """After an invalidation the next caller loads at once, beside the load that still runs."""
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


@breaks("C5.3", shown_by="slow-loads")
def invalidated_here_only() -> None:
    """An invalidation clears the in-process copy but not Redis."""

    async def near(self: Cache[Any], key: str) -> None:
        self._supersede(key)
        self._forget(key)
        self._emit("cache", key=key, event="invalidate", version=next(self._versions))

    put(Cache, "invalidate", near)


@breaks("C5.4", shown_by="damaged-entries")
def corrupt_entry_raised() -> None:
    """An unreadable entry raises instead of counting as a miss."""

    async def raised(self: Cache[Any], key: str, error: Exception) -> None:
        self._emit("cache", key=key, event="corrupt", why="value")
        raise RuntimeError(f"corrupt entry {key}") from error

    put(Cache, "_drop_corrupt", raised)


@breaks("C5.4", shown_by="every-damage")
def entries_of_other_keys_believed() -> None:
    """The key inside an entry is written but never compared."""
    unpack = cache_entry.unpack

    def trusting(key: str, raw: bytes, left_s: float | None) -> Envelope:
        try:
            own = json.loads(raw)["body"][0]
        except (ValueError, LookupError, TypeError):
            own = key
        return unpack(own if isinstance(own, str) else key, raw, left_s)

    put(cache, "unpack", trusting)


@breaks("C5.4", shown_by="every-damage")
def checksums_not_compared() -> None:
    """An entry that is valid JSON is accepted whatever its checksum is."""

    def believing(key: str, raw: bytes, left_s: float | None) -> Envelope:
        try:
            outer = json.loads(raw)
            version, body = outer["v"], outer["body"]
            found, number, keep_s, dead, data = body
        except (ValueError, LookupError, TypeError):
            raise CorruptError("truncated") from None
        if version != FORMAT:
            raise CorruptError("version")
        if found != key:
            raise CorruptError("key")
        return Envelope(number, keep_s, 0.0 if left_s is None else age_of(keep_s, left_s), dead, data)

    put(cache, "unpack", believing)


@breaks("C5.4", shown_by="every-damage")
def bad_entries_left() -> None:
    """A bad entry is counted but not deleted."""

    async def counted_only(self: Cache[Any], key: str, error: Exception) -> None:
        why = error.why if isinstance(error, CorruptError) else "value"
        self._emit("cache", key=key, event="corrupt", why=why)

    put(Cache, "_drop_corrupt", counted_only)


@breaks("C5.4", shown_by="every-damage")
def bad_entries_not_counted() -> None:
    """A bad entry is deleted but not counted."""

    async def in_silence(self: Cache[Any], key: str, error: Exception) -> None:
        await self._link.run(lambda client: client.delete(self._prefix + key))

    put(Cache, "_drop_corrupt", in_silence)


@breaks("C5.5", shown_by="redis-outage")
def redis_given_up() -> None:
    """Once Redis was lost it is never used again."""
    run = RedisLink.run

    async def gave_up(self: RedisLink, *args: Any, **kwargs: Any) -> Any:
        if not self.up:
            raise RedisGoneError
        return await run(self, *args, **kwargs)

    put(RedisLink, "run", gave_up)


@breaks("C5.5", shown_by="long-outage")
def stale_beyond_grace() -> None:
    """A stale entry is served however old it is."""
    put(Cache, "_own", lambda self, key: self._entries.get(key))


@breaks("C5.5", shown_by="redis-outage")
def copies_not_marked() -> None:
    """Answers from the in-process copy are not marked as degraded."""
    loaded = historical_data._loaded
    put(historical_data, "_loaded", lambda found: dataclasses.replace(loaded(found), degraded=False))


@breaks("C5.5", shown_by="redis-outage")
def redis_left_alone_for_long() -> None:
    """After an error Redis is not used for 20 s, whether it is back or not."""
    lost = RedisLink._lost
    put(RedisLink, "_lost", lambda self, error, _pause_s: lost(self, error, 20.0))


@breaks("C5.5", shown_by="long-outage")
def stale_copies_not_marked() -> None:
    """A copy served beyond its TTL is not marked as stale."""
    found = Cache._found

    def unmarked(self: Cache[Any], key: str, entry: Any) -> Any:
        copy = found(self, key, entry)
        return copy and copy._replace(source="cache")

    put(Cache, "_found", unmarked)


@breaks("C5.6", shown_by="clock-jumps")
def ttl_on_the_wall_clock() -> None:
    """Ages are differences of wall time: a jump of the clock expires or revives everything."""
    init = Cache.__init__

    def by_the_wall(self: Cache[Any], *args: Any, **kwargs: Any) -> None:
        init(self, *args, **{**kwargs, "monotonic": kwargs["wall"]})

    put(Cache, "__init__", by_the_wall)


def _on_the_wall(made: list[Seams]) -> None:
    init = app.Service.__init__

    def remember(self: app.Service, settings: Any, source: Any, seams: Seams, **more: Any) -> None:
        made.append(seams)
        init(self, settings, source, seams, **more)

    put(app.Service, "__init__", remember)


@breaks("C5.6", shown_by="clock-windows")
def breakers_on_the_wall_clock() -> None:
    """An open breaker waits for a wall-clock time: a jump of the clock half-opens it early or keeps it open."""
    made: list[Seams] = []
    _on_the_wall(made)
    init = breaker.Breaker.__init__

    def by_the_wall(self: breaker.Breaker, name: str, settings: Any, _monotonic: Any, emit: Any) -> None:
        init(self, name, settings, made[-1].wall, emit)

    put(breaker.Breaker, "__init__", by_the_wall)


@breaks("C5.6", shown_by="clock-windows")
def window_on_the_wall_clock() -> None:
    """Admissions carry wall-clock times: a jump of the clock empties the window or freezes it."""
    made: list[Seams] = []
    _on_the_wall(made)
    wait, record = RateWindow.wait_s, RateWindow.record
    put(RateWindow, "wait_s", lambda self, now: max(0.0, wait(self, made[-1].wall())))
    put(RateWindow, "record", lambda self, now: record(self, made[-1].wall()))
