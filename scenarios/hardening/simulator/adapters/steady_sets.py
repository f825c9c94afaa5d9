"""Sets that libraries iterate, kept in order of insertion: a set of plain objects iterates by address.

AnyIO cancels the children of a scope in the order of a set, and uvicorn ends its connections so. Addresses differ
from run to run, and with them the schedule.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any


class SteadySet(dict[Any, None]):
    """A set in order of insertion: what ``add``, ``discard`` and ``remove`` need."""

    def add(self, item: Any) -> None:
        """Put it at the end, unless it is there."""
        self[item] = None

    def discard(self, item: Any) -> None:
        """Take it out, if it is there."""
        self.pop(item, None)

    def remove(self, item: Any) -> None:
        """Take it out.

        Raises:
            KeyError: when it is not there.
        """
        del self[item]


OWNERS = (
    ("anyio._backends._asyncio", "CancelScope", ("_child_scopes",)),
    ("uvicorn.server", "ServerState", ("connections", "tasks")),
)
"""Module, class and the attributes of it that are sets."""


@contextlib.contextmanager
def steady_sets() -> Iterator[None]:
    """Objects made while the context lasts keep their sets in order; only libraries that are loaded are touched."""
    undo: list[tuple[Any, Any]] = []
    for module_name, class_name, attributes in OWNERS:
        kind = getattr(sys.modules.get(module_name), class_name, None)
        if kind is not None:
            undo.append((kind, kind.__init__))
            kind.__init__ = _steadied(kind.__init__, attributes)
    try:
        yield
    finally:
        for kind, real in undo:
            kind.__init__ = real


def _steadied(real: Any, attributes: tuple[str, ...]) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        real(self, *args, **kwargs)
        for name in attributes:
            setattr(self, name, SteadySet())

    return __init__
