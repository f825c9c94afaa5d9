"""The levels of pressure, and which one was in force when."""

from __future__ import annotations

from bisect import bisect_right

from hardening.claims.views import Life
from hardening.history.events import Event

LEVELS = ("none", "light", "moderate", "heavy")


def rank(name: object) -> int:
    """A level's place, from 0 for none."""
    return LEVELS.index(str(name))


class Timeline:
    """Which level was in force in one life, by the order of events."""

    def __init__(self, life: Life) -> None:
        self.moves = life.states("level")
        self._indices = [e.index for e in self.moves]

    def at(self, event: Event) -> tuple[str, Event | None]:
        """The level at an event, and the move into it."""
        number = bisect_right(self._indices, event.index) - 1
        return ("none", None) if number < 0 else (str(self.moves[number].value["new"]), self.moves[number])

    def spans(self, least: str, run_end_s: float) -> list[tuple[float, float]]:
        """When the level was at least ``least``."""
        found, since = [], None
        for move in self.moves:
            high = rank(move.value["new"]) >= rank(least)
            if high and since is None:
                since = move.t
            elif not high and since is not None:
                found.append((since, move.t))
                since = None
        return [*found, (since, run_end_s)] if since is not None else found

    def highest(self, begin_s: float, end_s: float) -> int:
        """The rank of the highest level that was in force at some moment between the two times."""
        before = [move for move in self.moves if move.t <= begin_s]
        inside = [move for move in self.moves if begin_s < move.t <= end_s]
        return max((rank(move.value["new"]) for move in [*before[-1:], *inside]), default=0)
