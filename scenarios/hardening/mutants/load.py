"""Mutants that only a load shows: the claim of each is a line of the load's budgets (docs/LOAD.md)."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from hardening.mutants.mutant import breaks, put
from signal_service.admission.limits import Permit, RateWindow, Why
from signal_service.admission.middleware import Exchange, Gate
from signal_service.api import routes


@breaks("in_flight.at_rest", shown_by="burst", world="load")
def permits_leaked() -> None:
    """One product request in forty keeps its permit for good."""
    give_back, count = Permit.give_back, itertools.count(1)

    def forgetful(self: Permit, why: Why) -> None:
        if self.pool == "critical" or next(count) % 40:
            give_back(self, why)

    put(Permit, "give_back", forgetful)


@breaks("retry_after.429", shown_by="burst", world="load")
def retry_after_wrong() -> None:
    """Retry-After is at most one second, whenever the next slot is free."""
    wait_s = RateWindow.wait_s
    put(RateWindow, "wait_s", lambda self, now: min(1.0, wait_s(self, now)))


@breaks("memory.per_request", shown_by="soak", world="load")
def leak_per_request() -> None:
    """A kilobyte of every request is kept, as by a list of contexts that nobody empties."""
    call, kept = Gate.__call__, []

    async def keeping(self: Gate, scope: dict[str, Any], receive: Any, send: Any) -> None:
        kept.append(bytearray(1024))
        await call(self, scope, receive, send)

    put(Gate, "__call__", keeping)


@breaks("critical.refused", shown_by="burst", world="load")
def critical_like_any_other() -> None:
    """Critical requests have normal priority."""
    identify = Gate._identify

    def levelling(self: Gate, exchange: Exchange) -> None:
        identify(self, exchange)
        if exchange.context.priority == "critical":
            exchange.context.priority = "normal"

    put(Gate, "_identify", levelling)


@breaks("latency.signal.p99", shown_by="open", world="load")
def slow_now_and_then() -> None:
    """One signal in forty takes a second and a half longer: the mean hardly moves."""
    compute, count = routes.compute, itertools.count(1)

    async def dawdling(*args: Any, **kwargs: Any) -> Any:
        if next(count) % 40 == 0:
            await asyncio.sleep(1.5)
        return await compute(*args, **kwargs)

    put(routes, "compute", dawdling)
