"""The budgets: read from TOML, checked field by field, laid over the defaults. Pure."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hardening.load.shapes import SHAPES

DEFAULTS = Path(__file__).with_name("budgets.toml")
ENDPOINTS = ("signal", "batch", "alert", "critical")
PERCENTILES: Mapping[str, float] = MappingProxyType({"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99_9": 0.999})

_COUNT = (0.0, 1e9)
_SECONDS = (0.001, 86_400.0)
_MS = (0.001, 3_600_000.0)
_SHARE = (0.0, 1.0)
_LATENCY = {f"{name}_ms_max": _MS for name in PERCENTILES}

BOUNDS: Mapping[str, Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "rate": {"window_s": _SECONDS, "accepted_max": (1, 1e9), "accepted_overload_min": _COUNT},
        "retry_after": {"slack_s": (0.0, 60.0), "wait_503_s_max": _SECONDS},
        "in_flight": {"in_flight_max": (1, 1e6), "at_rest_max": _COUNT},
        "memory": {
            "rss_mb_max": (1, 1e7),
            "growth_mb_max": (0.0, 1e6),
            "growth_bytes_per_request_max": (0.0, 1e9),
            "warmup_share": (0.0, 0.9),
        },
        "cpu": {"cpu_share_max": (0.01, 1024.0), "window_s": _SECONDS},
        "request": {"longest_ms_max": _MS},
        **{f"latency.{endpoint}": _LATENCY for endpoint in ENDPOINTS},
        "errors": {"share_max": _SHARE},
        "critical": {"refused_max": _COUNT},
        "shed": {"out_of_order_max": _COUNT},
        "alerts": {"lost_max": _COUNT, "twice_max": _COUNT},
        "recovery": {"spike_s_max": _SECONDS},
        "agreement": {"difference_max": _COUNT},
        "lone_client": {"turned_away_max": _COUNT},
    }
)
"""Section -> field -> least and most that it may be."""

NAMES: tuple[str, ...] = (
    *("rate.accepted", "rate.overload", "retry_after.429", "retry_after.503", "lone_client.admitted"),
    *("in_flight.max", "in_flight.at_rest", "memory.rss", "memory.growth", "memory.per_request", "cpu.share"),
    "request.longest",
    *(f"latency.{endpoint}.{name}" for endpoint in ENDPOINTS for name in PERCENTILES),
    *("errors.share", "critical.refused", "shed.order", "alerts.lost", "alerts.twice"),
    *("recovery.spike", "agreement.counters"),
)
"""Every budget line, in the order of the report."""


class BudgetError(ValueError):
    """Budgets that cannot be; the message names the field, its value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"budgets.{field} is {value!r}, allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class Budgets:
    """All figures by section, and the lines that a shape must not leave UNKNOWN."""

    figures: Mapping[str, Mapping[str, float]]
    required: Mapping[str, Sequence[str]]

    def get(self, section: str, name: str) -> float:
        """One figure, such as ``get("rate", "accepted_max")``."""
        return self.figures[section][name]

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {"figures": {k: dict(v) for k, v in self.figures.items()}, "required": dict(self.required)}


def load(path: Path | None = None) -> Budgets:
    """The defaults, and ``path`` laid over them.

    Raises:
        BudgetError: for a file that cannot be read, an unknown name, or a value out of bounds.
    """
    figures = {section: dict(fields) for section, fields in _flat(_read(DEFAULTS)).items()}
    required = _required(_read(DEFAULTS).get("required", {}))
    if path is not None:
        data = _read(path)
        for section, fields in _flat(data).items():
            figures[section].update(fields)
        required.update(_required(data.get("required", {})))
    rate = figures["rate"]
    if rate["accepted_overload_min"] > rate["accepted_max"]:
        raise BudgetError("rate.accepted_overload_min", rate["accepted_overload_min"], "no more than rate.accepted_max")
    return Budgets(figures, required)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BudgetError("file", str(path), f"a readable file ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BudgetError("file", str(path), f"TOML ({error})") from None


def _flat(data: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Sections with their numbers, ``latency`` by endpoint; everything is checked."""
    found: dict[str, dict[str, float]] = {}
    for section, fields in data.items():
        if section == "required":
            continue
        if section == "latency" and isinstance(fields, Mapping):
            for endpoint, inner in fields.items():
                found[f"latency.{endpoint}"] = _numbers(f"latency.{endpoint}", inner)
        else:
            found[section] = _numbers(section, fields)
    return found


def _numbers(section: str, fields: object) -> dict[str, float]:
    if section not in BOUNDS:
        raise BudgetError(section, fields, f"one of {', '.join(BOUNDS)}, required")
    if not isinstance(fields, Mapping):
        raise BudgetError(section, fields, f"a table with {', '.join(BOUNDS[section])}")
    found: dict[str, float] = {}
    for name, value in fields.items():
        if name not in BOUNDS[section]:
            raise BudgetError(f"{section}.{name}", value, ", ".join(BOUNDS[section]))
        least, most = BOUNDS[section][name]
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or not least <= value <= most:
            raise BudgetError(f"{section}.{name}", value, f"a number from {least:g} to {most:g}")
        found[name] = float(value)
    return found


def _required(data: object) -> dict[str, Sequence[str]]:
    if not isinstance(data, Mapping):
        raise BudgetError("required", data, f"a table with {', '.join(SHAPES)}")
    found: dict[str, Sequence[str]] = {}
    for shape, names in data.items():
        if shape not in SHAPES:
            raise BudgetError(f"required.{shape}", names, ", ".join(SHAPES))
        if not isinstance(names, list):
            raise BudgetError(f"required.{shape}", names, "a list of budget lines")
        for name in names:
            if name not in NAMES:
                raise BudgetError(f"required.{shape}", name, ", ".join(NAMES))
        found[shape] = tuple(names)
    return found
