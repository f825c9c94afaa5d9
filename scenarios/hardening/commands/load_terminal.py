"""What a person sees of a load run: one line that moves on a terminal, a line now and then elsewhere; q ends it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import termios
import tty
from collections.abc import Callable, Mapping
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_EVERY_S = 10.0
STOP_KEY = "q"


class Terminal:
    """Shows progress on stderr, and listens for the stop key where there is a keyboard."""

    def __init__(self, plan: Mapping[str, Any], *, quiet: bool = False) -> None:
        self._console = Console(stderr=True)
        self._duration_s = float(plan["duration_s"])
        self._quiet = quiet
        self._told_s = -PLAIN_EVERY_S
        self._before: list[Any] | None = None
        self._bar = Progress(
            TextColumn(f"{plan['shape']:6}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("the service starts", total=self._duration_s)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()
        if self._before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def stop_key(self, stop: Callable[[], None]) -> None:
        """From now on the stop key ends the run."""
        with contextlib.suppress(ValueError, OSError, termios.error):
            if not sys.stdin.isatty():
                return
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
            asyncio.get_running_loop().add_reader(sys.stdin, self._pressed, stop)
            self._say("q ends the run early")

    def _pressed(self, stop: Callable[[], None]) -> None:
        if sys.stdin.read(1).lower() == STOP_KEY:
            self._say("ending early")
            stop()

    def _say(self, text: str) -> None:
        if self._console.is_terminal:
            self._bar.print(text, style="dim")
        elif not self._quiet:
            click.echo(text, err=True)

    def show(self, record: Mapping[str, Any]) -> None:
        """One line of progress from the generator."""
        state = record.get("state")
        if state == "running":
            text = "{sent} sent, {accepted} accepted, {refused} refused, {errors} errors".format(**record)
            t_s = float(record["t_s"])
            self._bar.update(self._task, completed=min(t_s, self._duration_s), description=text)
            if not self._console.is_terminal and not self._quiet and t_s - self._told_s >= PLAIN_EVERY_S:
                self._told_s = t_s
                click.echo(f"{t_s:5.0f} s  {text}", err=True)
        elif state == "fault":
            done = "injected" if record["what"] == "inject" else "healed"
            self._say(f"{done} {record['kind']} ({record['target']})")
        elif state == "aborted":
            self._say(f"ended early: {record['why']}")
        elif state == "resting":
            self._say(str(record.get("why", "the load is over; looking at the service at rest")))
