"""Sabotages that a load run must notice: each breaks one budget, and the run turns red within a minute."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scenarios.sabotage.patching import put
from service.admission.budgets import Permit, Why
from service.admission.middleware import Gate
from service.admission.rate_window import RateWindow
from service.context import RequestContext

SLOW_EVERY, SLOW_S = 20, 1.6
LOST_EVERY = 10
LEAK_BYTES = 1024


def window_off_by_one() -> None:
    """``<=`` for ``<``: the window lets one more in than it may."""
    make, resize = RateWindow.__init__, RateWindow.resize
    put(RateWindow, "__init__", lambda self, capacity, window_s: make(self, capacity + 1, window_s))
    put(RateWindow, "resize", lambda self, capacity, window_s: resize(self, capacity + 1, window_s))


def permits_leak() -> None:
    """Now and then a permit is not given back: an early return before the ``finally``."""
    give_back = Permit.give_back
    turn = itertools.count(1)

    def forgetful(self: Permit, why: Why) -> None:
        if next(turn) % LOST_EVERY:
            give_back(self, why)

    put(Permit, "give_back", forgetful)


def retry_after_halved() -> None:
    """The wait that a 429 asks for is half of what it takes: minutes taken for half minutes."""
    wait = RateWindow.wait_s
    put(RateWindow, "wait_s", lambda self, now: wait(self, now) / 2)


def a_kilobyte_a_request() -> None:
    """A list remembers each request, refused ones as well."""
    call = Gate.__call__
    kept: list[bytes] = []

    async def remembering(self: Gate, scope: dict[str, Any], receive: Any, send: Any) -> None:
        kept.append(bytes(LEAK_BYTES))
        await call(self, scope, receive, send)

    put(Gate, "__call__", remembering)


def critical_takes_a_slot() -> None:
    """Health checks pass through the rate window like everybody: with it full, who watches is refused."""
    admit = Gate._admit

    def levelled(self: Gate, context: RequestContext) -> Permit:
        context.priority = "normal" if context.priority == "critical" else context.priority
        return admit(self, context)

    put(Gate, "_admit", levelled)


def slow_now_and_then() -> None:
    """One request in twenty waits for a second and a half: a lock that is held over a call."""
    serve = Gate._serve
    turn = itertools.count(1)

    async def uneven(self: Gate, exchange: Any, receive: Any, permit: Permit, request_s: float) -> None:
        if exchange.context.priority != "critical" and not next(turn) % SLOW_EVERY:
            await asyncio.sleep(SLOW_S)
        await serve(self, exchange, receive, permit, request_s)

    put(Gate, "_serve", uneven)


@dataclass(frozen=True, slots=True)
class LoadSabotage:
    """One of them: the budget that must turn red, and the arguments of the run in which it does."""

    name: str
    budget: str
    arguments: tuple[str, ...]

    @property
    def reference(self) -> str:
        """``FILE.py:NAME`` for ``--sabotage``."""
        return f"{Path(__file__)}:{self.name}"


LOAD_SABOTAGES: Mapping[str, LoadSabotage] = MappingProxyType(
    {
        one.name: one
        for one in (
            LoadSabotage("window_off_by_one", "rate.accepted_max", ("--shape", "burst", "--duration", "20s")),
            LoadSabotage("permits_leak", "claim.C2.1", ("--shape", "steady", "--duration", "15s")),
            LoadSabotage("retry_after_halved", "refusals.after_wait_max", ("--shape", "burst", "--duration", "20s")),
            LoadSabotage(
                "a_kilobyte_a_request",
                "memory.slope_mb_per_min_max",
                ("--shape", "soak", "--duration", "50s", "--rate", "150"),
            ),
            LoadSabotage("critical_takes_a_slot", "shedding.critical_max", ("--shape", "burst", "--duration", "20s")),
            LoadSabotage("slow_now_and_then", "latency.signal.p99", ("--shape", "steady", "--duration", "40s")),
        )
    }
)
"""The load sabotages that are shipped."""
