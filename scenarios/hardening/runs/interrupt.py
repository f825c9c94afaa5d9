"""Runs a coroutine so that Ctrl-C, SIGTERM and a closed terminal cancel it once; what it holds is healed and closed.

``asyncio.run`` turns a second Ctrl-C into a hard stop; here every further signal is ignored while the first one
is still being obeyed, since healing must not be interrupted.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")


def _ending() -> tuple[signal.Signals, ...]:
    """The signals that end a run. SIGHUP does not where the caller ignores it, as ``nohup`` does."""
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else []))


class InterruptedRunError(Exception):
    """The run was ended by a signal; everything it had started is gone.

    Attributes:
        signal: the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}; everything was healed and stopped")
        self.signal = number


def run(work: Coroutine[object, object, T], gently: Callable[[int], None] | None = None) -> T:
    """Run to the end.

    Args:
        work: what runs.
        gently: called with the first signal, and expected to bring ``work`` to its end; the second one cancels it.

    Raises:
        InterruptedRunError: when SIGINT, SIGTERM or SIGHUP ended it.
    """
    return asyncio.run(_watched(work, gently))


async def _watched(work: Coroutine[object, object, T], gently: Callable[[int], None] | None) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    got: list[int] = []

    def stop(number: int) -> None:
        got.append(number)
        if gently is not None and len(got) == 1:
            gently(number)
        elif len(got) == (1 if gently is None else 2):
            task.cancel()

    ending = _ending()
    for number in ending:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if got:
            raise InterruptedRunError(got[0]) from None
        raise
    finally:
        for number in ending:
            loop.remove_signal_handler(number)
