"""``threading.Lock`` inside a run: a real lock, but a wait for it passes in virtual time.

Made in a run and used outside of one (a library may keep it) it is an ordinary lock.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from types import CodeType
from typing import Any

from hardening.simulator.core.blocking import Blocking
from hardening.simulator.core.waits import is_own, place


class SimLock:
    """Implements ``_thread.lock``."""

    def __init__(self) -> None:
        self._real = _thread.allocate_lock()
        self._taken_at: tuple[CodeType, int] | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; false when it is not free in time."""
        if timeout != -1:
            check_seconds(timeout, blocking=blocking)
        if self._real.acquire(blocking=False):
            self._taken_at = _caller()
            return True
        loop = Blocking.running
        if not blocking or loop is None or not loop.is_here():
            return self._real.acquire(blocking, timeout)
        deadline_s = None if timeout < 0 else loop.now_s + timeout
        while not loop.block(self._is_free, deadline_s, "a threading.Lock", self._holder()) or not self._take():
            if deadline_s is not None and loop.now_s >= deadline_s - 1e-9:
                return False
        return True

    def _take(self) -> bool:
        if self._real.acquire(blocking=False):
            self._taken_at = _caller()
            return True
        return False

    def _is_free(self) -> bool:
        return not self._real.locked()

    def _holder(self) -> str:
        return f"the holder took it at {place(*self._taken_at)}" if self._taken_at else ""

    def release(self) -> None:
        """Give it back.

        Raises:
            RuntimeError: when it is free.
        """
        self._real.release()

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._real.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._real = _thread.allocate_lock()

    acquire_lock, release_lock, locked_lock = acquire, release, locked


def check_seconds(seconds: Any, *, blocking: bool = True) -> None:
    """Refuse what the interpreter refuses as a number of seconds, with its words: a free lock is asked.

    Raises:
        TypeError: no number.
        ValueError: none that can be waited for.
        OverflowError: too large.
    """
    _thread.allocate_lock().acquire(blocking, seconds)


def _caller() -> tuple[CodeType, int] | None:
    frame = sys._getframe(2)  # noqa: SLF001 - the only way to the caller
    while frame.f_back is not None and not is_own(frame.f_code.co_filename):
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


def lock_makers(real_lock: Callable[[], Any], real_rlock: Callable[[], Any]) -> tuple[Callable[[], Any], ...]:
    """What stands for ``threading.Lock`` and ``threading.RLock``: real ones outside of a run and in foreign threads."""
    python_rlock: Callable[[], Any] = threading._RLock  # noqa: SLF001 - made of ``Lock``

    def simulated() -> bool:
        loop = Blocking.running
        return loop is not None and bool(loop.is_here())

    def make_lock() -> Any:
        return SimLock() if simulated() else real_lock()

    def make_rlock(*args: Any, **kwargs: Any) -> Any:
        return python_rlock() if simulated() else real_rlock(*args, **kwargs)

    return make_lock, make_rlock
