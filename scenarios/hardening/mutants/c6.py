"""Mutants of C6: drain, reload, delivery of alerts, recovery."""

from __future__ import annotations

import itertools
import os
from collections import deque
from typing import Any

from hardening.mutants.mutant import breaks, put
from signal_service.admission.middleware import Exchange, Gate
from signal_service.clients.breaker import Breaker
from signal_service.clients.errors import DownstreamError
from signal_service.clients.factory import ClientManager
from signal_service.config.hot_reload import Change, SettingsStore
from signal_service.config.settings import OutboxSettings, Settings
from signal_service.context import RequestContext
from signal_service.edge.lifecycle import DrainingServer, Lifecycle
from signal_service.observability.health import Health
from signal_service.store.outbox import Accepted, Outbox
from signal_service.store.outbox_entry import opened_record
from signal_service.store.outbox_worker import GROUP, Worker


@breaks("C6.1", shown_by="signals")
def drain_waits_for_nobody() -> None:
    """SIGTERM ends the process at once, and cuts off the requests in flight."""

    async def at_once(_self: DrainingServer) -> None:
        os._exit(0)

    put(DrainingServer, "drain", at_once)


@breaks("C6.1", shown_by="signals")
def ready_while_draining() -> None:
    """``/ready`` says ready while the service drains."""
    ready = Health.ready

    def unaware(self: Health) -> tuple[int, dict[str, Any]]:
        if self.phase != "draining":
            return ready(self)
        return 200, {"status": "ready", "ready": True, "degraded": False}

    put(Health, "ready", unaware)


@breaks("C6.1", shown_by="signals")
def second_signal_kills() -> None:
    """The second signal ends the process on the spot."""
    end = Lifecycle._end

    def impatient(self: Lifecycle, name: str) -> None:
        if self.ending.is_set():
            os._exit(130)
        end(self, name)

    put(Lifecycle, "_end", impatient)


@breaks("C6.1", shown_by="signals")
def second_signal_cuts_the_drain() -> None:
    """The second signal aborts every connection that is still being served."""
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


@breaks("C6.2", shown_by="service-killed")
def accepts_before_durable() -> None:
    """Every fourth alert gets its 202 without a write to the store."""
    write = Outbox._write
    turn = itertools.count()

    async def later(self: Outbox, *args: Any) -> Any:
        return (None, 1) if next(turn) % 4 == 3 else await write(self, *args)

    put(Outbox, "_write", later)


@breaks("C6.2", shown_by="service-killed")
def acknowledged_before_delivery() -> None:
    """An alert leaves the stream when it is read, not when it has been delivered."""
    fetch = Worker._fetch

    async def eager(self: Worker, client: Any) -> int:
        found = await fetch(self, client)
        for name in list(self._items):
            await client.xack(self._names.stream, GROUP, name)
            await client.xdel(self._names.stream, name)
        return found

    put(Worker, "_fetch", eager)


@breaks("C6.2", shown_by="volatile-store")
def volatile_store_not_reported() -> None:
    """``/ready`` does not report a volatile store."""
    reasons = Health.reasons
    put(Health, "reasons", lambda self: [why for why in reasons(self) if why != "store is volatile"])


ENOUGH = 3


@breaks("C6.2", shown_by="refused-alerts")
def alerts_given_up() -> None:
    """After three attempts an alert counts as refused: a receiver that is down for longer never gets it."""
    backoff = Worker._backoff

    def impatient(self: Worker, item: Any, error: DownstreamError) -> float:
        wait_s = backoff(self, item, error)
        if item.attempts >= ENOUGH:
            receiver = error.name
            self._settle(item, str(item.alert["alert_id"]), receiver, "dead", str(error))
            return 0.0
        return wait_s

    put(Worker, "_backoff", impatient)


@breaks("C6.2", shown_by="refused-alerts")
def dead_letters_dropped() -> None:
    """An alert that is refused for good leaves the stream without a dead letter."""
    save = Worker._save

    async def without_letters(self: Worker, client: Any, item: Any) -> None:
        said = dict(item.settled)
        item.settled = dict.fromkeys(said, "delivered")
        try:
            await save(self, client, item)
        finally:
            item.settled = said

    put(Worker, "_save", without_letters)


@breaks("C6.3", shown_by="signals")
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


@breaks("C6.3", shown_by="signals")
def refused_reload_half_applied() -> None:
    """A refused reload still raises the generation: requests name a configuration that was never in force."""
    refuse = SettingsStore._refuse

    def careless(self: SettingsStore, actor: str, problems: list[str]) -> Change:
        self._generation += 1
        return refuse(self, actor, problems)

    put(SettingsStore, "_refuse", careless)


@breaks("C6.3", shown_by="signals")
def dangers_reloaded() -> None:
    """A reload accepts dangerous settings that start-up would refuse."""
    put(Settings, "dangers", lambda self: [])


@breaks("C6.3", shown_by="reload-while-open")
def rollback_to_the_first() -> None:
    """A rollback restores the configuration of the start, not the one before."""

    def back(self: SettingsStore, actor: str) -> Any:
        if not self._history:
            return self._refuse(actor, ["generation: there is none before this one"])
        return self._swap(actor, self._first, "rolled_back")

    put(SettingsStore, "rollback", back)


@breaks("C6.3", shown_by="signals")
def hangup_ignored() -> None:
    """SIGHUP does nothing."""
    put(Lifecycle, "_hangup", lambda _self: None)


@breaks("C6.3", shown_by="reload-while-open")
def old_breaker_settings_kept() -> None:
    """A reload does not reach the breakers."""
    put(ClientManager, "apply", lambda _self, _settings: None)


@breaks("C6.4", shown_by="ticker-outage")
def breaker_never_half_opens() -> None:
    """An open breaker never half-opens: one outage lasts until a restart."""
    wait_s = vars(Breaker)["wait_s"].fget
    put(Breaker, "wait_s", property(lambda self: 3600.0 if self.state == "open" else wait_s(self)))


@breaks("C6.5", shown_by="alert-outage")
def idempotency_key_ignored() -> None:
    """The idempotency key of a request is ignored."""
    record = Outbox._record
    turn = itertools.count()
    put(Outbox, "_record", lambda self, user, key: record(self, user, f"{key}-{next(turn)}"))


@breaks("C6.5", shown_by="alert-outage")
def outbox_without_bound() -> None:
    """The capacity of the outbox is never compared."""
    init, take = Outbox.__init__, Outbox.apply

    def boundless(settings: OutboxSettings) -> OutboxSettings:
        return settings.model_copy(update={"capacity": 1_000_000})

    def made(self: Outbox, link: Any, settings: OutboxSettings, **more: Any) -> None:
        init(self, link, boundless(settings), **more)

    put(Outbox, "__init__", made)
    put(Outbox, "apply", lambda self, settings: take(self, boundless(settings)))


@breaks("C6.5", shown_by="alert-outage")
def bodies_not_compared() -> None:
    """A key that was used before gets its first answer, whatever the body is now."""
    first = Outbox._first_answer

    def trusting(self: Outbox, raw: Any, key: str, digest: str) -> Accepted | None:
        return first(self, raw, key, opened_record(raw)["digest"] if raw else digest)

    put(Outbox, "_first_answer", trusting)
