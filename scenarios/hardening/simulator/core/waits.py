# ruff: noqa: SLF001 - the report reads what asyncio keeps private: who is ready, which timers are set
# mypy: disable-error-code="attr-defined,no-any-return"
"""Who waits for what, and who holds it: read from the tasks' own frames when a run is stuck."""

from __future__ import annotations

import asyncio
import os
import sys
import sysconfig
from collections import Counter
from types import CodeType, FrameType
from typing import Any

from hardening.simulator.core.errors import Wait
from hardening.simulator.core.loop_view import LoopView

STDLIB = sysconfig.get_paths()["stdlib"]
HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep
PRIMITIVES = ("Lock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Queue", "Barrier", "CapacityLimiter")


def in_stdlib(filename: str) -> bool:
    """Whether a file belongs to the standard library (site-packages may lie inside it)."""
    return filename.startswith((STDLIB, "<frozen")) and "site-packages" not in filename


def is_own(filename: str) -> bool:
    """Whether a file is the program's or a library's: neither the standard library's nor the simulator's."""
    return not in_stdlib(filename) and not filename.startswith(HERE)


def frames_of(task: asyncio.Task[Any]) -> list[FrameType]:
    """The frames a task is suspended in, outermost first, through every ``await``."""
    frames = []
    awaitable: Any = task.get_coro()
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "gi_frame", None)
        frame = frame or getattr(awaitable, "ag_frame", None)
        if frame is not None:
            frames.append(frame)
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "gi_yieldfrom", None)
    return frames


def place(code: CodeType, line: int) -> str:
    """``file:line in function``, with the last two parts of the path: the same on every machine."""
    return f"{'/'.join(code.co_filename.split('/')[-2:])}:{line} in {code.co_name}"


def call_site(depth: int = 1) -> str:
    """The innermost caller outside the standard library and the simulator, from ``depth`` frames up.

    For a library's function that was handed to a thread as it is, the place where it was handed over.
    """
    frame: FrameType | None = sys._getframe(depth)
    outermost = frame
    while frame is not None:
        code = frame.f_code
        if is_own(code.co_filename):
            return place(code, frame.f_lineno)
        if code.co_name == "_run" and "_handed_over_at" in code.co_varnames and code.co_filename.startswith(HERE):
            return str(frame.f_locals["_handed_over_at"])
        outermost, frame = frame, frame.f_back
    return place(outermost.f_code, outermost.f_lineno) if outermost else "nowhere"


def importing() -> bool:
    """Whether the caller runs because a module is being imported: what that does is no behaviour of the program."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        if frame.f_code.co_filename.startswith(os.path.join(HERE, "core", "loop")):
            return False
        frame = frame.f_back
    return False


def where_is(task: asyncio.Task[Any]) -> str:
    """The innermost place of a suspended task outside the standard library."""
    frames = frames_of(task)
    own = [frame for frame in frames if is_own(frame.f_code.co_filename)]
    chosen = (own or frames)[-1:]
    return place(chosen[0].f_code, chosen[0].f_lineno) if chosen else "not started"


def primitive_of(task: asyncio.Task[Any]) -> object | None:
    """The lock, semaphore, event or queue in whose method a task is suspended."""
    for frame in reversed(frames_of(task)):
        owner = frame.f_locals.get("self")
        if owner is not None and any(kind.__name__ in PRIMITIVES for kind in type(owner).__mro__):
            return owner
    return None


def who_waits(loop: LoopView) -> tuple[Wait, ...]:
    """Every task that is not done: what it waits for, and who holds that."""
    tasks: list[asyncio.Task[Any]] = [*([loop.main] if loop.main and not loop.main.done() else []), *loop.live_tasks()]
    numbers: dict[int, int] = {}
    holders = loop.attachments.get("holders", {})
    return (*loop.standing, *(_wait(task, numbers, holders) for task in tasks), *loop.threads.waits())


def _wait(task: asyncio.Task[Any], numbers: dict[int, int], holders: dict[int, list[str]]) -> Wait:
    waiter: Any = getattr(task, "_fut_waiter", None)
    where = where_is(task)
    if isinstance(waiter, asyncio.Task):
        return Wait(task.get_name(), f"task {waiter.get_name()}", where)
    children = getattr(waiter, "_children", None)
    if children:
        names = [child.get_name() if isinstance(child, asyncio.Task) else "a future" for child in children]
        return Wait(task.get_name(), f"all of {', '.join(names)}", where)
    primitive = primitive_of(task)
    if primitive is not None:
        number = numbers.setdefault(id(primitive), len(numbers) + 1)
        return Wait(
            task.get_name(), f"{type(primitive).__name__} #{number}", where, tuple(_holders(primitive, holders))
        )
    inner = frames_of(task)[-1:]
    return Wait(task.get_name(), f"a future in {inner[0].f_code.co_name}" if inner and waiter else "its turn", where)


def _holders(primitive: object, holders: dict[int, list[str]]) -> list[str]:
    inner = getattr(primitive, "_lock", None)
    for thing in (primitive, inner):
        if thing is not None and id(thing) in holders:
            return list(holders[id(thing)])
    owner = getattr(primitive, "_owner_task", None)
    return [owner.get_name()] if isinstance(owner, asyncio.Task) else []


def busiest(loop: LoopView) -> str:
    """Names of the tasks that are ready now, most often named first."""
    count: Counter[str] = Counter()
    for handle in loop._ready:
        owner = getattr(handle._callback, "__self__", None)
        count[
            owner.get_name()
            if isinstance(owner, asyncio.Task)
            else getattr(handle._callback, "__qualname__", "a callback")
        ] += 1
    return ", ".join(name for name, _ in count.most_common(3)) or "the running task"


def is_packet(timer: asyncio.TimerHandle) -> bool:
    """Whether a timer is a packet under way: the network's, not the program's."""
    return type(getattr(timer._callback, "__self__", None)).__name__ == "Connection"


def leftovers(loop: LoopView) -> tuple[str, ...]:
    """What the program left behind: tasks, timers, sockets, locks; one line each."""
    found = [f"task {task.get_name()} ({where_is(task)})" for task in loop.live_tasks()]
    waited = {id(getattr(task, "_fut_waiter", None)) for task in loop.live_tasks()}
    for when, _, timer in sorted(loop.timers, key=lambda entry: entry[:2]):
        args: Any = timer._args or ()
        if not timer.cancelled() and not is_packet(timer) and not any(id(arg) in waited for arg in args):
            callback = getattr(timer._callback, "__qualname__", "a callback")
            found.append(f"timer for {callback} in {when - loop.time():.6g} s")
    network = loop.attachments.get("network")
    if network is not None:
        found.extend(network.leftovers())
    locks = loop.attachments.get("holders", {})
    found.extend(f"lock held by {', '.join(names)}" for names in locks.values() if names)
    return tuple(found)
