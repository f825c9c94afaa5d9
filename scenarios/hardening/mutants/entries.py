"""Entries of the cache that are believed, left, or passed over in silence; leaders that take followers with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from hardening.mutants.patching import put
from signal_service.store import cache, cache_entry
from signal_service.store.cache import Cache, Found
from signal_service.store.cache_entry import FORMAT, CorruptError, Envelope, age_of


def entries_of_other_keys_believed() -> None:
    """What lies under a key is taken for that key's: the entry's own key is written and never read."""
    unpack = cache_entry.unpack

    def trusting(key: str, raw: bytes, left_s: float | None) -> Envelope:
        try:
            own = json.loads(raw)["body"][0]
        except (ValueError, LookupError, TypeError):
            own = key
        return unpack(own if isinstance(own, str) else key, raw, left_s)

    put(cache, "unpack", trusting)


def checksums_not_compared() -> None:
    """An entry that is still JSON is believed, whatever its checksum says."""

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


def bad_entries_left() -> None:
    """A bad entry is counted and stays where it is, to be met again."""

    async def counted_only(self: Cache[Any], key: str, error: Exception) -> None:
        why = error.why if isinstance(error, CorruptError) else "value"
        self._emit("cache", key=key, event="corrupt", why=why)

    put(Cache, "_drop_corrupt", counted_only)


def bad_entries_not_counted() -> None:
    """A bad entry is deleted and nobody hears of it."""

    async def in_silence(self: Cache[Any], key: str, error: Exception) -> None:
        await self._link.run(lambda client: client.delete(self._prefix + key))

    put(Cache, "_drop_corrupt", in_silence)


def leader_takes_followers() -> None:
    """The load is cancelled with whoever began it, however many wait for it."""

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
