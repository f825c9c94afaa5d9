"""Broken budgets: each function patches ``service`` with one realistic mistake."""

from __future__ import annotations

from typing import Any

from hardening.mutants.patching import put
from signal_service.admission.backpressure import LevelMachine
from signal_service.admission.budgets import Permit, Why
from signal_service.admission.middleware import Gate
from signal_service.admission.rate_window import RateWindow
from signal_service.clients.transport import Deadline
from signal_service.edge.lifecycle import GuardedProtocol
from signal_service.observability import metrics


def no_rate_limit() -> None:
    """The window is asked and never says no."""

    def record(self: RateWindow, now: float) -> int:
        self._times.append(now)
        return len(self._times)

    put(RateWindow, "wait_s", lambda self, now: 0.0)
    put(RateWindow, "record", record)


def permit_kept_on_cancellation() -> None:
    """The permit comes back after an answer, and not after a client that hung up: a missing ``finally``."""
    give_back = Permit.give_back

    def forgetful(self: Permit, why: Why) -> None:
        if why not in {"cancelled", "disconnect"}:
            give_back(self, why)

    put(Permit, "give_back", forgetful)


def nothing_is_shed() -> None:
    """Levels are computed, logged and shown, and nobody asks them."""
    put(LevelMachine, "refuses", lambda self, priority: False)


def no_deadline() -> None:
    """Time-outs per read only: an answer that drips keeps its request for as long as it likes."""
    serve = Gate._serve

    async def patient(self: Gate, exchange: Any, receive: Any, permit: Permit, request_s: float) -> None:
        await serve(self, exchange, receive, permit, 3600.0)

    put(Gate, "_serve", patient)
    put(Deadline, "left_s", property(lambda self: 3600.0))


def sheds_not_counted() -> None:
    """The event is logged, and its counter was forgotten."""
    count = metrics.Metrics._count

    def forgetful(self: metrics.Metrics, event: str, request_id: str, fields: dict[str, Any]) -> None:
        if event != "shed":
            count(self, event, request_id, fields)

    put(metrics.Metrics, "_count", forgetful)


def requests_remembered() -> None:
    """Each request is kept in a list "for the statistics": a small leak, and one without end."""
    seen: list[Any] = []
    opened = Gate._open

    def remember(self: Gate, *args: Any) -> Any:
        exchange = opened(self, *args)
        seen.append(exchange)
        return exchange

    put(Gate, "_open", remember)


def slow_clients_never_cut() -> None:
    """A connection may take as long as it likes over its head."""
    put(GuardedProtocol, "_cut", lambda self: None)


def thrift_for_ever() -> None:
    """Under heavy pressure metrics are thrown back to essentials, and nobody turns them up again."""
    throttle = metrics.Metrics._throttle

    def one_way(self: metrics.Metrics, event: str, ident: str, fields: dict[str, Any]) -> None:
        if fields["new"] == "heavy":
            throttle(self, event, ident, fields)

    put(metrics.Metrics, "_throttle", one_way)
