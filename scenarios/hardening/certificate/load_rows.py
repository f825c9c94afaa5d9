"""Reads from the row of a load budget in a certificate whether it was held, missed, unknown or not exercised."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class LoadState(StrEnum):
    """``spared``: this load cannot exercise the budget, and need not."""

    HELD = "held"
    MISSED = "missed"
    UNKNOWN = "unknown"
    SPARED = "not exercised"


def load_state(row: Mapping[str, Any]) -> LoadState:
    """Held only when the row says so; UNKNOWN (``verdict``) is a state of its own, and harmless unless ``required``."""
    if row.get("held") is True:
        return LoadState.HELD
    if row.get("verdict") != "UNKNOWN":
        return LoadState.MISSED
    return LoadState.SPARED if row.get("required") is False else LoadState.UNKNOWN
