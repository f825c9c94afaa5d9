"""The cache: one load a key, however many ask; nothing too old, nothing broken, nothing overwritten by the past.

Redis holds the truth and is shared; a bounded copy in process answers for ``NEAR_S`` without asking it, and for as
long as Redis is gone. Ages come from the monotonic clock and from Redis' own expiry, never from the wall clock.
A load belongs to a *flight*, the lock of its key: a call that comes meanwhile joins it; a write or an invalidation
meanwhile supersedes it: its result goes to those who asked before that, and to nobody else.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError, WatchError

from signal_service.config.settings import CacheSettings
from signal_service.context import RequestContext, current_request
from signal_service.seams import EmitEvent
from signal_service.store.cache_entry import CorruptError, Envelope, age_of, fetch, pack, tombstone, unpack
from signal_service.store.redis_link import RedisGoneError, RedisLink

V = TypeVar("V")

NEAR_S = 1.0
"""How long the in-process copy is trusted without asking Redis."""
SIZE_MAX_BYTES = 24_000_000
"""All copies in process together, as JSON; about four times that in memory."""
MARGIN_S = 0.2


class Found(NamedTuple, Generic[V]):
    """An answer: ``degraded`` when Redis was gone, so that another process may know better."""

    value: V
    source: Literal["cache", "stale", "load"]
    age_s: float
    degraded: bool


_new = tuple.__new__


class _Entry(Generic[V]):
    """A copy in process of what was written, or read, as ``raw``; moments on the monotonic clock.

    ``keep_s`` is the expiry that ``raw`` was written with; ``confirmed`` when Redis has it, or had it.
    """

    __slots__ = ("checked_s", "confirmed", "keep_s", "mark", "size_bytes", "value", "version", "written_s")

    def __init__(self, value: V, version: int, raw: bytes, keep_s: float, written_s: float, checked_s: float) -> None:
        self.value = value
        self.version = version
        self.keep_s = keep_s
        self.mark = hash(raw)
        self.size_bytes = len(raw)
        self.written_s = written_s
        self.checked_s = checked_s
        self.confirmed = False


class _Flight:
    """The lock of one key while it is looked up and loaded."""

    __slots__ = ("deadline_s", "leaving", "superseded", "task", "waiters")

    def __init__(self, request: RequestContext | None) -> None:
        self.waiters = 0
        self.superseded = False
        self.leaving = False
        self.deadline_s = request.deadline_s if request is not None else 0.0
        self.task: asyncio.Task[Any]


class Cache(Generic[V]):
    """See the module.

    Args:
        link: the way to Redis.
        settings: ``ttl_s``, ``stale_s``, ``entries``, ``prefix``.
        encode: a value as JSON data; ``decode`` is its inverse, ValueError for what cannot be.
        emit: takes the event ``cache``.
        monotonic: seconds; ``wall`` only names the first version, so that versions grow across restarts.
    """

    def __init__(
        self,
        link: RedisLink,
        settings: CacheSettings,
        encode: Callable[[V], Any],
        decode: Callable[[Any], V],
        *,
        emit: EmitEvent,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._link = link
        self._encode = encode
        self._decode = decode
        self._emit = emit
        self._monotonic = monotonic
        self._prefix = settings.prefix
        self._versions = itertools.count(int(wall() * 1000) * 1000)
        self._load_ids = itertools.count(1)
        self._entries: OrderedDict[str, _Entry[V]] = OrderedDict()
        self._size_bytes = 0
        self._flights: dict[str, _Flight] = {}
        self._distrusted: OrderedDict[str, float] = OrderedDict()  # what Redis holds from before that moment is void
        self.apply(settings)

    def apply(self, settings: CacheSettings) -> None:
        """Take new times and bounds."""
        self._ttl_s = settings.ttl_s
        self._keep_s = settings.ttl_s + settings.stale_s
        self._entries_max = settings.entries

    @property
    def locks(self) -> int:
        """Keys that are being looked up or loaded."""
        return len(self._flights)

    def __len__(self) -> int:
        """Copies in process."""
        return len(self._entries)

    async def get(self, key: str, load: Callable[[], Awaitable[V]]) -> Found[V]:
        """The fresh value of ``key``, loaded once for all who ask meanwhile; raises what ``load`` raises."""
        entry = self._entries.get(key)
        if entry is not None:
            now_s = self._monotonic()
            age_s = now_s - entry.written_s
            if now_s - entry.checked_s < NEAR_S and age_s < self._ttl_s:
                self._entries.move_to_end(key)
                self._emit("cache", key=key, event="hit", version=entry.version, age_s=age_s, layer="memory")
                # The hot path: a named tuple's own constructor would cost as much as all the rest.
                return _new(Found, (entry.value, "cache", age_s, not self._link.up))
        return await self._join(key, load)

    async def _join(self, key: str, load: Callable[[], Awaitable[V]]) -> Found[V]:
        while True:
            flight = self._flights.get(key)
            if flight is not None and (flight.leaving or flight.superseded):
                await asyncio.wait([flight.task])  # not for us, and one load at a time all the same
                continue
            leads = flight is None
            if flight is None:
                flight = self._take_off(key, load)
            else:
                self._emit("cache", key=key, event="join")
            flight.waiters += 1
            try:
                await asyncio.wait([flight.task])
            finally:
                flight.waiters -= 1
                if flight.waiters == 0 and not flight.task.done():
                    flight.leaving = True
                    flight.task.cancel()
            found, error = flight.task.result()
            if error is None:
                return found  # type: ignore[no-any-return]
            if leads or not self._outlives(flight):
                raise error.with_traceback(None)

    def _outlives(self, flight: _Flight) -> bool:
        """True when the flight ran out of its leader's time, of which this caller has more left."""
        request = current_request.get()
        over = flight.deadline_s > 0 and self._monotonic() >= flight.deadline_s - MARGIN_S
        return over and request is not None and request.deadline_s > flight.deadline_s + MARGIN_S

    def _take_off(self, key: str, load: Callable[[], Awaitable[V]]) -> _Flight:
        flight = _Flight(current_request.get())
        self._flights[key] = flight
        self._emit("cache", key=key, event="locks", count=len(self._flights))
        flight.task = asyncio.get_running_loop().create_task(self._fly(key, flight, load), name=f"load {key}")
        flight.task.add_done_callback(lambda _: self._land(key, flight))
        return flight

    def _land(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
            self._emit("cache", key=key, event="locks", count=len(self._flights))

    async def _fly(
        self, key: str, flight: _Flight, load: Callable[[], Awaitable[V]]
    ) -> tuple[Found[V] | None, Exception | None]:
        """Look up, else load and write; an error comes as a value, so that each waiter raises it for itself."""
        try:
            entry, seen = await self._look_up(key, flight)
            if flight.superseded:
                entry = self._own(key)
            found = self._fresh(entry)
            if found is None:
                self._emit("cache", key=key, event="miss" if entry is None else "expired")
                found = await self._load(key, flight, load, seen)
                if flight.superseded:  # what was put meanwhile is newer
                    found = self._fresh(self._own(key)) or found
            return found, None
        except Exception as error:  # noqa: BLE001 - handed on to every waiter
            return None, error

    async def _load(self, key: str, flight: _Flight, load: Callable[[], Awaitable[V]], seen: bytes | None) -> Found[V]:
        load_id = next(self._load_ids)
        self._emit("cache", key=key, event="load", load_id=load_id)
        try:
            value = await load()
        except BaseException as error:
            why = "abandoned" if isinstance(error, asyncio.CancelledError) else type(error).__name__
            self._emit("cache", key=key, event="load_failed", load_id=load_id, why=why)
            raise
        self._emit("cache", key=key, event="loaded", load_id=load_id)
        version, keep_s = next(self._versions), self._keep_s
        raw = pack(key, version, keep_s, self._encode(value))
        outcome = "refused" if flight.superseded else await self._store(key, raw, lambda current: current == seen)
        if flight.superseded or outcome == "refused":
            self._emit("cache", key=key, event="discarded", load_id=load_id, version=version)
        else:
            written_s = self._monotonic()
            entry = _Entry(value, version, raw, keep_s, written_s, written_s)
            entry.confirmed = outcome == "stored"
            self._remember(key, entry)
            self._emit("cache", key=key, event="write", load_id=load_id, version=version)
        return Found(value, "load", 0.0, not self._link.up)

    async def peek(self, key: str) -> Found[V] | None:
        """What is known of ``key``, fresh or stale, without loading."""
        entry, _ = await self._look_up(key, None)
        return self._found(key, entry)

    def stale(self, key: str) -> Found[V] | None:
        """What the process knows of ``key``, fresh or stale: for when a load failed."""
        return self._found(key, self._own(key))

    def _found(self, key: str, entry: _Entry[V] | None) -> Found[V] | None:
        fresh = self._fresh(entry)
        if entry is None or fresh is not None:
            return fresh
        age_s = self._monotonic() - entry.written_s
        self._emit("cache", key=key, event="stale", version=entry.version, age_s=age_s)
        return Found(entry.value, "stale", age_s, not self._link.up)

    def _fresh(self, entry: _Entry[V] | None) -> Found[V] | None:
        age_s = 0.0 if entry is None else self._monotonic() - entry.written_s
        if entry is None or age_s >= self._ttl_s:
            return None
        return Found(entry.value, "cache", age_s, not self._link.up)

    async def put(self, key: str, value: V) -> None:
        """Write; loads under way are superseded, and the full TTL begins again."""
        version, now_s = next(self._versions), self._monotonic()
        raw = pack(key, version, self._keep_s, self._encode(value))
        entry = _Entry(value, version, raw, self._keep_s, now_s, now_s)
        self._supersede(key)
        self._remember(key, entry)
        self._emit("cache", key=key, event="write", version=version)
        self._distrust(key, now_s)
        if await self._store(key, raw, lambda _: self._entries.get(key) is entry) == "stored":
            entry.confirmed = True
            self._trust(key, now_s)

    async def invalidate(self, key: str) -> None:
        """Forget ``key`` here and in Redis; a later call gets what is loaded from now on."""
        self._supersede(key)
        self._forget(key)
        now_s = self._monotonic()
        self._distrust(key, now_s)  # until Redis knows it too
        version = next(self._versions)
        self._emit("cache", key=key, event="invalidate", version=version)
        raw = tombstone(key, version, self._keep_s)
        if await self._store(key, raw, lambda _: key not in self._entries) == "stored":
            self._supersede(key)  # a look-up begun meanwhile may have read what was there before
            self._trust(key, now_s)

    def _supersede(self, key: str) -> None:
        flight = self._flights.get(key)
        if flight is not None:
            flight.superseded = True

    def _distrust(self, key: str, now_s: float) -> None:
        self._distrusted[key] = now_s
        if len(self._distrusted) > self._entries_max:
            self._distrusted.popitem(last=False)

    def _trust(self, key: str, since_s: float) -> None:
        if self._distrusted.get(key) == since_s:
            del self._distrusted[key]

    def _own(self, key: str) -> _Entry[V] | None:
        entry = self._entries.get(key)
        if entry is not None and self._monotonic() - entry.written_s >= self._keep_s:
            self._forget(key)
            return None
        return entry

    def _remember(self, key: str, entry: _Entry[V]) -> None:
        self._forget(key)
        self._entries[key] = entry
        self._size_bytes += entry.size_bytes
        while len(self._entries) > self._entries_max or self._size_bytes > SIZE_MAX_BYTES:
            oldest = next(iter(self._entries))
            self._forget(oldest)
            self._emit("cache", key=oldest, event="evict")

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size_bytes -= entry.size_bytes

    async def _look_up(self, key: str, flight: _Flight | None) -> tuple[_Entry[V] | None, bytes | None]:
        """The youngest valid entry of process and Redis, and what Redis held (to tell later whether it changed)."""
        own = self._own(key)
        try:
            raw, left_s = await self._link.run(lambda client: fetch(client, self._prefix + key))
        except (RedisGoneError, RedisError):
            return self._hit(key, self._own(key), "memory"), None
        if flight is None:
            own = own and self._own(key)
        elif flight.superseded:
            return None, None
        now_s = self._monotonic()
        try:
            envelope, value = self._open(key, raw, left_s, own)
        except (ValueError, TypeError, LookupError) as error:
            await self._drop_corrupt(key, error)
            return None if flight is not None else self._hit(key, self._own(key), "memory"), None
        if own is not None:
            own.checked_s = now_s
        if raw is None or envelope is None or envelope.age_s >= self._keep_s:
            return self._hit(key, own, "memory"), raw
        written_s = now_s - envelope.age_s
        newer_here = own is not None and not own.confirmed and own.written_s > written_s
        if own is not None and own.mark == hash(raw):
            own.confirmed = True
            return self._hit(key, own, "redis"), raw
        if newer_here or written_s <= self._distrusted.get(key, -1.0):
            return self._hit(key, own, "memory"), raw
        if value is None:  # invalidated, perhaps by another process, after the copy here was made
            self._forget(key)
            return None, raw
        entry = _Entry(value, envelope.version, raw, envelope.keep_s, written_s, now_s)
        entry.confirmed = True
        if flight is not None:
            self._remember(key, entry)
        return self._hit(key, entry, "redis"), raw

    def _open(
        self, key: str, raw: bytes | None, left_s: float, own: _Entry[V] | None
    ) -> tuple[Envelope | None, V | None]:
        """What Redis holds, checked; what is byte for byte as it was here is checked for its age alone."""
        if raw is None:
            return None, None
        if own is not None and own.mark == hash(raw):
            return Envelope(own.version, own.keep_s, age_of(own.keep_s, left_s), False, None), own.value
        envelope = unpack(key, raw, left_s)
        return envelope, None if envelope.dead else self._decode(envelope.data)

    def _hit(self, key: str, entry: _Entry[V] | None, layer: str) -> _Entry[V] | None:
        fresh = self._fresh(entry)
        if entry is not None and fresh is not None:
            self._emit("cache", key=key, event="hit", version=entry.version, age_s=fresh.age_s, layer=layer)
        return entry

    async def _drop_corrupt(self, key: str, error: Exception) -> None:
        why = error.why if isinstance(error, CorruptError) else "value"
        self._emit("cache", key=key, event="corrupt", why=why)
        try:
            await self._link.run(lambda client: client.delete(self._prefix + key))
        except (RedisGoneError, RedisError):
            self._distrust(key, self._monotonic())

    async def _store(
        self, key: str, raw: bytes, allowed: Callable[[bytes | None], bool]
    ) -> Literal["stored", "refused", "gone"]:
        """Write with the full TTL, if what Redis holds allows it."""
        name, keep_ms = self._prefix + key, int(self._keep_s * 1000)

        async def work(client: Redis) -> Literal["stored", "refused"]:
            async with client.pipeline(transaction=True) as pipe:
                await pipe.watch(name)
                held = await pipe.get(name)
                if not allowed(held if isinstance(held, bytes) else None):
                    return "refused"
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.set(name, raw, px=keep_ms)
                try:
                    await pipe.execute()
                except WatchError:
                    return "refused"
                return "stored"

        try:
            return await self._link.run(work)
        except (RedisGoneError, RedisError):
            self._distrust(key, self._monotonic())
            return "gone"
