# ruff: noqa: SLF001 - a task that blocks is taken off the loop for a while, as asyncio's own C code does it
# mypy: disable-error-code="attr-defined"
"""Blocking calls inside a run: the caller waits in virtual time while other machines and threads go on.

In a simulated thread the call suspends that thread. On the loop it stops everything of the caller's machine that
belongs to the loop. A wait that nobody can end raises ``DeadlockError`` with its place.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from hardening.simulator.core.errors import DeadlockError, Wait
from hardening.simulator.core.handles import SimTask
from hardening.simulator.core.hosts import beside_of, current_host
from hardening.simulator.core.machines import Machines
from hardening.simulator.core.threads import Threads
from hardening.simulator.core.waits import call_site


class Blocking(Machines):
    """Mixed into the loop.

    Attributes:
        running: the loop of the run that is going on in this process.
        threads: the simulated threads of the run.
        standing: what the loop's own thread waits for in blocking calls, innermost last.
    """

    running: ClassVar[Any] = None
    threads: Threads

    def set_up_blocking(self) -> None:
        """Nothing blocks yet."""
        self.threads = Threads(self)  # type: ignore[arg-type] # the loop is a LoopView once it is made
        self.standing: list[Wait] = []

    def block(self, ready: Callable[[], bool], deadline_s: float | None, what: str, held_by: str = "") -> bool:
        """Wait until ``ready()`` or until ``deadline_s`` (virtual); whether it became ready.

        Raises:
            DeadlockError: when nobody can end the wait.
        """
        thread = self.threads.current()
        if thread is not None:
            return self.threads.block(thread, ready, deadline_s, what)
        if ready():
            return True
        task = asyncio.current_task(self)  # type: ignore[arg-type]
        name = task.get_name() if task is not None else "a callback"
        self.standing.append(Wait(name, what, call_site(2), (held_by,) if held_by else ()))
        host = current_host.get()
        host.blocked = self.hosts_differ = True
        if task is not None:
            asyncio.tasks._leave_task(self, task)  # type: ignore[arg-type]
        alarm = None if deadline_s is None else self.call_at(deadline_s, _nothing, context=beside_of(host))
        try:
            self.threads.poll()
            while not ready():
                if deadline_s is not None and self.now_s >= deadline_s - 1e-9:
                    return False
                self._run_once()
            return True
        except DeadlockError as error:
            self.fail(error)
            raise
        finally:
            if task is not None:
                asyncio.tasks._enter_task(self, task)  # type: ignore[arg-type]
            if alarm is not None:
                alarm.cancel()
            self.standing.pop()
            host.blocked = False
            self.let_go(host)

    def is_here(self) -> bool:
        """Whether the caller runs on the loop or in a simulated thread: the process may have others."""
        return self.is_loop_thread() or self.threads.current() is not None

    def is_loop_thread(self) -> bool:
        """Whether the caller runs on the loop itself."""
        return bool(threading.get_ident() == self._thread_id)

    def block_on(self, coroutine: Coroutine[Any, Any, Any], timeout_s: float | None, what: str) -> Any:
        """Run ``coroutine`` beside the caller's loop and block until it is done; returns its result.

        Raises:
            TimeoutError: when it is not done within ``timeout_s``; it is cancelled then.
        """
        task = SimTask(
            coroutine,
            loop=self,  # type: ignore[arg-type]
            name=f"kernel: {what}",
            context=beside_of(current_host.get()),
        )
        deadline_s = None if timeout_s is None else self.now_s + timeout_s
        if not self.block(task.done, deadline_s, what):
            task.cancel()
            raise TimeoutError("timed out")
        return task.result()

    def sleep_here(self, seconds: float) -> None:
        """``time.sleep``: a thread sleeps alone; on the loop everything waits but the threads."""
        if self.threads.live:
            self.block(_never, self.now_s + seconds, "time.sleep")
        else:
            self.stall(seconds)


def _nothing() -> None:
    """A moment at which the loop looks again."""


def _never() -> bool:
    return False
