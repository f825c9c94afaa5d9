"""What ``chaos`` shows of a session: a board at a terminal, lines everywhere else.

In come the session's facts and its watch (times in seconds since the session began); out comes text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from hardening.claims.verdict import Outcome, Verdict
from hardening.commands.screen import Screen
from hardening.history.events import Event
from hardening.sessions.chaos.conduct import Facts
from hardening.sessions.chaos.watch import Figures, Watch

DRAW_EVERY_S = 0.25
LINE_EVERY_S = 10.0
SPARK_S = 40
_BARS = "▁▂▃▄▅▆▇█"
_LEVEL_STYLES = {"none": "green", "light": "yellow", "moderate": "yellow", "heavy": "red"}
_BREAKER_STYLES = {"closed": "green", "half_open": "yellow", "open": "red"}


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value, the largest one full; a blank where there is none."""
    largest = max((value for value in values if value is not None), default=0.0)
    if largest <= 0:
        return " " * len(values)
    return "".join(
        " " if value is None else _BARS[min(len(_BARS) - 1, int(value / largest * len(_BARS)))] for value in values
    )


def requests_line(watch: Watch) -> str:
    """Counts and latencies of the last seconds."""
    recent = Figures.of(watch.recent())
    statuses = watch.statuses()
    counts = ", ".join(f"{status or 'no answer'} {count}" for status, count in sorted(statuses.items()))
    if recent.latency_s_p50 is None:
        return f"{counts or 'nothing answered yet'}"
    tail = f"p50 {recent.latency_s_p50 * 1000:.0f} ms, p99 {(recent.latency_s_p99 or 0) * 1000:.0f} ms"
    return f"{counts}; last {watch.limits.window_s:g} s: {recent.error_share:.0%} errors, {tail}"


def claims_line(verdicts: Sequence[Verdict]) -> str:
    """How many claims held so far, and which did not."""
    if not verdicts:
        return "not judged yet"
    failures = [verdict.claim for verdict in verdicts if verdict.outcome is Outcome.FAIL]
    passes = sum(verdict.outcome is Outcome.PASS for verdict in verdicts)
    failed = f"FAIL {', '.join(failures)}" if failures else "none failed"
    return f"{passes} held, {failed}, {len(verdicts) - passes - len(failures)} not exercised"


def screen(facts: Facts, watch: Watch) -> RenderableType:
    """The whole picture."""
    now = watch.now()
    spent_s = now - watch.phase_since_s
    of = f" of {facts.duration_s:g}" if watch.phase == "faults" else ""
    head = Text.assemble(
        (facts.name, "bold"), f" on {facts.world}   ", (watch.phase, "bold cyan"), f" {spent_s:.0f}{of} s"
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    held = [f"{one.kind} {one.target} ({now - one.since_s:.0f} s)" for one in watch.held.values()]
    table.add_row("faults now", Text(", ".join(held) or "none", style="bold red" if held else "green"))
    spent = (
        spent_s
        if watch.phase == "faults"
        else -1.0
        if watch.phase in {"starting", "warm-up", "steady"}
        else facts.duration_s
    )
    coming = next((timed for timed in facts.schedule.faults if timed.at_s > spent), None)
    if coming is not None and watch.phase in {"starting", "warm-up", "steady", "faults"}:
        wait_s = coming.at_s - max(spent, 0.0)
        table.add_row("next", f"{coming.fault.kind} {coming.fault.target} in {wait_s:.0f} s")
    healed = watch.healed[-3:]
    past = ", ".join(f"{one.kind} {one.target}{'' if one.bit else ' (no effect)'}" for one in healed)
    table.add_row("healed", f"{len(watch.healed)} of {len(facts.schedule.faults)}{': ' if past else ''}{past}")
    table.add_row("level", Text(watch.level or "none", style=_LEVEL_STYLES.get(watch.level or "none", "")))
    breakers = Text("  ").join(
        Text(f"{name} {state}", style=_BREAKER_STYLES.get(state, "")) for name, state in sorted(watch.breakers.items())
    )
    table.add_row("breakers", breakers or Text("all closed", style="green"))
    latencies = watch.latencies_s(SPARK_S)
    largest = max((value for value in latencies if value is not None), default=0.0)
    table.add_row("latency", Text.assemble((sparkline(latencies), "cyan"), f"  worst {largest * 1000:.0f} ms"))
    table.add_row("requests", requests_line(watch))
    broken = any(verdict.outcome is Outcome.FAIL for verdict in facts.verdicts)
    table.add_row("claims so far", Text(claims_line(facts.verdicts), style="bold red" if broken else ""))
    aborted = [Text(f"aborted: {watch.aborted}", style="bold yellow")] if watch.aborted else []
    return Group(head, table, *aborted, Text(facts.keys, style="dim"))


@dataclass(slots=True)
class ScreenView:
    """Implements ``View`` at a terminal."""

    facts: Facts
    watch: Watch
    console: Console

    async def show(self) -> None:
        """See ``View``."""
        with Screen(self.console, lambda: screen(self.facts, self.watch), keep=True) as board:
            while True:
                await asyncio.sleep(DRAW_EVERY_S)
                board.update()


@dataclass(slots=True)
class LineView:
    """Implements ``View`` where nothing can be drawn: a line for each change, and one every ten seconds."""

    facts: Facts
    watch: Watch
    say: Callable[[str], None]
    _phase: str = field(default="")

    def event(self, event: Event) -> None:
        """Say what changed."""
        value = event.value
        if event.type == "fault" and event.f == "inject":
            self._line(f"broken: {value['kind']} {value['target']}")
        elif event.type == "fault":
            self._line(f"healed: {value['kind']} {value['target']}{'' if value['bit'] else ' (it had no effect)'}")
        elif event.type == "state" and event.f == "phase":
            reason = f": {value['reason']}" if "reason" in value else ""
            self._line(f"phase: {value['phase']}{reason}")
        elif event.type == "state" and event.f == "breaker":
            self._line(f"breaker: {value['name']} {value['old']} -> {value['new']}")
        elif event.type == "state" and event.f == "level":
            self._line(f"level: {value['old']} -> {value['new']}")

    def _line(self, text: str) -> None:
        self.say(f"{self.watch.now():7.1f} s  {text}")

    async def show(self) -> None:
        """See ``View``."""
        self.watch.on_event = self.event
        while True:
            await asyncio.sleep(LINE_EVERY_S)
            self._line(f"requests: {requests_line(self.watch)}; claims: {claims_line(self.facts.verdicts)}")
