"""Finds where two JSON values first differ: two values in, one sentence out that names the place; empty when equal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

RELATIVE_MAX = 1e-9
"""Numbers this close are equal: the last digits of a sum differ between versions of Python."""

_FIRST = ("predicate", "claims", "verdict", "histories")
"""Read before the rest: what follows from an edited verdict is not what to name."""
_SHOWN_CHARS_MAX = 120


def first_difference(stated: Any, rebuilt: Any, where: str = "") -> str:
    """Empty when they agree, else a sentence that names the place and both values."""
    if isinstance(stated, Mapping) and isinstance(rebuilt, Mapping):
        return _of_mappings(stated, rebuilt, where)
    if isinstance(stated, list) and isinstance(rebuilt, list):
        return _of_lists(stated, rebuilt, where)
    if _equal(stated, rebuilt):
        return ""
    return f"{where or 'the whole'} states {_shown(stated)}, recomputed it is {_shown(rebuilt)}"


def _of_mappings(stated: Mapping[str, Any], rebuilt: Mapping[str, Any], where: str) -> str:
    names = sorted({*stated, *rebuilt}, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    for name in names:
        place = f"{where}.{name}" if where else name
        if name not in rebuilt:
            return f"{place} is stated, and nothing makes it"
        if name not in stated:
            return f"{place} is missing"
        found = first_difference(stated[name], rebuilt[name], place)
        if found:
            return found
    return ""


def _of_lists(stated: list[Any], rebuilt: list[Any], where: str) -> str:
    for number, (one, other) in enumerate(zip(stated, rebuilt, strict=False)):
        found = first_difference(one, other, f"{where}[{_label(one, number)}]")
        if found:
            return found
    if len(stated) != len(rebuilt):
        return f"{where} states {len(stated)} entries, recomputed there are {len(rebuilt)}"
    return ""


def _label(entry: Any, number: int) -> str:
    return str(entry["id"]) if isinstance(entry, Mapping) and entry.get("id") else str(number)


def _equal(one: Any, other: Any) -> bool:
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers) and bool not in {type(one), type(other)}:
        return math.isclose(one, other, rel_tol=RELATIVE_MAX, abs_tol=0.0)
    return type(one) is type(other) and bool(one == other)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "..."
