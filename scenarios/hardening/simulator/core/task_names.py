"""Task names in which a library counts its objects over the whole process (``pool-7-worker``), told apart by run.

Draws and cancellations are named by task. A counter that goes on from run to run would give each run other names, and
a fresh process others again: such a number is replaced by the one it would have had in the first run.
"""

from __future__ import annotations

import re

NUMBER = re.compile(r"\d+")

STRIDE = 16
"""A counter may have been used for that many other things between two runs."""


class TaskNames:
    """The names of one exploration; ``begin`` starts a run."""

    def __init__(self) -> None:
        self._first: dict[str, list[int]] = {}
        self._highest: dict[str, list[int]] = {}
        self._now: dict[str, list[int]] = {}
        self._shifts: dict[str, list[int]] = {}

    def begin(self) -> None:
        """A run begins: what the last one counted is known now."""
        for pattern, numbers in self._now.items():
            known = self._highest.setdefault(pattern, numbers)
            self._highest[pattern] = [max(pair) for pair in zip(known, numbers, strict=True)]
        self._now = {}
        self._shifts = {}

    def in_this_run(self, name: str) -> str:
        """The name as it would be in the first run."""
        found = NUMBER.findall(name)
        if not found:
            return name
        numbers = [int(digits) for digits in found]
        pattern = NUMBER.sub("#", name)
        shifts = self._shifts.get(pattern)
        if shifts is None:
            shifts = self._shifts[pattern] = self._drift(pattern, numbers)
        now = self._now.setdefault(pattern, numbers)
        self._now[pattern] = [max(pair) for pair in zip(now, numbers, strict=True)]
        if not any(shifts):
            return name
        rest = iter(zip(numbers, shifts, strict=True))
        return NUMBER.sub(lambda _: str(max(0, (pair := next(rest))[0] - pair[1])), name)

    def _drift(self, pattern: str, numbers: list[int]) -> list[int]:
        """How far each number of the first such name of a run is from that of the first run, where it only grows."""
        first = self._first.setdefault(pattern, numbers)
        highest = self._highest.get(pattern)
        if highest is None:
            return [0] * len(numbers)
        return [
            number - start if top < number <= top + STRIDE else 0
            for number, start, top in zip(numbers, first, highest, strict=True)
        ]
