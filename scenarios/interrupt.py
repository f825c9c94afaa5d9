"""Runs a coroutine so that Ctrl-C and SIGTERM cancel it once, and whatever it holds is healed and closed.

``asyncio.run`` turns a second Ctrl-C into a hard stop; here every further signal is ignored while the first one
is still being obeyed, since healing must not be interrupted.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class InterruptedRunError(Exception):
    """The run was ended by a signal; everything it had started is gone.

    Attributes:
        signal: the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}; everything was healed and stopped")
        self.signal = number


def run(work: Coroutine[object, object, T]) -> T:
    """Run to the end.

    Raises:
        InterruptedRunError: when SIGINT or SIGTERM ended it.
    """
    return asyncio.run(_watched(work))


async def _watched(work: Coroutine[object, object, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    got: list[int] = []

    def stop(number: int) -> None:
        if not got:
            task.cancel()
        got.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if got:
            raise InterruptedRunError(got[0]) from None
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
