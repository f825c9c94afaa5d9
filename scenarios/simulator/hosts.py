"""Machines of the simulated network: a name, and whether it is up. A crashed machine's callbacks never run."""

from __future__ import annotations

from contextvars import ContextVar
from typing import ClassVar


class Host:
    """One life of a machine; after a crash the machine gets a new one.

    Attributes:
        name: its name in the network.
        alive: false after a crash: nothing that runs in its context runs any more, not even ``finally``.
    """

    default: ClassVar[Host]

    __slots__ = ("alive", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True


Host.default = Host("local")

current_host: ContextVar[Host] = ContextVar("current_host", default=Host.default)
"""The machine on which the running code lives; tasks inherit it from who made them."""
