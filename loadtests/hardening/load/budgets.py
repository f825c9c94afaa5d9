"""Every load budget, and its limits: read from TOML, checked field by field, laid over the defaults.

In comes a TOML file of the user's, out come ``Limits``; ``BudgetError`` names the field, its value and what is allowed.
A budget is a judge in one of the modules below with its limits in ``budgets.toml``.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hardening.load import latency_judges, order_judges, process_judges, rate_judges
from hardening.load.budget import Budget, Limits
from hardening.load.shapes import SHAPES

DEFAULTS = Path(__file__).with_name("budgets.toml")
_MODULES = (rate_judges, process_judges, latency_judges, order_judges)


def _in_order() -> dict[str, Budget]:
    """Every budget by its name, in the order in which the defaults have its first limit."""
    found = [one for module in _MODULES for value in vars(module).values() for one in _budgets_of(value)]
    defaults = tomllib.loads(DEFAULTS.read_text(encoding="utf-8"))
    found.sort(key=lambda one: list(defaults).index(next(iter(one.reads)).partition(".")[0]))
    return {one.name: one for one in found}


def _budgets_of(value: object) -> list[Budget]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Budget)]


BUDGETS: Mapping[str, Budget] = MappingProxyType(_in_order())
"""Every budget by its name, in the order of the report."""


def _bounds() -> dict[str, dict[str, tuple[float, float]]]:
    """Section -> field -> least and most that it may be."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for budget in BUDGETS.values():
        for name, bounds in budget.reads.items():
            section, _, field = name.rpartition(".")
            found.setdefault(section, {})[field] = bounds
    return found


BOUNDS = _bounds()


class BudgetError(ValueError):
    """Budgets that cannot be; the message names the field, its value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"budgets.{field} is {value!r}, allowed: {allowed}")


def load(path: Path | None = None) -> Limits:
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
    return Limits(figures, required)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BudgetError("file", str(path), f"a readable file ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
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
            if name not in BUDGETS:
                raise BudgetError(f"required.{shape}", name, ", ".join(BUDGETS))
        found[shape] = tuple(names)
    return found
