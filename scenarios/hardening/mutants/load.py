"""Breaks that only many requests show: each function patches ``service`` with one realistic mistake."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from hardening.mutants.patching import put
from signal_service.admission.budgets import Permit, Why
from signal_service.admission.middleware import Exchange, Gate
from signal_service.admission.rate_window import RateWindow
from signal_service.api import routes


def rate_window_off_by_one() -> None:
    """``<=`` where ``<`` was meant: the window takes one more than it should."""
    build, resize = RateWindow.__init__, RateWindow.resize

    def built(self: RateWindow, capacity: int, window_s: float) -> None:
        build(self, capacity + 1, window_s)

    put(RateWindow, "__init__", built)
    put(RateWindow, "resize", lambda self, capacity, window_s: resize(self, capacity + 1, window_s))


def permits_leaked() -> None:
    """Some way out forgets the permit: one product request in forty keeps it for good."""
    give_back, count = Permit.give_back, itertools.count(1)

    def forgetful(self: Permit, why: Why) -> None:
        if self.pool == "critical" or next(count) % 40:
            give_back(self, why)

    put(Permit, "give_back", forgetful)


def retry_after_wrong() -> None:
    """Everybody is told to come back in a second, whenever the next slot is free."""
    wait_s = RateWindow.wait_s
    put(RateWindow, "wait_s", lambda self, now: min(1.0, wait_s(self, now)))


def leak_per_request() -> None:
    """A kilobyte of every request is kept, as by a list of contexts that nobody empties."""
    call, kept = Gate.__call__, []

    async def keeping(self: Gate, scope: dict[str, Any], receive: Any, send: Any) -> None:
        kept.append(bytearray(1024))
        await call(self, scope, receive, send)

    put(Gate, "__call__", keeping)


def critical_like_any_other() -> None:
    """Health checks and operators are put in the line of everybody else."""
    identify = Gate._identify

    def levelling(self: Gate, exchange: Exchange) -> None:
        identify(self, exchange)
        if exchange.context.priority == "critical":
            exchange.context.priority = "normal"

    put(Gate, "_identify", levelling)


def slow_now_and_then() -> None:
    """One signal in forty takes a second and a half longer: the mean hardly moves."""
    compute, count = routes.compute, itertools.count(1)

    async def dawdling(*args: Any, **kwargs: Any) -> Any:
        if next(count) % 40 == 0:
            await asyncio.sleep(1.5)
        return await compute(*args, **kwargs)

    put(routes, "compute", dawdling)
