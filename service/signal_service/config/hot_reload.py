"""Hot reload: a new configuration is built whole, checked, and then swapped in with one assignment, or refused.

A request takes the configuration along at admission (``RequestContext.settings``) and sees that one to its end, so no
part of it can see half of an old and half of a new one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from signal_service.config.settings import NEEDS_RESTART, Settings, SettingsError
from signal_service.seams import EmitEvent

Outcome = Literal["applied", "refused", "rolled_back", "unchanged"]
Subscriber = Callable[[Settings, Settings], None]
log = logging.getLogger(__name__)

HISTORY_MAX = 10
"""Configurations that a rollback can reach."""


@dataclass(frozen=True, slots=True)
class Change:
    """What came of a reload or rollback: ``problems`` are one line each, ``field: what is wrong``."""

    outcome: Outcome
    generation: int
    problems: list[str] = field(default_factory=list)


class SettingsStore:
    """The configuration in force.

    Args:
        settings: the first one.
        source: reads the configuration again; raises SettingsError.
        emit: takes the events ``reload`` and ``settings``.
        may_change: false while changes cannot be audited; then each is refused.
    """

    def __init__(
        self,
        settings: Settings,
        source: Callable[[], Settings],
        emit: EmitEvent,
        may_change: Callable[[], bool] = lambda: True,
    ) -> None:
        self._current = self._first = settings
        self._generation = 1
        self._source = source
        self._emit = emit
        self._subscribers: list[Subscriber] = []
        self._history: list[Settings] = []
        self.may_change = may_change

    @property
    def current(self) -> Settings:
        """The settings in force for what begins now."""
        return self._current

    @property
    def generation(self) -> int:
        """Their number; it only grows."""
        return self._generation

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber(old, new)`` at each swap. One that raises has the swap undone."""
        self._subscribers.append(subscriber)

    def announce(self) -> None:
        """Say which configuration is in force, and by which figures it differs from the first."""
        changed = _differences(self._first, self._current)
        more: dict[str, Any] = {"changed": changed} if changed else {}
        self._emit("settings", generation=self._generation, digest=self._current.digest(), **more)

    def reload(self, actor: str) -> Change:
        """Read the configuration again and put it in force, or refuse it and change nothing."""
        try:
            new = self._source()
        except SettingsError as error:
            return self._refuse(actor, error.problems)
        if new == self._current:
            self._emit("reload", outcome="unchanged", actor=actor, generation=self._generation)
            return Change("unchanged", self._generation)
        problems = new.dangers() + _fixed_fields(self._current, new)
        if problems:
            return self._refuse(actor, problems)
        return self._swap(actor, new, "applied")

    def rollback(self, actor: str) -> Change:
        """Put the configuration before this one back in force, under a new number."""
        if not self._history:
            return self._refuse(actor, ["generation: there is none before this one"])
        return self._swap(actor, self._history[-1], "rolled_back")

    def _swap(self, actor: str, new: Settings, outcome: Outcome) -> Change:
        if not self.may_change():
            return self._refuse(actor, ["audit: the log cannot be written, so no change is made"])
        old, told = self._current, 0
        try:
            for subscriber in self._subscribers:
                told += 1
                subscriber(old, new)
        except Exception:
            log.exception("a part could not take the new configuration; the old one stays")
            for subscriber in self._subscribers[:told]:
                subscriber(new, old)
            return self._refuse(actor, ["settings: a part could not take them"])
        self._current = new
        self._generation += 1
        if outcome == "rolled_back":
            self._history.pop()
        else:
            self._history = [*self._history, old][-HISTORY_MAX:]
        self._emit(
            "reload",
            outcome=outcome,
            actor=actor,
            generation=self._generation,
            old_generation=self._generation - 1,
        )
        self.announce()
        return Change(outcome, self._generation)

    def _refuse(self, actor: str, problems: list[str]) -> Change:
        first, _, why = problems[0].partition(": ")
        self._emit(
            "reload", outcome="refused", actor=actor, field=first, error=why or first, generation=self._generation
        )
        return Change("refused", self._generation, problems)


def _figures(data: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """Every number in it, by its dotted name."""
    found: dict[str, float] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            found |= _figures(value, f"{above}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[above + name] = value
    return found


def _differences(first: Settings, now: Settings) -> dict[str, float]:
    if now is first:
        return {}
    before = _figures(first.public())
    return {name: value for name, value in _figures(now.public()).items() if before.get(name) != value}


def _fixed_fields(old: Settings, new: Settings) -> list[str]:
    return [
        f"{name}: can only change with a restart"
        for name in NEEDS_RESTART
        if _look_up(old, name) != _look_up(new, name)
    ]


def _look_up(settings: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        settings = getattr(settings, part)
    return settings
