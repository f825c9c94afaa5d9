# ruff: noqa: SLF001 - a thread's life is kept in private names of ``threading``
# mypy: disable-error-code="attr-defined"
"""``threading`` inside a run: threads, locks and queues of the program are simulated, those of others are left alone.

Everything of ``threading`` and ``queue`` that is written in Python (conditions, events, semaphores, queues, futures
of executors) stands on locks, and so works as it is once ``Lock`` waits in virtual time.
"""

from __future__ import annotations

import queue
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from hardening.simulator.core.hosts import current_host
from hardening.simulator.core.sync import lock_makers
from hardening.simulator.core.threads import SimThread
from hardening.simulator.core.waits import importing


class RunHolder(Protocol):
    """Who knows the run that is going on."""

    loop: Any


Patch = tuple[Any, str, Any]


def thread_patches(box: RunHolder) -> list[Patch]:
    """What to set in ``threading`` and ``queue``, and in modules that imported from them by name."""
    make_lock, make_rlock = lock_makers(threading.Lock, threading.RLock)
    started: weakref.WeakKeyDictionary[threading.Thread, SimThread] = weakref.WeakKeyDictionary()
    simple_queue = queue._PySimpleQueue
    patches: list[Patch] = [
        (threading, "_allocate_lock", make_lock),
        (threading, "_counter", threading._counter),  # each run counts its threads from one, see ``Sandbox.begin``
        (threading.Thread, "start", _start(box, threading.Thread.start, started)),
        (threading.Thread, "join", _join(box, threading.Thread.join, started)),
        (threading.Thread, "is_alive", _is_alive(threading.Thread.is_alive, started)),
    ]
    for name, real, ours in (
        ("Lock", threading.Lock, make_lock),
        ("RLock", threading.RLock, make_rlock),
        ("SimpleQueue", queue.SimpleQueue, simple_queue),
    ):
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", None)
            if isinstance(names, dict) and names.get(name) is real and module.__name__ not in ("_thread", "_queue"):
                patches.append((module, name, ours))
    return patches


def _start(box: RunHolder, real: Callable[..., Any], started: Any) -> Callable[..., Any]:
    def start(thread: threading.Thread) -> None:
        loop = box.loop
        if loop is None or not loop.is_here() or importing():
            real(thread)
            return
        if thread._started.is_set():
            raise RuntimeError("threads can only be started once")

        def run() -> None:
            thread._ident = threading.get_ident()
            threading._active[thread._ident] = thread
            thread.run()

        delay_s = loop.choices.number("thread", 0.0, 0.001)
        started[thread] = loop.threads.start(thread.name, run, current_host.get(), delay_s)
        thread._started.set()

    return start


def _join(box: RunHolder, real: Callable[..., Any], started: Any) -> Callable[..., Any]:
    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        simulated, loop = started.get(thread), box.loop
        if simulated is None or loop is None:
            real(thread, timeout)
        elif simulated is loop.threads.current():
            raise RuntimeError("cannot join current thread")
        else:
            deadline_s = None if timeout is None else loop.now_s + max(0.0, timeout)
            loop.block(lambda: simulated.is_done, deadline_s, f"the end of thread {thread.name}")

    return join


def _is_alive(real: Callable[..., bool], started: Any) -> Callable[..., bool]:
    def is_alive(thread: threading.Thread) -> bool:
        simulated = started.get(thread)
        return real(thread) if simulated is None else not simulated.is_done

    return is_alive
