"""Candles for the ticker's fake downstream: a seeded generator with gaps and missing bars, or a user's CSV."""

from __future__ import annotations

import csv
import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEFRAME_S: Mapping[str, int] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86400}

_GAP_EVERY_BARS = 97
_GAP_LENGTH_BARS = 5
_MISSING_ONE_IN = 23


class CsvError(ValueError):
    """A CSV that cannot serve as candles; the message names file, line, column and what is allowed."""


def _noise(seed: int, symbol: str, step_s: int, index: int) -> int:
    text = f"{seed}:{symbol}:{step_s}:{index}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class SeededMarket:
    """Prices as a pure function of (seed, symbol, timeframe, bar), so that any bar can be asked for alone."""

    seed: int = 0
    unknown_symbols: frozenset[str] = frozenset({"NOPE"})

    def candles(self, symbol: str, timeframe: str, limit: int, now_s: float) -> list[dict[str, float]] | None:
        """The last ``limit`` closed bars that exist, ascending; ``None`` for an unknown symbol."""
        if symbol in self.unknown_symbols:
            return None
        step_s = TIMEFRAME_S[timeframe]
        last = int(now_s // step_s) - 1
        return list(itertools.islice(self._backwards(symbol, step_s, last), limit))[::-1]

    def _backwards(self, symbol: str, step_s: int, last: int) -> Iterator[dict[str, float]]:
        """Bars from ``last`` into the past, without those that are missing; a bar closes where the next one opens."""
        base = 10 + _noise(self.seed, symbol, 0, 0) % 49_000 / 100
        phase = _noise(self.seed, symbol, 1, 0) % 628 / 100
        closed = _price(base, phase, last + 1, _noise(self.seed, symbol, step_s, last + 1))
        # What all bars have in common is digested once: a cold read takes hundreds of them.
        common = hashlib.blake2b(f"{self.seed}:{symbol}:{step_s}:".encode(), digest_size=8)
        for index in itertools.count(last, -1):
            own = common.copy()
            own.update(b"%d" % index)
            noise = int.from_bytes(own.digest(), "big")
            opened = _price(base, phase, index, noise)
            if index % _GAP_EVERY_BARS >= _GAP_LENGTH_BARS and noise % _MISSING_ONE_IN:
                yield _bar(index * step_s, opened, closed, noise)
            closed = opened


def _bar(t: int, opened: float, closed: float, noise: int) -> dict[str, float]:
    spread = (noise >> 8 & 0xFFFF) / 0xFFFF * 0.002
    low, high = (opened, closed) if opened < closed else (closed, opened)
    return {
        "t": t,
        "o": round(opened, 4),
        "h": round(high * (1 + spread), 4),
        "l": round(low * (1 - spread), 4),
        "c": round(closed, 4),
        "v": 100 + (noise >> 24) % 9900,
    }


def _price(base: float, phase: float, index: int, noise: int) -> float:
    wave = 0.08 * math.sin(index / 41 + phase) + 0.03 * math.sin(index / 7 + 2 * phase)
    jitter = (noise >> 40 & 0xFFFF) / 0xFFFF - 0.5
    return base * math.exp(wave + 0.01 * jitter)


@dataclass(frozen=True, slots=True)
class CsvMarket:
    """Candles from a CSV with the columns ``time,open,high,low,close,volume`` and optionally ``symbol``.

    ``time`` is epoch seconds of the bar's open; the same bars serve every timeframe asked for.
    """

    bars: Mapping[str, list[dict[str, float]]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> CsvMarket:
        """Read the file.

        Raises:
            CsvError: naming file, line, column, value and what is allowed.
        """
        columns = {"time": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
        bars: dict[str, list[dict[str, float]]] = {}
        try:
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                missing = [name for name in columns if name not in (reader.fieldnames or ())]
                if missing:
                    raise CsvError(f"{path}: column {missing[0]!r} is missing, allowed: {','.join(columns)}[,symbol]")
                for row in reader:
                    bar = {short: _number(path, reader.line_num, name, row[name]) for name, short in columns.items()}
                    bars.setdefault((row.get("symbol") or "*").upper(), []).append(bar)
        except OSError as error:
            raise CsvError(f"--candles is {str(path)!r}, allowed: a readable CSV file ({error.strerror})") from error
        if not bars:
            raise CsvError(f"{path}: no rows, allowed: at least one candle")
        return cls({symbol: sorted(found, key=lambda bar: bar["t"]) for symbol, found in bars.items()})

    def candles(self, symbol: str, timeframe: str, limit: int, now_s: float) -> list[dict[str, float]] | None:
        """The last ``limit`` bars of the symbol; ``None`` when the file has none of it."""
        found = self.bars.get(symbol, self.bars.get("*"))
        return None if found is None else found[-limit:]


def _number(path: Path, line: int, column: str, text: Any) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value) or (column != "volume" and value <= 0):
        raise CsvError(f"{path} line {line}: column {column!r} is {text!r}, allowed: a positive finite number")
    return int(value) if column == "time" else value
