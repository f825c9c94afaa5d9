"""What a long job reports while it runs: the command line draws it, other callers ignore it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """What one history shows: how many events, which claims are decided either way, which fault kinds had an effect."""

    events: int
    settled: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()


class Progress:
    """Called while the job runs."""

    def started(self, names: Sequence[str]) -> None:
        """Scenarios of the live world that will run, or may if time is left."""

    def phase(self, scenario: str, phase: str) -> None:
        """A live scenario entered a phase."""

    def finished(self, scenario: str, problem: str, seen: Seen) -> None:
        """A live scenario ended, with a problem or (empty) without."""

    def skipped(self, scenario: str) -> None:
        """The budget left no time for this live scenario."""

    def explored(self, run: Mapping[str, Any]) -> None:
        """One schedule was run in the simulated world; see ``hardening.sessions.sim_worker``."""

    def sabotaged(self, row: Mapping[str, Any], done: int, total: int) -> None:
        """One sabotage was tried."""

    def loaded(self, name: str, said: str) -> None:
        """A load run ended; what came of it, in words."""
