"""Signals of simulated processes: each machine has its own handlers, and a Python handler runs before the next line.

Sending one to another machine makes its handler a step of its own there.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from asyncio import unix_events
from collections.abc import Callable
from typing import Any

from hardening.simulator.core.blocking import Blocking
from hardening.simulator.core.hosts import Host, context_of, current_host

IGNORED_BY_DEFAULT = frozenset({signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH})
UNTOUCHABLE = frozenset({signal.SIGKILL, signal.SIGSTOP})


class Signals(Blocking):
    """Mixed into the loop."""

    tracing: bool
    trace: Any
    call_soon: Callable[..., Any]

    def set_up_signals(self) -> None:
        """No process has a handler."""
        self._listening: list[Host] = []
        Host.default.signal_handlers.clear()
        Host.default.loop_signals.clear()

    def handler_of(self, number: int) -> Any:
        """What ``signal.getsignal`` says on the machine of the caller."""
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        return current_host.get().signal_handlers.get(int(number), default)

    def set_handler(self, number: int, handler: Any) -> Any:
        """What ``signal.signal`` does; returns the handler before.

        Raises:
            ValueError: a number that is none, or the caller is no main thread.
            OSError: a signal that nobody can handle.
            TypeError: a handler that cannot be called.
        """
        if not self.is_loop_thread():
            raise ValueError("signal only works in main thread of the main interpreter")
        if not callable(handler) and handler not in (signal.SIG_IGN, signal.SIG_DFL):
            raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
        if not 1 <= int(number) < signal.NSIG:
            raise ValueError("signal number out of range")
        if number in UNTOUCHABLE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        before = self.handler_of(number)
        host = current_host.get()
        host.signal_handlers[int(number)] = handler
        if host not in self._listening:
            self._listening.append(host)
        return before

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback`` on the loop when the signal comes."""
        if asyncio.iscoroutine(callback) or asyncio.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        if not isinstance(sig, int):
            raise TypeError(f"sig must be an int, not {sig!r}")
        if sig not in signal.valid_signals():
            raise ValueError(f"invalid signal number {sig}")
        if sig in UNTOUCHABLE:
            raise RuntimeError(f"sig {sig} cannot be caught")
        self.set_handler(sig, unix_events._sighandler_noop)  # type: ignore[attr-defined] # noqa: SLF001 - as asyncio does
        current_host.get().loop_signals[int(sig)] = asyncio.Handle(callback, args, self)  # type: ignore[arg-type]

    def remove_signal_handler(self, sig: int) -> bool:
        """Forget the handler; whether there was one."""
        host = current_host.get()
        if host.loop_signals.pop(int(sig), None) is None:
            return False
        host.signal_handlers.pop(int(sig), None)
        return True

    def deliver_signal(self, number: int, host: Host | None = None) -> bool:
        """Send a signal to a machine's process; false when it has no handler.

        A process without a handler ends only where ``Host.on_exit`` says what that means; elsewhere it goes on.
        """
        host = host or current_host.get()
        number = int(number)
        handler = host.signal_handlers.get(number, signal.SIG_DFL)
        handled = callable(handler)
        if self.tracing:
            self.trace.note(self, "signal", f"{host.name}", f"{number} {'handled' if handled else 'no handler'}")
        if not handled:
            if handler == signal.SIG_DFL and number not in IGNORED_BY_DEFAULT and host.on_exit and host.alive:
                host.on_exit(-number)
            return False
        if host is current_host.get() and self.is_loop_thread():
            handler(number, None)
        else:
            self.call_soon(handler, number, None, context=context_of(host))
        scheduled = host.loop_signals.get(number)
        if scheduled is not None:
            self._add_signal_step(scheduled)
        return True

    def _add_signal_step(self, handle: Any) -> None:
        self.call_soon(handle._callback, *handle._args, context=handle._context)  # noqa: SLF001 - a handle runs once

    def broadcast_signal(self, number: int) -> bool:
        """Send it to every live machine that has a handler for it; false when none has."""
        heard = [h for h in self._listening if h.alive and callable(h.signal_handlers.get(int(number)))]
        if not heard:
            self.deliver_signal(number)
        return bool([self.deliver_signal(number, host) for host in heard])
