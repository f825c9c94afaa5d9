"""An event loop whose timers are late by microseconds, not by up to a millisecond.

``epoll_wait`` counts in milliseconds, and the standard selector rounds up. Toxics delay bytes by exact times, so the
proxy's own process waits with ``select`` on the epoll descriptor itself, which counts in microseconds, and then
collects the events without waiting.
"""

from __future__ import annotations

import asyncio
import select
import selectors

# select() can only watch descriptors below this number (FD_SETSIZE); epoll's is made early and is small.
_DESCRIPTORS_MAX = 1024
_Events = list[tuple[selectors.SelectorKey, int]]


class PreciseSelector(selectors.EpollSelector):
    """Epoll with timeouts in microseconds."""

    def select(self, timeout: float | None = None) -> _Events:
        """Wait for events for ``timeout`` seconds (None: until there are some; 0 or less: not at all)."""
        if timeout is not None and timeout > 0 and self.fileno() < _DESCRIPTORS_MAX:
            select.select((self.fileno(),), (), (), timeout)
            timeout = 0
        return super().select(timeout)


def precise_loop() -> asyncio.AbstractEventLoop:
    """A new event loop with that selector."""
    return asyncio.SelectorEventLoop(PreciseSelector())
