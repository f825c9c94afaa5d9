"""A search under supervision: its process is a child, watched by a thread of its own and by the parent.

In: the work, a function that returns an exit code. Out: that code, or ``HARNESS_ERROR`` with one line on stderr that
names the place when a step blocks for too long (real seconds), when C code keeps the interpreter, or when the process
dies of a signal, as a C extension's segmentation fault ends it.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import IO

from hardening.simulator.core.blocking import Blocking
from hardening.simulator.core.waits import is_own, place

HARNESS_ERROR = 4

LOOK_EVERY_S = 0.1

GRACE_S = 5.0
"""How much longer the parent waits than the watching thread, before it takes the interpreter for blocked."""

_sleep, _exit = time.sleep, os._exit  # inside a run both are others


def supervised(work: Callable[[], int], step_s_max: float) -> int:
    """Run ``work`` in a child process and return its exit code.

    Args:
        work: what is done; its output goes where this process's goes.
        step_s_max: real seconds that one step of a run may take.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    heartbeat = mmap.mmap(-1, 8)
    with tempfile.TemporaryFile("w+") as dump:
        child = os.fork()
        if child == 0:
            _exit(_child(work, step_s_max, heartbeat, dump))
        status = _watch(child, step_s_max + GRACE_S, heartbeat)
        if status is None or os.WIFSIGNALED(status):
            dump.seek(0)
            print(_how_it_died(status, dump.read(), step_s_max), file=sys.stderr)  # noqa: T201 - the report
            return HARNESS_ERROR
        return os.waitstatus_to_exitcode(status)


def _child(work: Callable[[], int], step_s_max: float, heartbeat: mmap.mmap, dump: IO[str]) -> int:
    faulthandler.enable(dump)
    threading.Thread(target=_look, args=(step_s_max, heartbeat, threading.get_ident()), daemon=True).start()
    try:
        return work()
    except KeyboardInterrupt:
        return 130
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _look(step_s_max: float, heartbeat: mmap.mmap, main: int) -> None:
    """In a thread: beat, and end the process when a step takes too long. It counts its own sleeps: clocks are faked."""
    seen, since_s, beats = (0, -1), 0.0, 0
    while True:
        _sleep(LOOK_EVERY_S)
        beats += 1
        heartbeat[:8] = beats.to_bytes(8, "big")
        loop = Blocking.running
        now = (id(loop), -1 if loop is None else loop.steps)
        since_s = since_s + LOOK_EVERY_S if loop is not None and now == seen else 0.0
        seen = now
        if since_s > step_s_max:
            where = _where_it_stands(main)
            print(f"explore: a step blocks for more than {step_s_max:g} s at {where}", file=sys.stderr, flush=True)  # noqa: T201
            _exit(HARNESS_ERROR)


def _where_it_stands(main: int) -> str:
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to another thread's frames
    loop = Blocking.running
    threads = [] if loop is None else loop.threads.idents()
    for ident in (main, *threads):
        frame: FrameType | None = frames.get(ident)
        while frame is not None:
            if is_own(frame.f_code.co_filename):
                return place(frame.f_code, frame.f_lineno)
            if frame.f_code.co_name == "_run_round":
                break
            frame = frame.f_back
    return "a place in C code"


def _watch(child: int, silent_s_max: float, heartbeat: mmap.mmap) -> int | None:
    """The child's wait status; None when it had to be killed because its interpreter did not answer."""
    seen, since_s = bytes(8), 0.0
    while True:
        try:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
            time.sleep(LOOK_EVERY_S / 5)
        except KeyboardInterrupt:
            continue  # the child has it too, and says what there is to say
        now = bytes(heartbeat[:8])
        since_s = since_s + LOOK_EVERY_S / 5 if now == seen else 0.0
        seen = now
        if since_s > silent_s_max:
            os.kill(child, signal.SIGABRT)  # faulthandler writes where it is
            os.waitpid(child, 0)
            return None


def _how_it_died(status: int | None, dump: str, step_s_max: float) -> str:
    frames = re.findall(r'File "([^"]+)", line (\d+) in (\S+)', dump)
    own = next((f for f in frames if is_own(f[0])), frames[0] if frames else None)
    where = f"{'/'.join(own[0].split('/')[-2:])}:{own[1]} in {own[2]}" if own else "an unknown place"
    if status is None:
        return f"explore: C code keeps the interpreter for more than {step_s_max + GRACE_S:g} s at {where}"
    return f"explore: the process died of {signal.Signals(os.WTERMSIG(status)).name} at {where}"
