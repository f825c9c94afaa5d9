"""What a program may say inside a simulation: draw, wait for simulated I/O, offer a cancellation, promise.

None of it is needed: an ordinary ``async def`` runs as it is. Outside a simulation these raise
``OutsideSimulationError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import overload

from hardening.simulator.core.blocking import Blocking
from hardening.simulator.core.checks import Watch
from hardening.simulator.core.errors import OutsideSimulationError
from hardening.simulator.core.waits import call_site
from hardening.simulator.net.network import Network, network_of
from hardening.simulator.net.sim_loop import SimLoop

OUTSIDE = "only inside a program that explore() or replay() runs"


def current_loop() -> SimLoop:
    """The simulated loop that runs now.

    Raises:
        OutsideSimulationError: when none does.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise OutsideSimulationError(OUTSIDE) from None
    if not isinstance(loop, SimLoop):
        raise OutsideSimulationError(OUTSIDE)
    return loop


def in_simulation() -> bool:
    """Whether the calling code runs in a simulation."""
    try:
        return isinstance(asyncio.get_running_loop(), SimLoop)
    except RuntimeError:
        return False


@overload
def draw(low: int, high: int) -> int: ...
@overload
def draw(low: float, high: float) -> float: ...
def draw(low: float, high: float) -> float:
    """A number from ``low`` to ``high``, both included; whole if both are ints. The default is ``low``."""
    loop = current_loop()
    if low > high:
        raise ValueError(f"draw: low is {low!r}, allowed: at most high ({high!r})")
    task = asyncio.current_task()
    who = task.get_name() if task is not None else "callback"
    value = loop.choices.number(who, low, high)
    if loop.tracing:
        loop.trace.note(loop, "draw", who, f"{value:.6g} of {low:g}..{high:g} at {call_site()}")
    return value


async def io(low: float, high: float) -> float:
    """Wait as for I/O that takes ``low`` to ``high`` virtual seconds; returns how long. The default is ``low``."""
    loop = current_loop()
    if not 0 <= low <= high:
        raise ValueError(f"io: bounds are {low!r} and {high!r}, allowed: 0 <= low <= high")
    task = asyncio.current_task(loop)
    who = task.get_name() if task is not None else "callback"
    seconds = loop.choices.wait(who, float(low), float(high), loop.now_s, loop.timers)
    if loop.tracing:
        loop.trace.note(loop, "io", who, f"{seconds:.6g} of {low:g}..{high:g} at {call_site()}")
    await asyncio.sleep(seconds)
    return seconds


def blocking_io(low: float, high: float) -> float:
    """Wait as a blocking read or write of a disk does: a thread waits alone, on the loop everything stands still."""
    loop = Blocking.running
    if loop is None or not loop.is_here():
        raise OutsideSimulationError(OUTSIDE)
    if not 0 <= low <= high:
        raise ValueError(f"blocking_io: bounds are {low!r} and {high!r}, allowed: 0 <= low <= high")
    seconds: float = loop.choices.number("disk", float(low), float(high))
    if loop.tracing:
        loop.trace.note(loop, "io", "disk", f"{seconds:.6g} of {low:g}..{high:g} at {call_site()}")
    loop.sleep_here(seconds)
    return seconds


def cancelled() -> tuple[str, ...]:
    """Names of the tasks that the schedule has cancelled so far, in order."""
    return tuple(current_loop().cancelled)


def end_cancellations() -> None:
    """The schedule cancels nobody from now on: what follows is the final check."""
    current_loop().end_cancellations()


def jump_wall_clock(seconds: float, host: str | None = None) -> None:
    """Set the wall clock (of one machine) off by so much from now on; the monotonic clock does not notice."""
    loop = current_loop()
    loop.set_wall(seconds, 1.0, host)
    if loop.tracing:
        loop.trace.note(loop, "clock", host or "all machines", f"the wall clock is off by {seconds:g} s")


async def cancel_point() -> None:
    """A place where the current task may be cancelled; the default is that it is not.

    Raises:
        asyncio.CancelledError: when the schedule says so.
    """
    loop = current_loop()
    task = asyncio.current_task()
    if task is not None and not loop.cancels_end and loop.choices.rare(f"{task.get_name()} cancel_point", 0, 1):
        if loop.tracing:
            loop.trace.note(loop, "cancel", task.get_name(), f"at {call_site()}")
        loop.cancelled.append(task.get_name())
        task.cancel()
        await asyncio.sleep(0)


def always(name: str, check: Callable[[], object]) -> Watch:
    """``check()`` must be true now and after every step; it is watched until ``stop()`` or the end of the run."""
    return current_loop().checks.always(name, check)


def eventually(name: str, check: Callable[[], object], within_s: float) -> Watch:
    """``check()`` must come true within ``within_s`` virtual seconds; the run waits for it."""
    return current_loop().checks.eventually(name, check, within_s)


def say(text: str) -> None:
    """A line of the program's own in the trace."""
    loop = current_loop()
    if loop.tracing:
        task = asyncio.current_task()
        loop.trace.note(loop, "say", task.get_name() if task else "callback", text)


def stall(seconds: float) -> None:
    """Block the loop for so long, as a slow computation does."""
    current_loop().stall(seconds)


def send_signal(number: int, host: str | None = None) -> bool:
    """Send a signal to the process of machine ``host``, or to all that handle it; false when no handler is set."""
    loop = current_loop()
    if host is None:
        return loop.broadcast_signal(number)
    return loop.deliver_signal(number, network_of(loop).live_host(host))


def network() -> Network:
    """The simulated network of this run, made at first use."""
    return network_of(current_loop())
