"""Machines of the simulated network: a name, and whether it is up. A crashed machine's callbacks never run.

A stopped machine's callbacks wait until it goes on, as those of a process under SIGSTOP do.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import ClassVar


class Host:
    """One life of a machine; after a crash the machine gets a new one.

    Attributes:
        name: its name in the network.
        alive: false after a crash: nothing that runs in its context runs any more, not even ``finally``.
        stopped: while true, what would run in its context is kept for later.
        descriptors_left: connections that may still be opened or accepted; None without a limit.
        on_exit: told the code when a program on it calls ``sys.exit`` or ``os._exit``; None: that is not simulated.
    """

    default: ClassVar[Host]

    __slots__ = ("alive", "descriptors_left", "name", "on_exit", "stopped")

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.descriptors_left: int | None = None
        self.on_exit: Callable[[int], None] | None = None


Host.default = Host("local")

current_host: ContextVar[Host] = ContextVar("current_host", default=Host.default)
"""The machine on which the running code lives; tasks inherit it from who made them."""
