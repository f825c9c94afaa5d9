"""The budgets of a load run: read from TOML, laid over the defaults, checked field by field."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.spec import LoadError

DEFAULTS = Path(__file__).with_name("budgets.toml")

Budgets = Mapping[str, Any]
"""Sections as in ``budgets.toml``; every figure is a number of zero or more."""


def load_budgets(path: Path | None = None) -> dict[str, Any]:
    """The defaults, with what ``path`` says otherwise.

    Raises:
        LoadError: naming the field, its value and what is allowed.
    """
    found = tomllib.loads(DEFAULTS.read_text(encoding="utf-8"))
    if path is None:
        return found
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LoadError("--budgets", str(path), f"a readable TOML file ({error})") from None
    _lay_over(found, own, "")
    return found


def _lay_over(base: dict[str, Any], over: Mapping[str, Any], where: str) -> None:
    for name, value in over.items():
        field = f"{where}{name}"
        if name not in base:
            raise LoadError(f"budgets.{field}", value, "one of " + ", ".join(f"{where}{known}" for known in base))
        if isinstance(base[name], dict):
            if not isinstance(value, Mapping):
                raise LoadError(f"budgets.{field}", value, "a table")
            _lay_over(base[name], value, f"{field}.")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise LoadError(f"budgets.{field}", value, "a finite number, 0 or more")
        else:
            base[name] = value
