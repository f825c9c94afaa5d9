"""Alerts that are given up, and dead letters that nobody can read."""

from __future__ import annotations

from typing import Any

from hardening.mutants.patching import put
from signal_service.clients.errors import DownstreamError
from signal_service.store.outbox_worker import Worker

ENOUGH = 3


def alerts_given_up() -> None:
    """After three attempts an alert counts as refused: whoever is down for longer never hears of it."""
    backoff = Worker._backoff

    def impatient(self: Worker, item: Any, error: DownstreamError) -> float:
        wait_s = backoff(self, item, error)
        if item.attempts >= ENOUGH:
            receiver = error.name
            self._settle(item, str(item.alert["alert_id"]), receiver, "dead", str(error))
            return 0.0
        return wait_s

    put(Worker, "_backoff", impatient)


def dead_letters_dropped() -> None:
    """What is refused for good leaves the stream, and is written nowhere else."""
    save = Worker._save

    async def without_letters(self: Worker, client: Any, item: Any) -> None:
        said = dict(item.settled)
        item.settled = dict.fromkeys(said, "delivered")
        try:
            await save(self, client, item)
        finally:
            item.settled = said

    put(Worker, "_save", without_letters)


def deliveries_without_a_wait() -> None:
    """A delivery that failed is tried again at once: an outage of a receiver keeps the worker busy for nothing."""
    put(Worker, "_backoff", lambda _self, _item, _error: 0.0)
