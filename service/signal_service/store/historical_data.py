"""Candles through the cache, and a truthful word about where they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from signal_service.clients.errors import DownstreamError
from signal_service.clients.factory import TickerClient
from signal_service.market.candles import TIMEFRAMES, Candle, validate_candles
from signal_service.store.cache import Cache, Found

LIMIT = 200
"""Bars that are asked for: enough for every indicator to settle."""

Candles = tuple[Candle, ...]


class NotCachedError(Exception):
    """Only cached answers were allowed, and there is none."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Candles and their origin.

    Attributes:
        candles: oldest first; never empty.
        source: ``cache`` (fresh), ``stale`` (older than its TTL), ``ticker`` (just loaded).
        as_of: epoch second at which the last bar opened.
        age_s: seconds since they were loaded.
        degraded: stale, or from this process's own copy while Redis is gone.
    """

    candles: Candles
    source: Literal["cache", "stale", "ticker"]
    as_of: int
    age_s: float
    degraded: bool


def encode(candles: Candles) -> list[list[float]]:
    """For the cache; the inverse of ``decode``."""
    return [list(candle) for candle in candles]


def decode(data: Any) -> Candles:
    """From the cache; what was written may have been altered, so everything is checked again.

    Raises:
        ValueError: when they are no candles.
    """
    try:
        candles = validate_candles(data)
    except TypeError as error:
        raise ValueError("not a list of bars") from error
    if not candles:
        raise ValueError("no bars")
    return candles


class HistoricalData:
    """Candles by symbol and timeframe."""

    def __init__(self, cache: Cache[Candles], ticker: TickerClient) -> None:
        self._cache = cache
        self._ticker = ticker

    async def get(self, symbol: str, timeframe: str, cache_only: bool = False) -> Loaded:
        """The candles; stale ones when the ticker fails or, with ``cache_only``, when there are no fresh ones.

        Raises:
            NotCachedError: ``cache_only``, and nothing is known.
            UnknownSymbolError: the ticker has no such symbol.
            DownstreamError: the ticker failed and nothing is known (BreakerOpenError: it was not even asked).
        """
        key = _key(symbol, timeframe)
        if cache_only:
            found = await self._cache.peek(key)
            if found is None:
                raise NotCachedError(key)
            return _loaded(found)

        async def load() -> Candles:
            return await self._ticker.candles(symbol, timeframe, LIMIT)

        try:
            return _loaded(await self._cache.get(key, load))
        except DownstreamError:
            found = self._cache.stale(key)
            if found is None:
                raise
            return _loaded(found)

    async def invalidate(self, symbol: str, timeframe: str | None) -> list[str]:
        """Forget one timeframe of a symbol, or (None) all of them, here and in Redis; returns the cache keys."""
        frames = TIMEFRAMES if timeframe is None else (timeframe,)
        keys = [_key(symbol, frame) for frame in frames]
        for key in keys:
            await self._cache.invalidate(key)
        return keys


def _key(symbol: str, timeframe: str) -> str:
    return f"candles:{symbol}:{timeframe}"


def _loaded(found: Found[Candles]) -> Loaded:
    source: Literal["cache", "stale", "ticker"] = "ticker" if found.source == "load" else found.source
    as_of = found.value[-1].t
    return Loaded(found.value, source, as_of, found.age_s, found.degraded or source == "stale")
