# ruff: noqa: SLF001 - the running loop is set as asyncio's own runners do
# mypy: disable-error-code="attr-defined"
"""What a simulated loop does instead of threads and signals, and what it refuses."""

from __future__ import annotations

import contextvars
import threading
from asyncio import events
from collections.abc import Callable
from typing import Any, NoReturn

from hardening.simulator.core.errors import RuleBrokenError
from hardening.simulator.core.handles import SimFuture
from hardening.simulator.core.waits import call_site


class Unreal:
    """Mixed into the loop."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> SimFuture:
        """Run ``func`` inline, from a timer: as a thread would, it ends some time later."""
        future: SimFuture = self.create_future()
        context = contextvars.copy_context()
        handed_over_at = call_site(2)

        def work(_handed_over_at: str = handed_over_at) -> None:  # ``call_site`` finds it there
            if future.cancelled():
                return
            try:
                result = outside(self, func, *args)
            except BaseException as error:  # noqa: BLE001 - handed on to whoever awaits
                future.set_exception(error)
            else:
                future.set_result(result)

        self.call_later(self.choices.number("executor", 0.0, 0.01), work, context=context)
        return future

    def set_default_executor(self, executor: Any) -> None:
        """Kept for shutdown only; work runs inline."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There are no threads to wait for."""

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback`` when the program (or a fault) sends the signal with ``send_signal``."""
        self.signal_handlers[int(sig)] = lambda: self.call_soon(callback, *args)

    def remove_signal_handler(self, sig: int) -> bool:
        """Forget the handler; whether there was one."""
        return self.signal_handlers.pop(int(sig), None) is not None

    def deliver_signal(self, number: int) -> bool:
        """Call the handler of this run; false when there is none.

        A real process would then end (or ignore it); here the program goes on, and the trace says so.
        """
        handler = self.signal_handlers.get(int(number))
        if self.tracing:
            self.trace.note(self, "signal", str(int(number)), "handled" if handler else "no handler")
        if handler is None:
            return False
        handler()
        return True

    def is_here(self) -> bool:
        """Whether the caller runs on this loop's thread: the process may have others, which live as always."""
        return bool(threading.get_ident() == self._thread_id)

    def _refuse(self, what: str) -> NoReturn:
        error = RuleBrokenError(what, call_site(), "the simulator has no such thing")
        self.fail(error)
        raise error

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        """Refused: there are no real descriptors."""
        self._refuse("loop.add_reader")

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:
        """Refused: there are no real descriptors."""
        self._refuse("loop.add_writer")

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> Any:
        """Refused."""
        self._refuse("subprocess")

    async def subprocess_shell(self, *args: Any, **kwargs: Any) -> Any:
        """Refused."""
        self._refuse("subprocess")

    async def create_datagram_endpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: the network carries streams."""
        self._refuse("loop.create_datagram_endpoint")


def outside(loop: Any, func: Callable[..., Any], *args: Any) -> Any:
    """Call ``func`` as a thread would see it: no running loop, no current task."""
    events._set_running_loop(None)
    try:
        return func(*args)
    finally:
        events._set_running_loop(loop)
