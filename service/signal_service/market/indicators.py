"""Indicators over closes and candles, each equal to TA-Lib's (the oracle of the tests).

Every function returns one value a bar, ``None`` where too few bars came before. Sums run along incrementally, in
TA-Lib's own order of operations: rounding is part of the answer where prices hardly move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from signal_service.market.candles import Candle

Series = list[float | None]
Values = dict[str, float | None]

NAMES = ("sma", "ema", "rsi", "macd", "bollinger", "atr")
ZERO = 1e-14
"""What TA-Lib takes for zero."""


def sma(closes: Sequence[float], period: int = 20) -> Series:
    """Simple moving average."""
    out: Series = [None] * min(period - 1, len(closes))
    total = sum(closes[: period - 1])
    for index in range(period - 1, len(closes)):
        total += closes[index]
        out.append(total / period)
        total -= closes[index - period + 1]
    return out


def ema(closes: Sequence[float], period: int = 20, start: int = 0) -> Series:
    """Exponential moving average, seeded with the mean of the first ``period`` values from ``start`` on."""
    first = start + period - 1
    if len(closes) <= first:
        return [None] * len(closes)
    factor = 2.0 / (period + 1)
    value = 0.0
    for close in closes[start : first + 1]:
        value += close
    value /= period
    out: Series = [None] * first + [value]
    for close in closes[first + 1 :]:
        value += (close - value) * factor
        out.append(value)
    return out


def rsi(closes: Sequence[float], period: int = 14) -> Series:
    """Relative strength index after Wilder, 0 to 100; 0 when nothing moved."""
    out: Series = [None] * min(period, len(closes))
    gain = loss = 0.0
    for index, (before, close) in enumerate(pairwise(closes), 1):
        change = close - before
        if index > period:
            gain, loss = gain * (period - 1), loss * (period - 1)
        if change > 0.0:
            gain += change
        else:
            loss -= change
        if index < period:
            continue
        gain, loss = gain / period, loss / period
        moved = gain + loss
        out.append(100.0 * (gain / moved) if moved >= ZERO else 0.0)
    return out


def macd(closes: Sequence[float], fast: int = 12, slow: int = 26, signal: int = 9) -> tuple[Series, Series, Series]:
    """Convergence of two exponential averages: line, signal, histogram; all begin where the signal does."""
    slow_line = ema(closes, slow)
    fast_line = ema(closes, fast, start=slow - fast)  # both are seeded at the same bar
    line = [f - s for f, s in zip(fast_line, slow_line, strict=True) if f is not None and s is not None]
    signals = [value for value in ema(line, signal) if value is not None]
    empty: Series = [None] * (len(closes) - len(signals))
    lines = line[len(line) - len(signals) :]
    histogram = [value - mean for value, mean in zip(lines, signals, strict=True)]
    return [*empty, *lines], [*empty, *signals], [*empty, *histogram]


def bollinger(closes: Sequence[float], period: int = 20, deviations: float = 2.0) -> tuple[Series, Series, Series]:
    """Simple average and bands of so many standard deviations (of the population): upper, middle, lower."""
    middle = sma(closes, period)
    upper: Series = []
    lower: Series = []
    for index, mean in enumerate(middle):
        if mean is None:
            upper.append(None)
            lower.append(None)
            continue
        # Not from a running sum of squares: that cancels to nothing where prices hardly move.
        variance = sum((close - mean) ** 2 for close in closes[index - period + 1 : index + 1]) / period
        width = deviations * math.sqrt(variance)
        upper.append(mean + width)
        lower.append(mean - width)
    return upper, middle, lower


def atr(candles: Sequence[Candle], period: int = 14) -> Series:
    """Average true range after Wilder, in the price's unit."""
    out: Series = [None] * min(period, len(candles))
    value = 0.0
    for index in range(1, len(candles)):
        bar, before = candles[index], candles[index - 1].close
        true_range = max(bar.high - bar.low, abs(before - bar.high), abs(before - bar.low))
        if index <= period:
            value += true_range
            if index < period:
                continue
            value /= period
        else:
            value = (value * (period - 1) + true_range) / period
        out.append(value)
    return out


def latest(candles: Sequence[Candle], names: Sequence[str]) -> Values:
    """The last value of each named indicator, ``None`` with too few bars.

    ``macd`` gives ``macd``, ``macd.signal``, ``macd.histogram``; ``bollinger`` gives ``bollinger.upper``,
    ``bollinger.middle``, ``bollinger.lower``; the others give their own name. An unknown name is a KeyError.
    """
    closes = [candle.close for candle in candles]
    found: Values = {}
    for name in names:
        match name:
            case "macd":
                parts = zip(("macd", "macd.signal", "macd.histogram"), macd(closes), strict=True)
            case "bollinger":
                parts = zip(tuple(f"bollinger.{part}" for part in BANDS), bollinger(closes), strict=True)
            case "atr":
                parts = zip(("atr",), (atr(candles),), strict=True)
            case _:
                parts = zip((name,), (ON_CLOSES[name](closes),), strict=True)
        found.update((part, series[-1] if series else None) for part, series in parts)
    return found


BANDS = ("upper", "middle", "lower")
ON_CLOSES = {"sma": sma, "ema": ema, "rsi": rsi}
