"""The ticker: candles of a symbol."""

from __future__ import annotations

from signal_service.clients.downstream import Ask, Downstream
from signal_service.clients.errors import DownstreamError, UnknownSymbolError
from signal_service.market.candles import Candle, parse_candles


class TickerClient:
    """``GET /candles/{symbol}``."""

    def __init__(self, downstream: Downstream) -> None:
        self.downstream = downstream

    async def candles(self, symbol: str, timeframe: str, limit: int) -> tuple[Candle, ...]:
        """The last ``limit`` bars at most, oldest first; ``symbol`` and ``timeframe`` are already validated.

        Raises:
            UnknownSymbolError: the ticker has no such symbol.
            DownstreamError: no usable answer.
        """
        ask = Ask("GET", f"/candles/{symbol}", params={"timeframe": timeframe, "limit": str(limit)})
        try:
            return await self.downstream.call(ask, lambda data: parse_candles(data, symbol, timeframe)[-limit:])
        except DownstreamError as error:
            if error.status == 404:
                raise UnknownSymbolError(symbol) from error
            raise

    async def health(self) -> None:
        """Raises DownstreamError when it is not well."""
        await self.downstream.health()
