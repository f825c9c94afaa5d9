# mypy: disable-error-code="attr-defined,has-type,no-any-return"
"""Tasks, futures and handles of a simulated loop: hashed by number, and quick to make."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import Any, cast


class SimTask(asyncio.Task[Any]):
    """A task that hashes by its number: sets of tasks iterate in the same order in every process.

    ``host`` is the machine it was made on; unset for the default one.
    """

    __slots__ = ("_number", "host")

    def set_name(self, value: object) -> None:
        """A name in which a library counts over the whole process is that of the first run."""
        super().set_name(cast(Any, self.get_loop()).names.in_this_run(str(value)))

    def __hash__(self) -> int:
        try:
            return cast(int, self._number)
        except AttributeError:
            self._number = cast(Any, self.get_loop()).next_number()
            return self._number


class SimFuture(asyncio.Future[Any]):
    """A future that hashes by its number."""

    __slots__ = ("_number",)

    def __hash__(self) -> int:
        try:
            return cast(int, self._number)
        except AttributeError:
            self._number = cast(Any, self.get_loop()).next_number()
            return self._number


class SimHandle(asyncio.Handle):
    """asyncio's handle, made without asking for the debug mode."""

    __slots__ = ()

    def __init__(self, callback: Any, args: Any, loop: Any, context: Any) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class SimTimer(asyncio.TimerHandle):
    """asyncio's timer handle, made without asking for the debug mode."""

    __slots__ = ()

    def __init__(self, when: float, callback: Any, args: Any, loop: Any, context: Any) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self._when = when
        self._scheduled = True
