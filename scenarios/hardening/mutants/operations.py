"""Broken operations: reload, drain."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import deque
from collections.abc import Awaitable
from typing import Any

from hardening.mutants.patching import put
from signal_service.admission.middleware import Exchange, Gate
from signal_service.admission.rate_window import RateWindow
from signal_service.app import Service
from signal_service.clients.downstream import Downstream
from signal_service.clients.factory import ClientManager
from signal_service.config import settings
from signal_service.config.hot_reload import SettingsStore
from signal_service.config.settings import Settings
from signal_service.context import RequestContext
from signal_service.edge import lifecycle, startup
from signal_service.edge.lifecycle import DrainingServer, Lifecycle
from signal_service.observability.health import Health
from signal_service.store.outbox import Outbox


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


def drain_waits_for_nobody() -> None:
    """SIGTERM ends the process at once: whoever was being served is cut off."""

    async def at_once(_self: DrainingServer) -> None:
        os._exit(0)

    put(DrainingServer, "drain", at_once)


def starts_without_dependencies() -> None:
    """The start-up check is skipped: the service listens before what it needs is there."""

    async def nothing_missing(*_args: Any, **_kwargs: Any) -> tuple[str, ...]:
        return ()

    put(startup, "validate_startup_dependencies", nothing_missing)


def readiness_lies() -> None:
    """A missing optional dependency is never mentioned."""
    put(Health, "_on_startup", lambda self, *_: None)


def hanging_dependency_not_bounded() -> None:
    """Health is asked of the bare client, which knows no deadline, and an attempt may take seconds longer."""
    once = startup.try_once

    async def patient(dependency: startup.Dependency, limit_s: float) -> str | None:
        return await once(dependency, limit_s + 6.0)

    async def bare(self: Downstream) -> None:
        assert self._http is not None
        await self._http.get("/health", timeout=None)

    put(startup, "try_once", patient)
    put(Downstream, "health", bare)


def accepts_before_durable() -> None:
    """Every fourth alert gets its 202 from memory: the write to the store was left for later and forgotten."""
    write = Outbox._write
    turn = itertools.count()

    async def later(self: Outbox, *args: Any) -> Any:
        return (None, 1) if next(turn) % 4 == 3 else await write(self, *args)

    put(Outbox, "_write", later)


def idempotency_key_ignored() -> None:
    """Each request is a new one, whatever its key says."""
    record = Outbox._record
    turn = itertools.count()
    put(Outbox, "_record", lambda self, user, key: record(self, user, f"{key}-{next(turn)}"))


def preflight_sees_no_danger() -> None:
    """Default secrets, debug, wildcard CORS: well formed, so let through."""
    put(Settings, "dangers", lambda self: [])


def nonsense_is_corrected() -> None:
    """A setting out of bounds is put right in silence instead of refused: nobody learns of the typing error."""
    build = settings.build

    def obliging(data: Any) -> Settings:
        try:
            return build(data)
        except settings.SettingsError:
            for downstream in data.get("downstreams", {}).values():
                if downstream.get("breaker", {}).get("failures", 1) < 1:
                    downstream["breaker"]["failures"] = 1
            return build(data)

    put(settings, "build", obliging)


def rollback_to_the_first() -> None:
    """A rollback brings back the configuration of the start, not the one before."""

    def back(self: SettingsStore, actor: str) -> Any:
        if not self._history:
            return self._refuse(actor, ["generation: there is none before this one"])
        return self._swap(actor, self._first, "rolled_back")

    put(SettingsStore, "rollback", back)


def hangup_ignored() -> None:
    """The handler of HUP was forgotten when the file's watcher came."""
    put(Lifecycle, "_hangup", lambda _self: None)


def keys_of_before() -> None:
    """A reload hands new settings to every part but the keys: one that was taken out still opens."""
    apply = Service._apply

    def forgetful(self: Service, old: Settings, new: Settings) -> None:
        keys = self.keys
        apply(self, old, new)
        self.keys = keys

    put(Service, "_apply", forgetful)


def breakers_of_before() -> None:
    """A reload does not reach the clients: their breakers keep the times that they were made with."""
    put(ClientManager, "apply", lambda _self, _settings: None)


def reload_empties_the_window() -> None:
    """A reload makes the rate window anew: what was accepted before is forgotten."""
    resize = RateWindow.resize

    def anew(self: RateWindow, capacity: int, window_s: float) -> None:
        resize(self, capacity, window_s)
        self._times.clear()

    put(RateWindow, "resize", anew)


def ends_only_once_started() -> None:
    """A signal that comes during start-up is looked at when the start is over."""

    async def patient(work: Awaitable[Any], ending: asyncio.Event) -> bool:
        await work
        return not ending.is_set()

    put(lifecycle, "unless_ending", patient)
