from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from back_world import Clock, Events, pass_time, run
from hypothesis import given
from hypothesis import strategies as st

from signal_service.clients.errors import BreakerOpenError, DownstreamError, UnknownSymbolError
from signal_service.config.settings import CacheSettings
from signal_service.market.candles import Candle
from signal_service.store.cache import Cache
from signal_service.store.historical_data import HistoricalData, NotCachedError, decode, encode
from signal_service.store.redis_link import RedisLink

PRICES = st.floats(0.01, 1e6)


class Ticker:
    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    async def candles(self, symbol: str, timeframe: str, limit: int) -> tuple[Candle, ...]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return tuple(Candle(60 * i, 1.0, 2.0, 1.0, 1.0 + self.asked / 10, 3.0) for i in range(5))


def world() -> tuple[HistoricalData, Ticker, Clock, fakeredis.FakeAsyncRedis]:
    clock, events, client, ticker = Clock(), Events(), fakeredis.FakeAsyncRedis(), Ticker()
    link = RedisLink(client, events, clock)
    cache: Cache[Any] = Cache(link, CacheSettings(), encode, decode, emit=events, monotonic=clock, wall=lambda: 1.0)
    return HistoricalData(cache, ticker), ticker, clock, client  # type: ignore[arg-type]


def test_candles_come_from_the_ticker_then_from_the_cache_and_say_so():
    async def main() -> None:
        data, ticker, clock, client = world()
        first = await data.get("ACME", "1m")
        assert (first.source, first.degraded, first.as_of, first.age_s) == ("ticker", False, 240, 0.0)
        await pass_time(clock, client, 30)
        second = await data.get("ACME", "1m")
        assert (second.source, second.degraded, round(second.age_s)) == ("cache", False, 30)
        assert second.candles == first.candles
        assert ticker.asked == 1
        assert (await data.get("ACME", "5m")).source == "ticker"

    run(main())


@pytest.mark.parametrize("error", [DownstreamError("ticker", "timeout"), BreakerOpenError("ticker", 60.0)])
def test_when_the_ticker_fails_stale_candles_are_given_and_marked_within_their_grace(error: Exception):
    async def main() -> None:
        data, ticker, clock, client = world()
        await data.get("ACME", "1m")
        ticker.error = error
        await pass_time(clock, client, 61)
        stale = await data.get("ACME", "1m")
        assert (stale.source, stale.degraded, round(stale.age_s)) == ("stale", True, 61)
        await pass_time(clock, client, 299)
        with pytest.raises(DownstreamError):
            await data.get("ACME", "1m")

    run(main())


def test_a_symbol_that_is_gone_is_not_answered_with_stale_candles():
    async def main() -> None:
        data, ticker, clock, client = world()
        await data.get("ACME", "1m")
        ticker.error = UnknownSymbolError("ACME")
        await pass_time(clock, client, 61)
        with pytest.raises(UnknownSymbolError):
            await data.get("ACME", "1m")

    run(main())


def test_with_cache_only_the_ticker_is_never_asked():
    async def main() -> None:
        data, ticker, clock, client = world()
        with pytest.raises(NotCachedError):
            await data.get("ACME", "1m", cache_only=True)
        await data.get("ACME", "1m")
        assert (await data.get("ACME", "1m", cache_only=True)).source == "cache"
        await pass_time(clock, client, 61)
        assert (await data.get("ACME", "1m", cache_only=True)).source == "stale"
        assert ticker.asked == 1

    run(main())


@given(st.lists(st.tuples(PRICES, PRICES, PRICES, PRICES, st.floats(0, 1e12)), min_size=1, max_size=20))
def test_what_the_cache_holds_is_what_was_put_in(rows: list[tuple[float, ...]]):
    candles = tuple(
        Candle(index, prices[0], max(prices), min(prices), prices[1], volume)
        for index, (*prices, volume) in enumerate(rows)
    )
    assert decode(encode(candles)) == candles


@pytest.mark.parametrize("data", [None, 7, [], [1], [[1]], [[0, 1, 2, 1, 1]], [[0, 1, 2, 1, 1, "x"]], "text", {"a": 1}])
def test_data_that_is_no_candles_is_refused(data: Any):
    with pytest.raises(ValueError):  # noqa: PT011
        decode(data)
