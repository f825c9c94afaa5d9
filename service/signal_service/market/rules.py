"""From indicators to a decision: the vote of a signal, and the rule of an alert."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from signal_service.market.indicators import Values

Decision = Literal["buy", "sell", "hold"]

RSI_LOW, RSI_HIGH = 30.0, 70.0

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

WATCHED: dict[str, str] = {
    "price": "",
    "sma": "sma",
    "ema": "ema",
    "rsi": "rsi",
    "atr": "atr",
    "macd": "macd",
    "macd.signal": "macd",
    "macd.histogram": "macd",
    "bollinger.upper": "bollinger",
    "bollinger.middle": "bollinger",
    "bollinger.lower": "bollinger",
}
"""What an alert may watch, and the indicator that it needs."""


def decide(values: Values, close: float) -> Decision:
    """Each indicator votes; the majority of the votes decides, a tie or no vote holds.

    RSI below 30 votes to buy and above 70 to sell; a close above SMA or EMA to buy, below to sell; a MACD above its
    signal to buy, below to sell; a close below the lower Bollinger band to buy, above the upper one to sell. ATR
    measures how far prices move, not whither, and casts no vote.
    """
    votes = _sign(values.get("rsi"), RSI_LOW, RSI_HIGH)
    votes -= sum(_sign(close, level, level) for level in (values.get("sma"), values.get("ema")) if level is not None)
    votes -= _sign(values.get("macd.histogram"), 0.0, 0.0)
    lower, upper = values.get("bollinger.lower"), values.get("bollinger.upper")
    if lower is not None and upper is not None:
        votes += _sign(close, lower, upper)
    return "buy" if votes > 0 else "sell" if votes < 0 else "hold"


def _sign(value: float | None, low: float, high: float) -> int:
    """1 below ``low``, -1 above ``high``, else 0."""
    if value is None:
        return 0
    return (value < low) - (value > high)


class RuleError(ValueError):
    """A rule that cannot be.

    Attributes:
        field: the field that is wrong.
        allowed: what would have been right.
    """

    def __init__(self, field: str, allowed: str) -> None:
        super().__init__(f"{field} must be {allowed}")
        self.field = field
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert's condition: ``indicator op value``, for example ``rsi < 30`` or ``price >= 100``."""

    indicator: str
    op: str
    value: float

    @classmethod
    def parse(cls, data: Any) -> Rule:
        """Build from ``{"indicator", "op", "value"}``.

        Raises:
            RuleError: naming the field and what is allowed.
        """
        if not isinstance(data, Mapping) or set(data) != {"indicator", "op", "value"}:
            raise RuleError("rule", "an object with indicator, op and value")
        indicator, op, value = data["indicator"], data["op"], data["value"]
        if not isinstance(indicator, str) or indicator not in WATCHED:
            raise RuleError("rule.indicator", "one of " + ", ".join(WATCHED))
        if not isinstance(op, str) or op not in OPERATORS:
            raise RuleError("rule.op", "one of " + ", ".join(OPERATORS))
        if type(value) not in (int, float) or not abs(value) <= 1e15:
            raise RuleError("rule.value", "a number between -1e15 and 1e15")
        return cls(indicator, op, float(value))

    @property
    def needs(self) -> tuple[str, ...]:
        """The indicators to compute."""
        name = WATCHED[self.indicator]
        return (name,) if name else ()

    def holds(self, values: Values, close: float) -> bool:
        """True when the condition is met now; with too few bars it is not."""
        value = close if self.indicator == "price" else values.get(self.indicator)
        return value is not None and OPERATORS[self.op](value, self.value)

    def text(self) -> str:
        """For people: ``rsi < 30``."""
        return f"{self.indicator} {self.op} {self.value:g}"
