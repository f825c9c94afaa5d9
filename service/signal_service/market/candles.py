"""Candles: one bar of a symbol, and the check that a list of them can be believed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

TIMEFRAMES: dict[str, int] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}
"""Name and length in seconds."""

BARS_MAX = 5_000
_FIGURES = frozenset({int, float})


class CandleError(ValueError):
    """A list of candles that cannot be.

    Attributes:
        bar: index of the first bad bar, -1 when the whole is wrong.
    """

    def __init__(self, message: str, bar: int = -1) -> None:
        super().__init__(message if bar < 0 else f"candles[{bar}]: {message}")
        self.bar = bar


class Candle(NamedTuple):
    """One bar: ``t`` is the epoch second at which it opened; prices in the quote currency."""

    t: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def parse_candles(data: Any, symbol: str, timeframe: str) -> tuple[Candle, ...]:
    """The ticker's JSON as candles, oldest first; bars may be missing.

    Raises:
        CandleError: another symbol or timeframe, or a bar that cannot be.
    """
    if not isinstance(data, dict) or data.get("symbol") != symbol or data.get("timeframe") != timeframe:
        raise CandleError(f"not the candles of {symbol} {timeframe}")
    bars = data.get("candles")
    if not isinstance(bars, list) or len(bars) > BARS_MAX:
        raise CandleError(f"candles must be a list of at most {BARS_MAX}")
    try:
        rows = [(bar["t"], bar["o"], bar["h"], bar["l"], bar["c"], bar["v"]) for bar in bars]
    except (KeyError, TypeError, IndexError):
        raise CandleError("a bar must have t, o, h, l, c, v") from None
    if not rows:
        raise CandleError("there must be at least one bar")
    return validate_candles(rows)


def validate_candles(rows: Iterable[Sequence[Any]]) -> tuple[Candle, ...]:
    """Rows of ``(t, open, high, low, close, volume)`` as candles.

    Raises:
        CandleError: a value that is no finite number, a price not above zero, low and high that do not enclose
            open and close, or times that do not ascend.
    """
    candles = []
    last_t = -1
    for index, (t, *figures) in enumerate(rows):
        if type(t) is not int or t <= last_t:
            raise CandleError("t must be a whole number and ascend", index)
        try:
            # One look at all types: this loop runs over every bar of every answer.
            good = _FIGURES.issuperset(map(type, figures)) and all(map(math.isfinite, figures))
        except OverflowError:
            good = False
        if not good:
            raise CandleError("prices and volume must be finite numbers", index)
        candle = Candle(t, *map(float, figures))
        _, opened, high, low, closed, volume = candle
        if not (0 < low <= opened <= high and low <= closed <= high and volume >= 0):
            raise CandleError("must be 0 < low <= open, close <= high and volume >= 0", index)
        last_t = t
        candles.append(candle)
    return tuple(candles)
