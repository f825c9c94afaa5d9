"""The two questions that most parameters are asked; each refusal is one line naming field, value and allowed."""

from __future__ import annotations

from collections.abc import Iterable

from hardening.faults.base import FaultError


def between(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside ``low`` to ``high``, both included.

    Raises:
        FaultError: naming ``fault.<name>``.
    """
    if not low <= value <= high:
        raise FaultError(f"fault.{name}", value, f"{low:g} to {high:g}")


def one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse a word that is not on the list.

    Raises:
        FaultError: naming ``fault.<name>``.
    """
    words = tuple(allowed)
    if value not in words:
        raise FaultError(f"fault.{name}", value, ", ".join(words))
