"""What a certification shows of itself while it runs: a line a component, with schedules, faults that bit, claims.

On a terminal the table is drawn in place; elsewhere each finished scenario is one plain line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hardening.certify.progress import Progress, Seen
from hardening.claims.claims import CLAIMS, COMPONENTS

REFRESH_PER_S = 4


class Board(Progress):
    """Draws on ``console``; ``with Board(console) as board`` while the job runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._now: dict[str, str] = {}
        self._settled: set[str] = set()
        self._failed: set[str] = set()
        self._bitten: set[str] = set()
        self._schedules: dict[str, int] = {}
        self._ended = 0
        self._total = 0
        self._proof = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(self._draw(), console=self._console, refresh_per_second=REFRESH_PER_S, transient=True)
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def started(self, names: Sequence[str]) -> None:
        """See ``Progress``."""
        self._total += len(names)
        self._update()

    def phase(self, scenario: str, phase: str) -> None:
        """See ``Progress``."""
        self._now[scenario] = phase
        self._update()

    def finished(self, scenario: str, problem: str, seen: Seen) -> None:
        """See ``Progress``; a problem is said at once."""
        self._now.pop(scenario, None)
        self._ended += 1
        self._settled |= set(seen.settled)
        self._bitten |= set(seen.bitten)
        more = f" - problem: {problem}" if problem else ""
        self._say(f"{scenario}: {seen.events} events, live{more}", style="red" if problem else "dim")

    def skipped(self, scenario: str) -> None:
        """See ``Progress``."""
        self._ended += 1
        self._say(f"{scenario}: not run live, the budget leaves no time", style="dim")

    def explored(self, run: Mapping[str, Any]) -> None:
        """See ``Progress``; only the first schedule and a failure are lines of their own."""
        name = str(run["scenario"])
        self._schedules[name] = int(run["schedules"])
        self._settled |= set(run["settled"])
        self._bitten |= set(run["bitten"])
        if "failed" in run:
            self._failed.add(str(run["failed"]))
            what = run["failed"] or run["problem"]
            self._say(f"{name}: {what} fails under schedule {run['schedule']}, simulated", style="bold red")
        elif run["schedules"] == 1:
            self._say(f"{name}: {run['events']} events, simulated", style="dim")
        self._update()

    def sabotaged(self, row: Mapping[str, Any], done: int, total: int) -> None:
        """See ``Progress``."""
        self._proof = f"{done} of {total} sabotages tried"
        found = f"detected by {', '.join(row['by'])}" if row["detected"] else "NOT DETECTED"
        style = "dim" if row["detected"] else "bold red"
        self._say(f"{row['name']}: {found} in {row['schedules']} schedules, {row['seconds']} s", style=style)

    def loaded(self, name: str, said: str) -> None:
        """See ``Progress``."""
        self._now.pop(name, None)
        self._say(f"{name}: {said}", style="dim")

    def _say(self, text: str, style: str) -> None:
        self._console.print(text, style=style, highlight=False, soft_wrap=True)
        self._update()

    def _update(self) -> None:
        if self._live is not None:
            self._live.update(self._draw())

    def _draw(self) -> RenderableType:
        table = Table(box=None, pad_edge=False)
        for column in ("component", "claims settled", ""):
            table.add_column(column)
        for component, title in COMPONENTS.items():
            claims = [claim for claim, one in CLAIMS.items() if one.component == component]
            done = [claim for claim in claims if claim in self._settled | self._failed]
            bar = "".join("x" if c in self._failed else "#" if c in done else "." for c in claims)
            table.add_row(f"{component} {title}", f"{len(done)} of {len(claims)}", bar)
        totals = f"{sum(self._schedules.values())} schedules in virtual time, {len(self._bitten)} kinds of fault bit"
        live = f"live {self._ended} of {self._total}: " + ", ".join(f"{n} {what}" for n, what in self._now.items())
        return Group(table, Text(totals), Text(live, overflow="ellipsis", no_wrap=True), Text(self._proof))
