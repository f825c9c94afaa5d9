"""Delta debugging over decisions: the fewest deviations that still fail in the same way, with the roundest values."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from hardening.simulator.core.plan import Decision

T = TypeVar("T", bound=Hashable)

Attempt = Callable[[tuple[Decision, ...]], tuple[Decision, ...] | None]
"""Runs with these decisions; gives those that took effect when it failed in the same way, else None."""


def shrink(decisions: tuple[Decision, ...], attempt: Attempt, *, runs_max: int = 400) -> tuple[Decision, ...]:
    """The smallest failing subset that delta debugging finds, with simpler values.

    Args:
        decisions: they fail.
        attempt: tries a candidate.
        runs_max: how many candidates may be tried.
    """
    budget = Budget(attempt, runs_max)
    current = fewest(decisions, budget)
    current = _nearer_cancels(current, budget)
    return _rounder(current, budget)


class Budget(Generic[T]):
    """Counts attempts and remembers those that failed to fail.

    Args:
        attempt: tries some things; gives those that took effect when it failed in the same way, else None.
        runs_max: how often it may be asked.
    """

    def __init__(self, attempt: Callable[[tuple[T, ...]], tuple[T, ...] | None], runs_max: int) -> None:
        self._attempt = attempt
        self._left = runs_max
        self._seen: set[tuple[T, ...]] = set()

    def try_(self, candidate: tuple[T, ...]) -> tuple[T, ...] | None:
        """What took effect, when the candidate fails."""
        if self._left <= 0 or candidate in self._seen:
            return None
        self._left -= 1
        self._seen.add(candidate)
        return self._attempt(candidate)


def fewest(current: tuple[T, ...], budget: Budget[T]) -> tuple[T, ...]:
    """Zeller's ddmin, complements only, until no single decision can go."""
    empty = budget.try_(())
    if empty is not None:
        return ()
    pieces = 2
    while len(current) >= 2:
        size = -(-len(current) // pieces)
        for start in range(0, len(current), size):
            part = current[start : start + size]
            rest = current[:start] + current[start + size :]
            if pieces > 2 or len(current) > 2:
                worked = budget.try_(part) if len(part) < len(rest) else None
                if worked is not None:
                    current, pieces = _smaller(worked, part), 2
                    break
            worked = budget.try_(rest)
            if worked is not None:
                current, pieces = _smaller(worked, rest), max(2, pieces - 1)
                break
        else:
            if size == 1:
                break
            pieces = min(len(current), pieces * 2)
    return current


def _smaller(effective: tuple[T, ...], tried: tuple[T, ...]) -> tuple[T, ...]:
    """What took effect may be less than what was asked for, never more."""
    return effective if len(effective) <= len(tried) else tried


def _nearer_cancels(current: tuple[Decision, ...], budget: Budget[Decision]) -> tuple[Decision, ...]:
    """Draws that only keep a cancellation at its step can go when the cancellation moves along."""
    if not any(d.kind == "cancel" for d in current) or len(current) < 2:
        return current
    for decision in [d for d in current if d.kind != "cancel"]:
        if decision not in current:
            continue
        rest = tuple(d for d in current if d is not decision)
        for shift in (1, -1, 2, -2, 3, -3, 4, -4, 6, -6):
            moved = tuple(
                Decision("cancel", d.who, max(1, d.index + shift), d.value) if d.kind == "cancel" else d for d in rest
            )
            worked = budget.try_(moved)
            if worked is not None:
                current = _smaller(worked, moved)
                break
    return current


def _rounder(current: tuple[Decision, ...], budget: Budget[Decision]) -> tuple[Decision, ...]:
    """Values with as few digits as still fail."""
    for place, decision in enumerate(current):
        if decision.kind != "draw" or isinstance(decision.value, int):
            continue
        for digits in (1, 2, 3):
            value = float(f"{decision.value:.{digits}g}")
            if value == decision.value:
                break
            rounded = Decision(decision.kind, decision.who, decision.index, value)
            candidate = (*current[:place], rounded, *current[place + 1 :])
            if budget.try_(candidate) is not None:
                current = candidate
                break
    return current
