"""Invariants that are looked at after every step, and promises that must come true in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from hardening.simulator.core.errors import ViolationError
from hardening.simulator.core.loop_view import LoopView

Check = Callable[[], object]


class Watch:
    """One check that is being watched; ``stop()``, or leaving it as a context manager, ends it."""

    __slots__ = ("_checks", "check", "name", "timer")

    def __init__(self, checks: Checks, name: str, check: Check) -> None:
        self._checks = checks
        self.name = name
        self.check = check
        self.timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Watch no longer."""
        self._checks.drop(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class Checks:
    """The checks of one run."""

    def __init__(self, loop: LoopView) -> None:
        self._loop = loop
        self._always: list[Watch] = []
        self._eventually: list[Watch] = []
        self.active = False

    def always(self, name: str, check: Check) -> Watch:
        """``check`` must be true (and not raise) now and after every step."""
        watch = Watch(self, name, check)
        self._always.append(watch)
        self.active = True
        self._look(watch)
        return watch

    def eventually(self, name: str, check: Check, within_s: float) -> Watch:
        """``check`` must be true at least once within ``within_s`` virtual seconds."""
        watch = Watch(self, name, check)
        if not check():
            self._eventually.append(watch)
            self.active = True
            watch.timer = self._loop.call_later(within_s, self._expired, watch)
        return watch

    def waiting(self) -> bool:
        """Whether a promise is still open."""
        return bool(self._eventually)

    def drop(self, watch: Watch) -> None:
        """Forget a watch."""
        for watches in (self._always, self._eventually):
            if watch in watches:
                watches.remove(watch)
        if watch.timer is not None:
            watch.timer.cancel()
        self.active = bool(self._always or self._eventually)

    def close(self) -> None:
        """The run is over. Lets go of the loop: a cycle would keep it until the next collection."""
        self._always.clear()
        self._eventually.clear()
        del self._loop

    def after_step(self) -> None:
        """Look at everything; a violation ends the run."""
        for watch in self._always:
            self._look(watch)
        for watch in list(self._eventually):
            if watch.check():
                self.drop(watch)

    def _look(self, watch: Watch) -> None:
        detail = ""
        try:
            if watch.check():
                return
        except AssertionError as error:
            detail = str(error)
        self._violated(watch, "always", detail)

    def _expired(self, watch: Watch) -> None:
        if watch in self._eventually:
            self.drop(watch)
            if not watch.check():
                self._violated(watch, "eventually", "")

    def _violated(self, watch: Watch, kind: str, detail: str) -> None:
        loop = self._loop
        self._loop.fail(ViolationError(watch.name, kind, loop.time() - loop.started_s, loop.steps, detail))
