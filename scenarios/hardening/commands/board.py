"""What ``certify`` shows while it runs: a row per component with its settled claims, and a line per finished scenario.

In come the calls of ``Progress``; out comes text on a console. Durations are wall seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from hardening.certify.progress import Progress, Seen
from hardening.claims.claims import CLAIMS, COMPONENTS
from hardening.commands.screen import Screen


class Board(Progress):
    """Draws on ``console``; ``with Board(console) as board`` while the job runs."""

    def __init__(self, console: Console) -> None:
        self._screen = Screen(console, self._draw)
        self._now: dict[str, str] = {}
        self._settled: set[str] = set()
        self._failed: set[str] = set()
        self._effective: set[str] = set()
        self._schedules: dict[str, int] = {}
        self._ended = 0
        self._total = 0
        self._proof = ""

    def __enter__(self) -> Self:
        self._screen.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._screen.__exit__(*exc)

    def started(self, names: Sequence[str]) -> None:
        """See ``Progress``."""
        self._total += len(names)
        self._screen.update()

    def phase(self, scenario: str, phase: str) -> None:
        """See ``Progress``."""
        self._now[scenario] = phase
        self._screen.update()

    def finished(self, scenario: str, problem: str, seen: Seen) -> None:
        """See ``Progress``; a problem is shown at once."""
        self._now.pop(scenario, None)
        self._ended += 1
        self._settled |= set(seen.settled)
        self._effective |= set(seen.effective)
        more = f" - problem: {problem}" if problem else ""
        self._screen.line(f"{scenario}: {seen.events} events, live{more}", style="red" if problem else "dim")

    def skipped(self, scenario: str) -> None:
        """See ``Progress``."""
        self._ended += 1
        self._screen.line(f"{scenario}: not run live, the budget leaves no time", style="dim")

    def explored(self, run: Mapping[str, Any]) -> None:
        """See ``Progress``; only the first schedule and a failure are lines of their own."""
        name = str(run["scenario"])
        self._schedules[name] = int(run["schedules"])
        self._settled |= set(run["settled"])
        self._effective |= set(run["effective"])
        if "failed" in run:
            self._failed.add(str(run["failed"]))
            what = run["failed"] or run["problem"]
            self._screen.line(f"{name}: {what} fails under schedule {run['schedule']}, simulated", style="bold red")
        elif run["schedules"] == 1:
            self._screen.line(f"{name}: {run['events']} events, simulated", style="dim")
        self._screen.update()

    def sabotaged(self, row: Mapping[str, Any], done: int, total: int) -> None:
        """See ``Progress``."""
        self._proof = f"{done} of {total} sabotages tried"
        found = f"detected by {', '.join(row['by'])}" if row["detected"] else "NOT DETECTED"
        style = "dim" if row["detected"] else "bold red"
        self._screen.line(f"{row['name']}: {found} in {row['schedules']} schedules, {row['seconds']} s", style=style)

    def loaded(self, name: str, said: str) -> None:
        """See ``Progress``."""
        self._now.pop(name, None)
        self._screen.line(f"{name}: {said}", style="dim")

    def _draw(self) -> RenderableType:
        table = Table(box=None, pad_edge=False)
        for column in ("component", "claims settled", ""):
            table.add_column(column)
        for component, title in COMPONENTS.items():
            claims = [claim for claim, one in CLAIMS.items() if one.component == component]
            done = [claim for claim in claims if claim in self._settled | self._failed]
            bar = "".join("x" if c in self._failed else "#" if c in done else "." for c in claims)
            table.add_row(f"{component} {title}", f"{len(done)} of {len(claims)}", bar)
        schedules = sum(self._schedules.values())
        totals = f"{schedules} schedules in virtual time, {len(self._effective)} kinds of fault had an effect"
        live = f"live {self._ended} of {self._total}: " + ", ".join(f"{n} {what}" for n, what in self._now.items())
        return Group(table, Text(totals), Text(live, overflow="ellipsis", no_wrap=True), Text(self._proof))
