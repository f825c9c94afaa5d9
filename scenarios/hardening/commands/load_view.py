"""What ``hardening load`` shows while it runs: a progress bar at a terminal, a line now and then elsewhere.

In come progress records of the load generator (JSON objects with ``state``; times in seconds since the first
request); out comes text on stderr. At a keyboard the key q ends the run early.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hardening.commands.screen import Screen
from hardening.sessions.chaos.keyboard import stop_key

PLAIN_EVERY_S = 10.0


class LoadView:
    """``with LoadView(plan) as view``: ``view.show`` takes the records."""

    def __init__(self, plan: Mapping[str, Any], *, quiet: bool = False) -> None:
        self._duration_s = float(plan["duration_s"])
        self._quiet = quiet
        self._shown_s = -PLAIN_EVERY_S
        columns = (TextColumn(f"{plan['shape']:6}"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        console = Console(stderr=True)
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("the service starts", total=self._duration_s)
        self._screen = Screen(console, self._bar.get_renderable, keep=True)

    def __enter__(self) -> Self:
        self._screen.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._screen.__exit__(*exc)

    @contextmanager
    def stop_on_key(self, stop: Callable[[], None]) -> Iterator[None]:
        """Inside, the stop key ends the run; needs a running event loop."""

        def pressed() -> None:
            self._say("ending early")
            stop()

        with stop_key(pressed) as there:
            if there:
                self._say("q ends the run early")
            yield

    def _say(self, text: str) -> None:
        if self._screen.drawn or not self._quiet:
            self._screen.line(text)

    def show(self, record: Mapping[str, Any]) -> None:
        """One record of progress."""
        state = record.get("state")
        if state == "running":
            text = "{sent} sent, {accepted} accepted, {refused} refused, {errors} errors".format(**record)
            t_s = float(record["t_s"])
            self._bar.update(self._task, completed=min(t_s, self._duration_s), description=text)
            self._screen.update()
            if not self._screen.drawn and t_s - self._shown_s >= PLAIN_EVERY_S:
                self._shown_s = t_s
                self._say(f"{t_s:5.0f} s  {text}")
        elif state == "fault":
            done = "injected" if record["what"] == "inject" else "healed"
            self._say(f"{done} {record['kind']} ({record['target']})")
        elif state == "aborted":
            self._say(f"ended early: {record['why']}")
        elif state == "resting":
            self._say(str(record.get("why", "the load is over; looking at the service at rest")))
