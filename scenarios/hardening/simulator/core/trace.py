"""What happened in one run: every step, draw, packet and cancellation against virtual time; text and digest.

Nothing in a trace depends on addresses, on hashes of strings or on the machine: the digest of a replay in another
process is the same, within one minor version of Python and the same libraries.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from dataclasses import dataclass
from typing import Any

from hardening.simulator.core.loop_view import LoopView
from hardening.simulator.core.waits import where_is


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One line of a trace.

    Attributes:
        step: the global step it belongs to.
        virtual_s: seconds since the start of the run.
        kind: ``run``, ``call``, ``create``, ``draw``, ``cancel``, ``send``, ``receive``, ``net``, ``say`` ...
        who: task, callback or connection.
        text: what happened.
    """

    step: int
    virtual_s: float
    kind: str
    who: str
    text: str

    def __str__(self) -> str:
        return f"{self.step:6d} {self.virtual_s:12.6f}  {self.kind:<8} {self.who:<20} {self.text}".rstrip()


class NoTrace:
    """Notes nothing: what a search uses."""

    def created(self, loop: LoopView, task: asyncio.Task[Any]) -> None:
        """Nothing."""

    def step(self, loop: LoopView, handle: asyncio.Handle) -> None:
        """Nothing."""

    def note(self, loop: LoopView, kind: str, who: str, text: str) -> None:
        """Nothing."""


class Trace(NoTrace):
    """Notes everything, in memory.

    Attributes:
        events: what happened, in order.
    """

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []

    def created(self, loop: LoopView, task: asyncio.Task[Any]) -> None:
        """A task was made."""
        coro: Any = task.get_coro()
        self.note(loop, "create", task.get_name(), getattr(coro, "__qualname__", type(coro).__name__))

    def step(self, loop: LoopView, handle: asyncio.Handle) -> None:
        """A callback is about to run."""
        callback: Any = handle._callback  # type: ignore[attr-defined]  # noqa: SLF001
        owner = getattr(callback, "__self__", None)
        if isinstance(owner, asyncio.Task):
            self.note(loop, "run", owner.get_name(), where_is(owner))
        else:
            self.note(loop, "call", name_of(callback), "")

    def note(self, loop: LoopView, kind: str, who: str, text: str) -> None:
        """Anything else: a draw, a packet, a cancellation, a word of the program."""
        self.events.append(TraceEvent(loop.steps, loop.time() - loop.started_s, kind, who, text))

    def lines(self) -> list[str]:
        """The trace as text, a line for each event."""
        return [str(event) for event in self.events]

    def digest(self) -> str:
        """``sha256:`` digest of the lines."""
        return digest_of(self.lines())

    def tail(self, count: int = 40) -> str:
        """The last lines."""
        return "\n".join(self.lines()[-count:])


def digest_of(lines: list[str]) -> str:
    """``sha256:`` digest of a trace's lines."""
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def first_difference(before: list[str], now: list[str]) -> str:
    """Where two traces part, as one line; empty when they do not."""
    for number, (old, new) in enumerate(zip(before, now, strict=False), 1):
        if old != new:
            return f"line {number}: was {old.strip()!r}, is {new.strip()!r}"
    if len(before) != len(now):
        return f"one has {len(before)} lines, the other {len(now)}"
    return ""


def name_of(callback: object) -> str:
    """A callback's name, without addresses."""
    while isinstance(callback, functools.partial):
        callback = callback.func
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return owner.get_name()
    return getattr(callback, "__qualname__", None) or type(callback).__name__
