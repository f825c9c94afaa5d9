"""Child processes that end when their parent ends, however it ends, and that a sweep finds even if unrecorded.

In: the run directory that owns the child, its name, its environment. Out: keyword arguments for ``subprocess.Popen`` or
``asyncio.create_subprocess_exec``::

    process = await asyncio.create_subprocess_exec(*argv, **tied(run, "redis", env), process_group=0)
    owned = run.own(process.pid, "redis")

Before the spawn an intent is written to the run directory, and the child's environment carries the directory's path
(``RUN_VARIABLE``): a harness that is killed before ``own`` leaves a child that ``sweep`` recognises by that variable,
as it does the child's own children. On Linux the kernel sends SIGKILL to the child when the *thread* that started it
ends (PR_SET_PDEATHSIG), and the run directory's guard kills the child's own children: start children from the thread
that runs the event loop, never from a worker thread that ends sooner. Elsewhere only the sweep ends them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from hardening.faults.run_directory import RUN_VARIABLE, RunDirectory

_PR_SET_PDEATHSIG = 1
# Bound before the fork: between fork and exec nothing may be imported or looked up.
_prctl = ctypes.PyDLL(None).prctl if sys.platform == "linux" else None


def tied(run: RunDirectory | None, name: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Options that tie a child to this process.

    Args:
        run: the run directory that is to know the child; None for a child that nobody needs to find.
        name: what the run directory calls it.
        env: the child's environment; this process's own when None.

    Returns:
        ``env`` and ``preexec_fn``.
    """
    variables = dict(os.environ if env is None else env)
    if run is not None:
        run.intend(name)
        variables[RUN_VARIABLE] = str(run.path)
    return {"env": variables, "preexec_fn": _ends_with(os.getpid())}


def _ends_with(parent: int) -> Callable[[], None]:
    def between_fork_and_exec() -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            # The parent may have ended before the kernel was asked.
            if os.getppid() != parent:
                os._exit(1)

    return between_fork_and_exec
