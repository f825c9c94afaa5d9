"""Broken beginnings, changes and ends: start-up, reload, outbox, drain."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
from typing import Any

from hardening.mutants.patching import put
from signal_service.config.hot_reload import Change, SettingsStore
from signal_service.config.settings import OutboxSettings
from signal_service.edge import startup
from signal_service.edge.lifecycle import DrainingServer, Lifecycle
from signal_service.observability.health import Health
from signal_service.store.outbox import Accepted, Outbox
from signal_service.store.outbox_entry import opened_record
from signal_service.store.outbox_worker import GROUP, Worker


class _Even(random.Random):
    """Draws nothing: the upper bound each time."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def startup_in_step() -> None:
    """Waits between attempts at a dependency are all alike: services that lost it come back together."""
    appear = startup._appear

    async def in_step(one: Any, began: float, waiting: startup.Waiting) -> str:
        return await appear(one, began, dataclasses.replace(waiting, rng=_Even()))

    put(startup, "_appear", in_step)


def startup_gives_up_at_once() -> None:
    """A dependency that is not there at the first look is given up, however soon it would have come."""
    appear = startup._appear

    async def hasty(one: Any, began: float, waiting: startup.Waiting) -> str:
        figures = waiting.figures.model_copy(update={"total_s": 0.2})
        return await appear(one, began, dataclasses.replace(waiting, figures=figures))

    put(startup, "_appear", hasty)


def refused_reload_half_applied() -> None:
    """A refused reload leaves its number behind: requests name a configuration that was never in force."""
    refuse = SettingsStore._refuse

    def careless(self: SettingsStore, actor: str, problems: list[str]) -> Change:
        self._generation += 1
        return refuse(self, actor, problems)

    put(SettingsStore, "_refuse", careless)


def ready_while_draining() -> None:
    """Readiness looks at the dependencies and forgets that the service is about to end."""
    ready = Health.ready

    def unaware(self: Health) -> tuple[int, dict[str, Any]]:
        if self.phase != "draining":
            return ready(self)
        return 200, {"status": "ready", "ready": True, "degraded": False}

    put(Health, "ready", unaware)


def acknowledged_before_delivery() -> None:
    """An alert is taken out of the stream when it is read, not when it has been delivered."""
    fetch = Worker._fetch

    async def eager(self: Worker, client: Any) -> int:
        found = await fetch(self, client)
        for name in list(self._items):
            await client.xack(self._names.stream, GROUP, name)
            await client.xdel(self._names.stream, name)
        return found

    put(Worker, "_fetch", eager)


def second_signal_kills() -> None:
    """The handlers are for one signal: the second one ends the process on the spot, whatever it was doing."""
    end = Lifecycle._end

    def impatient(self: Lifecycle, name: str) -> None:
        if self.ending.is_set():
            os._exit(130)
        end(self, name)

    put(Lifecycle, "_end", impatient)


def second_signal_cuts_the_drain() -> None:
    """The second signal means "now": the listener closes and whoever is being served is cut off, in good order."""
    servers: list[DrainingServer] = []
    init, end = DrainingServer.__init__, Lifecycle._end

    def remember(self: DrainingServer, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        servers.append(self)

    def at_once(self: Lifecycle, name: str) -> None:
        if self.ending.is_set():
            for connection in servers[-1].server_state.connections:
                connection.transport.abort()
        end(self, name)

    put(DrainingServer, "__init__", remember)
    put(Lifecycle, "_end", at_once)


def drain_forgets_the_worker() -> None:
    """The delivering worker is started like a daemon, and nobody keeps it: clients are closed under its hands."""
    run = Worker.run

    async def aside(self: Worker) -> None:
        self._running = asyncio.get_running_loop().create_task(run(self), name="outbox-worker")

    async def forget(_self: Worker, _max_s: float) -> None:
        return None

    put(Worker, "run", aside)
    put(Worker, "drain", forget)


def outbox_without_bound() -> None:
    """As many alerts wait as come: the capacity is read and never compared."""
    init, take = Outbox.__init__, Outbox.apply

    def boundless(settings: OutboxSettings) -> OutboxSettings:
        return settings.model_copy(update={"capacity": 1_000_000})

    def made(self: Outbox, link: Any, settings: OutboxSettings, **more: Any) -> None:
        init(self, link, boundless(settings), **more)

    put(Outbox, "__init__", made)
    put(Outbox, "apply", lambda self, settings: take(self, boundless(settings)))


def bodies_not_compared() -> None:
    """A key that was used before gets its first answer, whatever the body says now."""
    first = Outbox._first_answer

    def trusting(self: Outbox, raw: Any, key: str, digest: str) -> Accepted | None:
        return first(self, raw, key, opened_record(raw)["digest"] if raw else digest)

    put(Outbox, "_first_answer", trusting)
