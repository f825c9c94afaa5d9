"""Waiting for an asynchronous condition with a deadline in seconds: how healing is verified.

A condition that does not hold in time is False, or a ``HealError`` with the given message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hardening.faults.base import HealError


async def wait_until(condition: Callable[[], Awaitable[bool]], deadline_s: float, step_s: float = 0.01) -> bool:
    """Poll an async predicate until it holds (true) or ``deadline_s`` seconds have passed (false)."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not await condition():
        if loop.time() >= end:
            return False
        await asyncio.sleep(step_s)
    return True


async def healed(condition: Callable[[], Awaitable[bool]], deadline_s: float, otherwise: str) -> None:
    """Wait until it is healed.

    Raises:
        HealError: ``otherwise``, when ``deadline_s`` seconds have passed.
    """
    if not await wait_until(condition, deadline_s):
        raise HealError(otherwise)


CANCEL_AGAIN_S = 1.0


async def end_task(task: asyncio.Task[object] | None) -> None:
    """Cancel a task of ours and wait for its end; what it raised on the way is of no further use.

    It is asked again until it ends: on 3.11 a cancellation that meets a finished command can get lost.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_AGAIN_S)
    if task is not None and not task.cancelled():
        task.exception()
