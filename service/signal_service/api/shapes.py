"""Shapes of requests and answers, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SYMBOL = r"^[A-Z0-9][A-Z0-9._-]{0,19}$"

Timeframe = Literal["1m", "5m", "15m", "1h", "1d"]
Indicator = Literal["sma", "ema", "rsi", "macd", "bollinger", "atr"]


class SignalAnswer(BaseModel):
    """What the candles of a symbol say."""

    user: str
    symbol: str
    timeframe: Timeframe
    signal: Literal["buy", "sell", "hold"]
    price: float = Field(description="Close of the last bar")
    indicators: dict[str, float | None] = Field(description="Last value of each; null with too few bars")
    as_of: int = Field(description="When the last bar opened, in seconds since 1970 UTC")
    degraded: bool = Field(description="True when fresher data could not be had")
    source: Literal["cache", "stale", "ticker"]


class BatchEntry(BaseModel):
    """One symbol of a batch: a signal or the problem that stood in its way."""

    symbol: str
    answer: SignalAnswer | None = None
    problem: dict[str, Any] | None = None


class BatchAnswer(BaseModel):
    """The symbols in the order in which they were asked for."""

    user: str
    results: list[BatchEntry]


class Asked(BaseModel):
    """Base of request bodies: nothing unknown in them."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)


class BatchRequest(Asked):
    """Up to 100 symbols."""

    symbols: list[Annotated[str, Field(pattern=SYMBOL)]] = Field(min_length=1, max_length=100)
    timeframe: Timeframe = "1m"
    indicators: list[Indicator] = Field(default=["sma", "rsi", "macd"], min_length=1, max_length=6)


class AlertRule(Asked):
    """``indicator op value``, for example ``rsi < 30``."""

    indicator: Literal[
        "price", "sma", "ema", "rsi", "atr", "macd", "macd.signal", "macd.histogram",
        "bollinger.upper", "bollinger.middle", "bollinger.lower",
    ]  # fmt: skip
    op: Literal["<", "<=", ">", ">="]
    value: float = Field(ge=-1e15, le=1e15, allow_inf_nan=False)


class AlertRequest(Asked):
    """Tell the user over ``channel`` if ``rule`` holds for the symbol now."""

    symbol: str = Field(pattern=SYMBOL)
    rule: AlertRule
    timeframe: Timeframe = "1m"
    channel: Literal["email", "sms", "push"] = "email"


class AlertAnswer(BaseModel):
    """``accepted``: stored durably, to be delivered. ``not_met``: the rule does not hold, nothing was stored."""

    user: str
    status: Literal["accepted", "not_met"]
    alert_id: str | None = None


class InvalidateRequest(Asked):
    """Forget the candles of one symbol: of one timeframe, or of all of them."""

    symbol: str = Field(pattern=SYMBOL)
    timeframe: Timeframe | None = None


class InvalidateAnswer(BaseModel):
    """The cache keys that are forgotten; a later request gets what is loaded from now on."""

    invalidated: list[str]


class ReadyAnswer(BaseModel):
    """Whether to send requests here; the rest only for a key with the scope ``metrics`` or ``admin``."""

    model_config = ConfigDict(extra="allow")

    status: Literal["ready", "degraded"]
    ready: bool
    degraded: bool


class ChangeAnswer(BaseModel):
    """What came of a reload or rollback."""

    outcome: Literal["applied", "rolled_back", "unchanged"]
    generation: int
