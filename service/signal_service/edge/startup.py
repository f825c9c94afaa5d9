"""Start-up: wait for what the service cannot do without, in bounded time, and say clearly what was missing.

All dependencies are tried at once. A critical one is tried again until the time is over; an optional one gets a
single attempt now, and is looked for in the background once the service runs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from signal_service.config.settings import Startup
from signal_service.seams import EmitEvent

WAIT_S_MIN = 0.05


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something the service needs: ``check`` raises while it is not there."""

    name: str
    critical: bool
    check: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How to wait: the figures, and the seams of time, randomness and events."""

    figures: Startup
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    rng: random.Random
    emit: EmitEvent


class StartupError(Exception):
    """A critical dependency did not appear in time; the message is one line that names what was missing.

    Attributes:
        missing: names of the critical dependencies that did not answer.
    """

    def __init__(self, missing: dict[str, str], total_s: float) -> None:
        what = ", ".join(f"{name} ({why})" for name, why in missing.items())
        super().__init__(f"start-up failed, no answer within {total_s:g} s from: {what}")
        self.missing = tuple(missing)


async def validate_startup_dependencies(dependencies: Sequence[Dependency], waiting: Waiting) -> tuple[str, ...]:
    """Wait for the critical dependencies and try the optional ones; returns the optional ones that are absent.

    Raises:
        StartupError: when a critical one did not answer within ``total_s``.
    """
    began = waiting.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = {one: group.create_task(_appear(one, began, waiting)) for one in dependencies}
    missing = {one.name: task.result() for one, task in tasks.items() if task.result()}
    fatal = {one.name: missing[one.name] for one in dependencies if one.critical and one.name in missing}
    if fatal:
        raise StartupError(fatal, waiting.figures.total_s)
    return tuple(missing)


async def _appear(dependency: Dependency, began: float, waiting: Waiting) -> str:
    """Try until it answers; the reason why it did not, or "" when it did."""
    figures = waiting.figures
    attempt, why = 0, "not tried"
    while (left_s := began + figures.total_s - waiting.monotonic()) > 0:
        attempt += 1
        error = await try_once(dependency, min(figures.attempt_s, left_s))
        elapsed_s = round(waiting.monotonic() - began, 3)
        fields: dict[str, Any] = {"dependency": dependency.name, "critical": dependency.critical, "attempt": attempt}
        if error is None:
            waiting.emit("startup", phase="up", elapsed_s=elapsed_s, **fields)
            return ""
        why = error
        # Full jitter: services that lost the same dependency must not come back in step.
        wait_s = max(WAIT_S_MIN, waiting.rng.uniform(0, min(figures.cap_s, figures.base_s * 2 ** min(attempt - 1, 16))))
        waiting.emit("startup", phase="attempt", error=why, wait_s=round(wait_s, 3), elapsed_s=elapsed_s, **fields)
        if not dependency.critical:
            break
        await waiting.sleep(max(0.0, min(wait_s, began + figures.total_s - waiting.monotonic())))
    phase = "failed" if dependency.critical else "absent"
    waiting.emit("startup", phase=phase, dependency=dependency.name, critical=dependency.critical, error=why)
    return why


async def try_once(dependency: Dependency, limit_s: float) -> str | None:
    """One attempt; the reason why it failed, None when it did not."""
    try:
        async with asyncio.timeout(limit_s):
            await dependency.check()
    except TimeoutError:
        return "timeout"
    except Exception as error:  # noqa: BLE001 - whatever a check raises means: not there
        # The class alone: the text of a client library's error may quote a URL with its password.
        kind = getattr(error, "kind", "") or (type(error.__cause__).__name__ if error.__cause__ else "")
        return f"{type(error).__name__}{f' {kind}' if isinstance(kind, str) and kind else ''}"
    return None


async def look_for_absent(
    dependencies: Sequence[Dependency], absent: Callable[[], Sequence[str]], waiting: Waiting
) -> None:
    """Try what is absent, with jittered growing waits, until all have appeared."""
    attempt = 0
    while names := absent():
        wait_s = min(waiting.figures.cap_s, waiting.figures.base_s * 2 ** min(attempt, 16))
        await waiting.sleep(max(WAIT_S_MIN, waiting.rng.uniform(wait_s / 2, wait_s)))
        attempt += 1
        for one in dependencies:
            if one.name in names and await try_once(one, waiting.figures.attempt_s) is None:
                waiting.emit("startup", phase="late", dependency=one.name, critical=one.critical, attempt=attempt)
