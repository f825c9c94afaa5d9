from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import talib
from back_world import candles_json
from hypothesis import given, settings
from hypothesis import strategies as st

from signal_service.market import indicators as ours
from signal_service.market.candles import Candle, CandleError, parse_candles, validate_candles
from signal_service.market.rules import WATCHED, Rule, RuleError, decide

SCALES = [0.0, 1e-9, 1e-6, 1e-3, 0.05]


@st.composite
def bars(draw: st.DrawFn) -> list[Candle]:
    """Candles of any length, from prices that do not move at all to wild ones."""
    price, scale = draw(st.floats(0.01, 1e5)), draw(st.sampled_from(SCALES))
    rng = random.Random(draw(st.integers(0, 2**32)))
    made = []
    for index in range(draw(st.integers(1, 120))):
        before, price = price, price * (1 + scale * rng.uniform(-1, 1))
        high = max(before, price) * (1 + scale * rng.random())
        low = min(before, price) * (1 - scale * rng.random())
        made.append(Candle(index * 60, before, high, low, price, rng.random()))
    return made


def same(mine: ours.Series, oracle: Any, price: float) -> None:
    for index, (value, wanted) in enumerate(zip(mine, oracle, strict=True)):
        assert (value is None) == bool(np.isnan(wanted)), index
        if value is not None:
            assert abs(value - wanted) <= 1e-9 * max(abs(value), abs(wanted), 1e-6 * price), (index, value, wanted)


@settings(max_examples=150, deadline=None)
@given(bars())
def test_every_indicator_equals_talib(candles: list[Candle]):
    closes = [candle.close for candle in candles]
    high, low, close = (np.array([getattr(c, name) for c in candles]) for name in ("high", "low", "close"))
    price = max(closes)
    same(ours.sma(closes), talib.SMA(close, 20), price)
    same(ours.ema(closes), talib.EMA(close, 20), price)
    same(ours.rsi(closes), talib.RSI(close, 14), price)
    same(ours.atr(candles), talib.ATR(high, low, close, 14), price)
    for mine, oracle in zip(ours.macd(closes), talib.MACD(close), strict=True):
        same(mine, oracle, price)
    for mine, oracle in zip(ours.bollinger(closes), talib.BBANDS(close, 20, 2, 2), strict=True):
        same(mine, oracle, price)


@given(st.integers(1, 14))
def test_too_few_bars_give_no_value_and_no_vote(count: int):
    candles = [Candle(i, 1.0, 1.0, 1.0, 1.0, 0.0) for i in range(count)]
    values = ours.latest(candles, ours.NAMES)
    assert set(values) == set(WATCHED) - {"price"}
    assert set(values.values()) == {None}
    assert decide(values, 1.0) == "hold"


@pytest.mark.parametrize(
    ("values", "close", "wanted"),
    [
        ({"rsi": 20.0}, 1.0, "buy"),
        ({"rsi": 80.0}, 1.0, "sell"),
        ({"rsi": 50.0}, 1.0, "hold"),
        ({"sma": 9.0, "ema": 9.0, "rsi": 80.0}, 10.0, "buy"),
        ({"sma": 9.0, "ema": 11.0}, 10.0, "hold"),
        ({"macd": 1.0, "macd.signal": 0.5, "macd.histogram": 0.5}, 1.0, "buy"),
        ({"bollinger.lower": 5.0, "bollinger.middle": 6.0, "bollinger.upper": 7.0}, 8.0, "sell"),
        ({"bollinger.lower": 5.0, "bollinger.middle": 6.0, "bollinger.upper": 7.0}, 4.0, "buy"),
        ({"atr": 3.0}, 4.0, "hold"),
        ({}, 1.0, "hold"),
    ],
)
def test_the_majority_of_votes_decides(values: ours.Values, close: float, wanted: str):
    assert decide(values, close) == wanted


def test_candles_are_parsed_though_bars_are_missing():
    data = candles_json(bars=5)
    del data["candles"][2]
    candles = parse_candles(data, "ACME", "1m")
    assert [candle.t for candle in candles] == [0, 60, 180, 240]


BAD = [
    ("t", -1), ("t", 60.0), ("t", "60"), ("t", True), ("o", float("nan")), ("h", float("inf")), ("l", 0), ("l", -1.0),
    ("l", 13.0), ("h", 8.0), ("c", "11"), ("c", None), ("c", 10**400), ("v", -1), ("o", True),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_bar_that_cannot_be_is_refused(field: str, value: object):
    data = candles_json()
    data["candles"][1][field] = value
    with pytest.raises(CandleError):
        parse_candles(data, "ACME", "1m")


@pytest.mark.parametrize(
    "data", [None, [], {}, candles_json(bars=0), candles_json("OTHER"), {**candles_json(), "candles": [{"t": 1}]}]
)
def test_an_answer_of_another_shape_or_symbol_is_refused(data: object):
    with pytest.raises(CandleError):
        parse_candles(data, "ACME", "1m")


@given(st.lists(st.lists(st.one_of(st.floats(), st.integers(), st.none(), st.text()), max_size=7), max_size=4))
def test_whatever_rows_come_they_are_candles_or_refused(rows: list[list[Any]]):
    try:
        found = validate_candles(rows)
    except (ValueError, TypeError):
        return
    assert all(0 < bar.low <= min(bar.open, bar.close) for bar in found)


def test_an_alert_rule_holds_or_not_and_never_without_a_value():
    rule = Rule.parse({"indicator": "rsi", "op": "<", "value": 30})
    assert rule.needs == ("rsi",)
    assert rule.text() == "rsi < 30"
    assert rule.holds({"rsi": 29.9}, 1.0)
    assert not rule.holds({"rsi": 30.0}, 1.0)
    assert not rule.holds({"rsi": None}, 1.0)
    assert Rule.parse({"indicator": "price", "op": ">=", "value": 5}).holds({}, 5.0)


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (None, "rule"),
        ({"indicator": "rsi", "op": "<"}, "rule"),
        ({"indicator": "pe", "op": "<", "value": 1}, "rule.indicator"),
        ({"indicator": ["rsi"], "op": "<", "value": 1}, "rule.indicator"),
        ({"indicator": "rsi", "op": "!=", "value": 1}, "rule.op"),
        ({"indicator": "rsi", "op": "<", "value": float("nan")}, "rule.value"),
        ({"indicator": "rsi", "op": "<", "value": True}, "rule.value"),
        ({"indicator": "rsi", "op": "<", "value": "1"}, "rule.value"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_field(rule: object, field: str):
    with pytest.raises(RuleError) as refused:
        Rule.parse(rule)
    assert refused.value.field == field
