# ruff: noqa: SLF001 - the running loop is set as asyncio's own runners do
# mypy: disable-error-code="attr-defined"
"""A simulated loop made the running one of its thread, and tasks whose exceptions steer the whole run."""

from __future__ import annotations

import sys
import threading
from asyncio import events
from typing import Any


async def steered(loop: Any, awaitable: Any) -> Any:
    """A task keeps an exception for the code that awaits it; one that steers the whole run must not wait for that."""
    try:
        return await awaitable
    except loop.steering as error:
        loop.fail(error)
        raise


class Running:
    """Makes the loop the running one, and puts back what was there."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        loop = self._loop
        self._before = events._get_running_loop()
        self._hooks = sys.get_asyncgen_hooks()
        loop._thread_id = threading.get_ident()
        sys.set_asyncgen_hooks(
            firstiter=loop._asyncgen_firstiter_hook,
            finalizer=loop._asyncgen_finalizer_hook,
        )
        events._set_running_loop(loop)

    def __exit__(self, *exc: object) -> None:
        events._set_running_loop(self._before)
        sys.set_asyncgen_hooks(*self._hooks)
        self._loop._thread_id = None
