"""The stand-in's candles: repeatable, with gaps, or a user's own."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.worlds.shared.market import TIMEFRAME_S, CsvError, CsvMarket, SeededMarket

NOW_S = 1_795_442_340.0


@given(
    seed=st.integers(0, 2**32),
    symbol=st.from_regex(r"\A[A-Z]{1,5}\Z"),
    timeframe=st.sampled_from(sorted(TIMEFRAME_S)),
    limit=st.integers(1, 300),
)
def test_candles_are_sound_and_the_same_for_the_same_seed(seed: int, symbol: str, timeframe: str, limit: int) -> None:
    bars = SeededMarket(seed).candles(symbol, timeframe, limit, NOW_S)
    assert bars is not None
    assert bars == SeededMarket(seed).candles(symbol, timeframe, limit, NOW_S)
    assert 0 < len(bars) <= limit
    for bar in bars:
        assert 0 < bar["l"] <= min(bar["o"], bar["c"]) <= max(bar["o"], bar["c"]) <= bar["h"]
        assert bar["t"] % TIMEFRAME_S[timeframe] == 0
        assert bar["t"] + TIMEFRAME_S[timeframe] <= NOW_S
    times = [bar["t"] for bar in bars]
    assert times == sorted(set(times))


def test_bars_are_missing_and_there_are_gaps() -> None:
    bars = SeededMarket(0).candles("AAPL", "1m", 300, NOW_S)
    assert bars is not None
    steps = {int(b["t"] - a["t"]) // 60 for a, b in pairwise(bars)}
    assert {1, 2} <= steps
    assert max(steps) >= 5


def test_an_unknown_symbol_has_no_candles() -> None:
    assert SeededMarket(0).candles("NOPE", "1m", 10, NOW_S) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,open\n1,2\n", "column 'high' is missing"),
        ("time,open,high,low,close,volume\n", "no rows"),
        ("time,open,high,low,close,volume\n1,2,x,1,2,3\n", "line 2: column 'high' is 'x'"),
        ("time,open,high,low,close,volume\n1,2,-3,1,2,3\n", "line 2: column 'high' is '-3'"),
        ("time,open,high,low,close,volume\n1,2,nan,1,2,3\n", "column 'high' is 'nan'"),
    ],
)
def test_a_bad_csv_is_refused_by_line_and_column(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(CsvError, match=message):
        CsvMarket.load(path)


def test_a_csv_serves_its_symbols_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "good.csv"
    path.write_text("symbol,time,open,high,low,close,volume\nA,120,2,3,1,2,5\nA,60,2,3,1,2,5\nB,60,9,9,9,9,0\n")
    market = CsvMarket.load(path)
    bars = market.candles("A", "1m", 10, NOW_S)
    assert bars is not None
    assert [bar["t"] for bar in bars] == [60, 120]
    assert market.candles("C", "1m", 10, NOW_S) is None
