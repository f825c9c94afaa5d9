"""Simulated threads: threads of the operating system of which at most one runs at a time, when the loop says so.

A thread runs until it blocks (a sleep, a lock, a socket) or ends, in zero virtual time; meanwhile the loop waits. What
it blocks on is a function that says whether it may go on, looked at after every step, and a deadline in virtual
seconds. Threads of the process that the simulation did not start are left alone.
"""

from __future__ import annotations

import _thread
import os
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

from hardening.simulator.core.errors import Wait
from hardening.simulator.core.hosts import Host, beside_of, context_of
from hardening.simulator.core.loop_view import LoopView
from hardening.simulator.core.waits import call_site

Ready = Callable[[], bool]


class ThreadEndedError(BaseException):
    """The run is over, or the machine crashed: unwinds a thread that still waits."""


class SimThread:
    """One thread of a simulated process.

    Attributes:
        name: for the trace.
        host: the machine whose process it belongs to.
        is_done: whether it has ended.
        on: what it waits for, and where.
    """

    def __init__(self, name: str, job: Callable[[], object], host: Host) -> None:
        self.name = name
        self.host = host
        self.is_done = False
        self.on: tuple[str, str] = ("", "")
        self.context: Context = context_of(host)
        self.job = job
        self.ready: Ready | None = None
        self.deadline_s: float | None = None
        self.must_end = False
        self.worker: _Worker | None = None


class _Worker:
    """A thread of the operating system that runs one ``SimThread`` after the other."""

    idle: list[_Worker] = []  # noqa: RUF012 - shared by all runs of the process

    def __init__(self) -> None:
        self.go = _thread.allocate_lock()
        self.go.acquire()
        self.task: Callable[[], None] = lambda: None
        self.ident = 0
        _thread.start_new_thread(self._serve, ())

    def _serve(self) -> None:
        self.ident = threading.get_ident()
        while True:
            self.go.acquire()
            self.task()


os.register_at_fork(after_in_child=_Worker.idle.clear)


class Threads:
    """The simulated threads of one run."""

    def __init__(self, loop: LoopView) -> None:
        self._loop = loop
        self._back = _thread.allocate_lock()
        self._back.acquire()
        self._by_ident: dict[int, SimThread] = {}
        self.live: list[SimThread] = []
        self.blocked: list[SimThread] = []

    def current(self) -> SimThread | None:
        """The simulated thread that runs the caller; None on the loop and in threads of the real process."""
        return self._by_ident.get(threading.get_ident()) if self._by_ident else None

    def start(self, name: str, job: Callable[[], object], host: Host, delay_s: float = 0.0) -> SimThread:
        """Run ``job`` in a new thread of ``host``, ``delay_s`` virtual seconds from now."""
        thread = SimThread(name, job, host)
        self.live.append(thread)
        self._note(thread, "starts")
        self._loop.call_later(delay_s, self._resume, thread, context=beside_of(host))
        return thread

    def block(self, thread: SimThread, ready: Ready, deadline_s: float | None, what: str) -> bool:
        """Called in ``thread``: wait until ``ready()`` or the deadline; whether it became ready."""
        if thread.must_end:
            raise ThreadEndedError
        if ready():
            return True
        thread.ready, thread.deadline_s, thread.on = ready, deadline_s, (what, call_site(2))
        self.blocked.append(thread)
        self._note(thread, f"waits for {what} at {thread.on[1]}")
        alarm = None
        if deadline_s is not None:
            delay_s = max(0.0, deadline_s - self._loop.time())
            alarm = self._loop.call_later(delay_s, _nothing, context=beside_of(thread.host))
        worker = thread.worker
        assert worker is not None
        self._back.release()
        worker.go.acquire()
        if alarm is not None:
            alarm.cancel()
        if thread.must_end:
            raise ThreadEndedError
        return ready()

    def poll(self) -> None:
        """Wake the threads that may go on; called after every step while some are blocked."""
        for thread in list(self.blocked):
            due = thread.deadline_s is not None and self._loop.time() >= thread.deadline_s - 1e-9
            if thread.host.alive and not thread.host.stopped and (due or (thread.ready is not None and thread.ready())):
                self.blocked.remove(thread)
                self._loop.call_later(0.0, self._resume, thread, context=beside_of(thread.host))

    def idents(self) -> list[int]:
        """Identifiers of the threads that have begun and not ended."""
        return list(self._by_ident)

    def waits(self) -> list[Wait]:
        """What each blocked thread waits for."""
        return [Wait(f"thread {thread.name}", *thread.on) for thread in self.blocked if thread.host.alive]

    def end(self) -> None:
        """Unwind every thread that has begun and still waits; the others never begin."""
        for _ in range(3):
            for thread in list(self.live):
                thread.must_end = True
                if thread.worker is not None:
                    self._switch_to(thread)
        self.live.clear()
        self.blocked.clear()

    def _resume(self, thread: SimThread) -> None:
        if thread.host.alive and thread.host.stopped:
            thread.ready, thread.deadline_s = lambda: True, None
            self.blocked.append(thread)
        elif thread.host.alive:
            self._switch_to(thread)

    def _switch_to(self, thread: SimThread) -> None:
        worker = thread.worker
        if worker is None:
            worker = thread.worker = _Worker.idle.pop() if _Worker.idle else _Worker()
            worker.task = lambda: self._main(thread)
        worker.go.release()
        self._back.acquire()

    def _main(self, thread: SimThread) -> None:
        """Runs in the worker."""
        worker = thread.worker
        assert worker is not None
        self._by_ident[worker.ident] = thread
        try:
            thread.context.run(thread.job)
        except (ThreadEndedError, SystemExit):
            pass
        except BaseException as error:  # noqa: BLE001 - reported as asyncio reports a task that nobody looked at
            report: Any = self._loop
            report.call_exception_handler({"message": f"Thread {thread.name} failed", "exception": error})
        thread.is_done = True
        del self._by_ident[worker.ident]
        threading._active.pop(worker.ident, None)  # type: ignore[attr-defined] # noqa: SLF001
        if thread in self.live:
            self.live.remove(thread)
        self._note(thread, "ends")
        worker.task = _nothing
        _Worker.idle.append(worker)
        self._back.release()

    def _note(self, thread: SimThread, text: str) -> None:
        if self._loop.tracing:
            self._loop.trace.note(self._loop, "thread", thread.name, text)


def _nothing() -> None:
    """A moment at which the loop looks again."""
