"""Broken operations: reload, drain."""

from __future__ import annotations

from collections import deque
from typing import Any

from scenarios.sabotage.patching import put
from service.admission.middleware import Exchange, Gate
from service.context import RequestContext
from service.hot_reload import SettingsStore


def reload_mutates_in_place() -> None:
    """A reload changes the settings that running requests hold: they begin under one and end under another."""
    running: deque[RequestContext] = deque(maxlen=1000)
    opened, swapped = Gate._open, SettingsStore._swap

    def remember(self: Gate, *args: Any) -> Exchange:
        exchange = opened(self, *args)
        running.append(exchange.context)
        return exchange

    def in_place(self: SettingsStore, *args: Any) -> Any:
        change = swapped(self, *args)
        for context in running:
            context.settings, context.generation = self.current, self.generation
        return change

    put(Gate, "_open", remember)
    put(SettingsStore, "_swap", in_place)
