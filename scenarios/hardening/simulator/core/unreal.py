# mypy: disable-error-code="attr-defined"
"""Executors of a simulated loop, and what the loop refuses with ``RuleBrokenError``."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from hardening.simulator.core.choices import Choices
from hardening.simulator.core.errors import RuleBrokenError
from hardening.simulator.core.handles import SimFuture
from hardening.simulator.core.hosts import current_host
from hardening.simulator.core.signals import Signals
from hardening.simulator.core.threads import ThreadEndedError
from hardening.simulator.core.waits import call_site


class Unreal(Signals):
    """Mixed into the loop."""

    choices: Choices

    def set_up_executors(self) -> None:
        """No job was handed to an executor yet."""
        self._executors: dict[int, Executor] = {}

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> SimFuture:
        """Run ``func`` in a simulated thread of the executor's pool; what its caller does meanwhile does not matter."""
        kept = self._executors.get(id(executor))
        if kept is None:
            slots = int(getattr(executor, "_max_workers", None) or DEFAULT_WORKERS)
            kept = self._executors[id(executor)] = Executor(self, executor, slots)
        return kept.submit(lambda: func(*args), call_site(2))

    def set_default_executor(self, executor: Any) -> None:
        """Kept for shutdown only; jobs run in simulated threads."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Until the jobs of the default executor have ended."""
        kept = self._executors.get(id(None))
        while kept is not None and kept.jobs:
            await asyncio.wait(list(kept.jobs), timeout=timeout)
            if timeout is not None:
                return

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


DEFAULT_WORKERS = 12
"""Threads of asyncio's default executor: those of a machine with eight processors."""

THREAD_START_S = 0.01
"""How long a thread that was handed a job may take to begin."""


class Executor:
    """The jobs that one executor has; they wait while all its threads are busy."""

    def __init__(self, loop: Any, real: Any, slots: int) -> None:
        self._loop = loop
        self._real = real  # its id is the key under which this object is found
        self._free = slots
        self._waiting: deque[tuple[Callable[[], Any], SimFuture, str]] = deque()
        self.jobs: dict[SimFuture, None] = {}

    def submit(self, job: Callable[[], Any], handed_over_at: str) -> SimFuture:
        """Hand it to a thread that is free, or to the next one that will be."""
        future: SimFuture = self._loop.create_future()
        self.jobs[future] = None
        future.add_done_callback(lambda done: self.jobs.pop(done, None))
        self._waiting.append((job, future, handed_over_at))
        self._begin()
        return future

    def _begin(self) -> None:
        while self._free and self._waiting:
            job, future, handed_over_at = self._waiting.popleft()
            if future.cancelled():  # only while it waits for a thread can a job be called back
                continue
            self._free -= 1
            delay_s = self._loop.choices.number("executor", 0.0, THREAD_START_S)
            run = functools.partial(self._run, job, future, handed_over_at)
            self._loop.threads.start("executor", run, current_host.get(), delay_s)

    def _run(self, work: Callable[[], Any], future: SimFuture, _handed_over_at: str) -> None:
        """In the thread; ``call_site`` finds ``_handed_over_at`` here."""
        loop = self._loop
        try:
            result = work()
        except ThreadEndedError:
            raise
        except BaseException as error:  # noqa: BLE001 - handed on to the code that awaits
            loop.call_soon(_settle, future, None, error)
        else:
            loop.call_soon(_settle, future, result, None)
        finally:
            self._free += 1
            loop.call_soon(self._begin)


def _settle(future: SimFuture, result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
