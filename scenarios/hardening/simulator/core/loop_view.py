"""What the parts of a run read from their loop. The loop imports them, so they know it by this protocol alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, Protocol

from hardening.simulator.core.errors import Wait


class LoopView(Protocol):
    """A simulated loop, as checks, traces and reports see it.

    Attributes:
        started_s: virtual time at which the run began, seconds.
        steps: callbacks run so far.
        timers: ``(when, sequence, timer)`` of the timers that are set, as a heap.
        main: the program's own task.
        attachments: what other parts keep with the run: the network, who holds which lock.
    """

    started_s: float
    steps: int
    timers: list[tuple[float, int, asyncio.TimerHandle]]
    attachments: dict[str, Any]
    _ready: deque[Any]
    tracing: bool
    standing: list[Wait]
    threads: Any
    trace: Any

    @property
    def main(self) -> asyncio.Task[Any] | None:
        """The program's own task."""

    def time(self) -> float:
        """Virtual monotonic seconds."""

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run ``callback`` in ``delay`` virtual seconds."""

    def fail(self, error: BaseException) -> None:
        """End the run with ``error`` after the current step."""

    def live_tasks(self) -> list[Any]:
        """Tasks that are not done, without the program's own, in the order of their creation."""
