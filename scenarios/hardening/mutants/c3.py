"""Mutants of C3: start-up and its dependencies."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Awaitable
from typing import Any

from hardening.mutants.mutant import breaks, put
from signal_service.clients.downstream import Downstream
from signal_service.edge import lifecycle, startup
from signal_service.observability.health import Health


@breaks("C3.1", shown_by="startup")
def starts_without_dependencies() -> None:
    """The start-up check is skipped: the service listens before its dependencies are there."""

    async def nothing_missing(*_args: Any, **_kwargs: Any) -> tuple[str, ...]:
        return ()

    put(startup, "validate_startup_dependencies", nothing_missing)


@breaks("C3.1", shown_by="startup")
def startup_gives_up_at_once() -> None:
    """Start-up gives up after 0.2 s, however soon a dependency would have come."""
    appear = startup._appear

    async def hasty(one: Any, began: float, waiting: startup.Waiting) -> str:
        figures = waiting.figures.model_copy(update={"total_s": 0.2})
        return await appear(one, began, dataclasses.replace(waiting, figures=figures))

    put(startup, "_appear", hasty)


@breaks("C3.2", shown_by="startup")
def readiness_lies() -> None:
    """``/ready`` never mentions a missing optional dependency."""
    put(Health, "_on_startup", lambda self, *_: None)


@breaks("C3.3", shown_by="startup")
def hanging_dependency_not_bounded() -> None:
    """Start-up checks use a client without a deadline, and each attempt may take 6 s longer."""
    once = startup.try_once

    async def patient(dependency: startup.Dependency, limit_s: float) -> str | None:
        return await once(dependency, limit_s + 6.0)

    async def bare(self: Downstream) -> None:
        assert self._http is not None
        await self._http.get("/health", timeout=None)

    put(startup, "try_once", patient)
    put(Downstream, "health", bare)


class _Even(random.Random):
    """A generator whose ``uniform`` returns its upper bound each time."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


@breaks("C3.3", shown_by="startup")
def startup_in_step() -> None:
    """All waits between start-up attempts are equal: services that lost a dependency come back together."""
    appear = startup._appear

    async def in_step(one: Any, began: float, waiting: startup.Waiting) -> str:
        return await appear(one, began, dataclasses.replace(waiting, rng=_Even()))

    put(startup, "_appear", in_step)


@breaks("C3.3", shown_by="startup")
def ends_only_once_started() -> None:
    """A signal during start-up is handled only after start-up."""

    async def patient(work: Awaitable[Any], ending: asyncio.Event) -> bool:
        await work
        return not ending.is_set()

    put(lifecycle, "unless_ending", patient)
