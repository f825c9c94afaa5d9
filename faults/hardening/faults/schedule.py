"""Timed faults as data: a schedule is a list of ``{at_s, for_s, fault}``; faults may overlap.

Entering a window injects, leaving it heals, always: on error, on cancellation, on Ctrl-C.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from hardening.faults.base import Effect, Fault, FaultError, UnsupportedTargetError
from hardening.faults.catalogue import build
from hardening.faults.targets import TARGETS, World

_T = TypeVar("_T")

Observer = Callable[[str, str, Fault, Effect | None, Mapping[str, Any]], None]
"""Called on each change with ``inject`` or ``heal``, the fault's id, the fault, its effect when healed, and its details
when injected."""


@dataclass(frozen=True, slots=True)
class TimedFault:
    """A fault with its window, in seconds since the schedule began."""

    at_s: float
    for_s: float
    fault: Fault

    def __post_init__(self) -> None:
        for name, value in (("at_s", self.at_s), ("for_s", self.for_s)):
            if not math.isfinite(value) or value < 0:
                raise FaultError(name, value, "a finite number of seconds, 0 or more")

    def to_json(self) -> dict[str, Any]:
        """``{"at_s", "for_s", "fault"}``."""
        return {"at_s": self.at_s, "for_s": self.for_s, "fault": self.fault.to_json()}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Timed faults, ordered by their beginning."""

    faults: tuple[TimedFault, ...] = ()

    @classmethod
    def of(cls, faults: Iterable[TimedFault]) -> Self:
        """Order them by ``at_s``; equal times keep their order."""
        return cls(tuple(sorted(faults, key=lambda timed: timed.at_s)))

    @property
    def last_heal_s(self) -> float:
        """When the last fault heals; 0 for an empty schedule."""
        return max((timed.at_s + timed.for_s for timed in self.faults), default=0.0)

    def to_json(self) -> list[dict[str, Any]]:
        """A list of ``{"at_s", "for_s", "fault"}``."""
        return [timed.to_json() for timed in self.faults]

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read and check a schedule.

        Raises:
            FaultError: naming entry, field, value and what is allowed.
        """
        if not isinstance(data, list):
            raise FaultError("schedule", data, "a list of {at_s, for_s, fault}")
        return cls.of(_timed(f"schedule[{i}]", entry) for i, entry in enumerate(data))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a schedule from a JSON file.

        Raises:
            FaultError: when the file is missing, no JSON, or no schedule.
        """
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise FaultError("schedule file", str(path), f"a readable file ({error.strerror})") from error
        except json.JSONDecodeError as error:
            raise FaultError("schedule file", str(path), f"JSON ({error.msg} at line {error.lineno})") from error


def _timed(where: str, entry: object) -> TimedFault:
    if not isinstance(entry, Mapping):
        raise FaultError(where, entry, "an object {at_s, for_s, fault}")
    for key in entry:
        if key not in {"at_s", "for_s", "fault"}:
            raise FaultError(f"{where}.{key}", entry[key], "one of at_s, for_s, fault")
    numbers: dict[str, float] = {}
    for name in ("at_s", "for_s"):
        value = entry.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise FaultError(f"{where}.{name}", value, "a number of seconds")
        numbers[name] = float(value)
    try:
        return TimedFault(numbers["at_s"], numbers["for_s"], build(entry.get("fault")))
    except FaultError as error:
        raise FaultError(f"{where}.{error.field}", error.value, error.allowed) from error


class Injection:
    """One fault held on one world: ``async with`` injects, leaving heals, whatever happens inside.

    Healing is shielded from cancellation: a Ctrl-C in mid-heal does not interrupt it. ``effect`` is set on exit.
    """

    def __init__(self, fault: Fault, world: World) -> None:
        self.fault = fault
        self.effect: Effect | None = None
        self._token: object = None
        self._target = world.target(fault.protocol, fault.target)
        if not isinstance(self._target, TARGETS[fault.protocol]):
            raise UnsupportedTargetError("fault.target", fault.target, f"a target with the {fault.protocol} protocol")

    async def __aenter__(self) -> Self:
        try:
            self._token = await self.fault.inject(self._target)
        except BaseException:
            await _to_the_end(self.fault.heal(self._target, None))
            raise
        return self

    @property
    def bite(self) -> Effect | None:
        """The former name of ``effect``."""
        return self.effect

    @property
    def details(self) -> Mapping[str, Any]:
        """What the injected fault knows of what it did; see ``Fault.details``."""
        return self.fault.details(self._token)

    async def __aexit__(self, *exc: object) -> None:
        await _to_the_end(self._heal())

    async def _heal(self) -> None:
        self.effect = await self.fault.heal(self._target, self._token)


async def _to_the_end(work: Awaitable[_T]) -> _T:
    """Await ``work`` to its end even when we are cancelled meanwhile; the cancellation is passed on after."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:  # noqa: BLE001 - the task's own error is raised by result() below
            break
    if cancelled is not None:
        task.exception()
        raise cancelled
    return task.result()


async def run_schedule(
    schedule: Schedule,
    world: World,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    observe: Observer = lambda *_: None,
) -> dict[str, Effect]:
    """Hold every fault for its window; all are healed when this returns or raises.

    ``sleep`` takes seconds (the world's clock). Returns the effect of each fault by its id (``f0``, ``f1`` ...).
    """
    effects: dict[str, Effect] = {}

    async def hold(fault_id: str, timed: TimedFault) -> None:
        await sleep(timed.at_s)
        injection = Injection(timed.fault, world)
        try:
            async with injection:
                observe("inject", fault_id, timed.fault, None, injection.details)
                await sleep(timed.for_s)
        finally:
            # A cancelled hold is healed all the same, and the observer is called.
            if injection.effect is not None:
                effects[fault_id] = injection.effect
                observe("heal", fault_id, timed.fault, injection.effect, {})

    async with asyncio.TaskGroup() as group:
        for i, timed in enumerate(schedule.faults):
            group.create_task(hold(f"f{i}", timed), name=f"fault-f{i}-{timed.fault.kind}")
    return effects
