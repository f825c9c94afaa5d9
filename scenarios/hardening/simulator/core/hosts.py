"""Machines of the simulated network: a name, and whether the machine is up. A crashed machine's callbacks never run.

A stopped machine's callbacks wait until it goes on, as those of a process under SIGSTOP do; so do the callbacks of a
machine whose loop stands in a blocking call, except those that run *beside* the loop: its kernel and its threads.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, ClassVar


class Host:
    """One life of a machine; after a crash the machine gets a new one.

    Attributes:
        name: its name in the network.
        alive: false after a crash: nothing that runs in its context runs any more, not even ``finally``.
        stopped: while true, what would run in its context is kept for later.
        blocked: its loop stands in a blocking call; what belongs to that loop is kept for later.
        descriptors_left: connections that may still be opened or accepted; None without a limit.
        on_exit: called with the code when a program on it calls ``sys.exit`` or ``os._exit``; None: not simulated.
        signal_handlers: what its process set with ``signal.signal``, by number.
        loop_signals: what it set with ``loop.add_signal_handler``.
    """

    default: ClassVar[Host]

    __slots__ = (
        "alive",
        "blocked",
        "descriptors_left",
        "loop_signals",
        "name",
        "on_exit",
        "signal_handlers",
        "stopped",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.blocked = False
        self.descriptors_left: int | None = None
        self.on_exit: Callable[[int], None] | None = None
        self.signal_handlers: dict[int, Any] = {}
        self.loop_signals: dict[int, Any] = {}


Host.default = Host("local")

current_host: ContextVar[Host] = ContextVar("current_host", default=Host.default)
"""The machine on which the running code lives; a task inherits it from its creator."""

is_beside: ContextVar[bool] = ContextVar("is_beside", default=False)
"""True for what goes on while the machine's loop is blocked: packets that its kernel takes, threads that wake up."""


def beside_of(host: Host) -> Context:
    """A context for callbacks of ``host`` that run beside its loop."""
    context = Context()
    context.run(current_host.set, host)
    context.run(is_beside.set, True)
    return context


def context_of(host: Host) -> Context:
    """An empty context on ``host``, as a new thread has it."""
    context = Context()
    context.run(current_host.set, host)
    return context
