# ruff: noqa: SLF001 - a loop and its handles share private names by design; BaseEventLoop's are used as asyncio's own loops do
# mypy: disable-error-code="attr-defined,override,assignment,misc,has-type"
"""An event loop in virtual time: no selector, no waiting, the same order of everything in every run.

Ready callbacks run first in, first out, as asyncio documents; timers run by time and, at one time, in the order
they were set. Time moves only when nothing is ready. What may deviate (a draw, a cancellation, and the order of
ready callbacks where asked for) is decided by ``Choices`` and by nothing else.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import math
import sys
import weakref
from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

from hardening.simulator.core.checks import Checks
from hardening.simulator.core.choices import NEVER, Choices
from hardening.simulator.core.errors import DeadlockError, LivelockError, OverdueError, StuckError
from hardening.simulator.core.handles import SimFuture, SimHandle, SimTask, SimTimer
from hardening.simulator.core.hosts import Host, current_host
from hardening.simulator.core.plan import Bounds
from hardening.simulator.core.running import Running, steered
from hardening.simulator.core.task_names import TaskNames
from hardening.simulator.core.trace import NoTrace, Trace
from hardening.simulator.core.unreal import Unreal
from hardening.simulator.core.waits import busiest, who_waits

START_S = 1000.0
"""Where the monotonic clock starts: above zero, since a machine that just booted is not the common case."""

RESOLUTION_S = 1e-9
"""Timers this close together run in one round, as asyncio's clock resolution has it on Linux."""

SPIN_ROUNDS = 100
"""Rounds at one instant after which each further round costs time, as it would on a real machine."""

SPIN_COST_S = 50e-6

REAL_COLLECT = gc.collect


class VirtualLoop(Unreal, asyncio.BaseEventLoop):
    """One run's loop.

    Args:
        choices: decides everything that may deviate.
        bounds: limits of steps and of virtual time.
        trace: notes what happened; ``NoTrace`` notes nothing.
        reorder: whether ``choices`` is asked for the order of ready callbacks.
    """

    def __init__(
        self, choices: Choices, bounds: Bounds, trace: Trace | NoTrace | None = None, *, reorder: bool = False
    ) -> None:
        super().__init__()
        self.choices = choices
        self.bounds = bounds
        self.trace = trace or NoTrace()
        self.checks = Checks(self)
        self.started_s = START_S
        self.set_up_machines(START_S)
        self.set_up_blocking()
        self.set_up_executors()
        self.set_up_signals()
        self.steps = 0
        self.now_s = START_S
        self.unhandled: list[dict[str, Any]] = []
        self.attachments: dict[str, Any] = {}
        self.main: SimTask | None = None
        self.steering: tuple[type[BaseException], ...] = ()
        self.failure: BaseException | None = None
        self.cancelled: list[str] = []
        self.cancels_end = False
        self._reorder = reorder
        self.tracing = type(self.trace) is not NoTrace
        self.timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self.tasks: list[SimTask] = []
        self._prune_at = 64
        self._numbers = 0
        self._task_names = 0
        self._cancelled_timers = 0
        self._spinning = 0
        self._rounds = 0
        self._end_s = START_S + bounds.max_virtual_s
        self.names = TaskNames()
        self._next_cancel = choices.next_cancel(0)
        self._next_collect = choices.next_collect()
        self._attention = min(self._next_cancel, self._next_collect, bounds.max_steps)

    # --- what asyncio asks of a loop -------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual monotonic seconds; ``START_S`` at the beginning."""
        return self.now_s

    def next_number(self) -> int:
        """Numbers for hashing, counted from 1."""
        self._numbers += 1
        return self._numbers

    def create_future(self) -> SimFuture:
        """A future of this loop."""
        return SimFuture(loop=self)

    def create_task(self, coro: Any, *, name: object = None, context: Any = None, **_: Any) -> SimTask:
        """A task of this loop; without a name it is called by its place in the order of creation."""
        if self._closed:
            self._check_closed()
        if self.steering:
            coro = steered(self, coro)
        if name is None:
            self._task_names += 1
            name = f"Task-{self._task_names}"
        else:
            name = self.names.in_this_run(str(name))
        task = self._made_by_factory(coro, name, context) or SimTask(coro, loop=self, name=name, context=context)
        host = current_host.get() if context is None else context.get(current_host, Host.default)
        if host is not Host.default and type(task) is SimTask:
            task.host = host
        tasks = self.tasks
        tasks.append(task)
        if len(tasks) > self._prune_at:
            self.tasks = [each for each in tasks if not each.done() or each._log_traceback]
            self._prune_at = max(64, 2 * len(self.tasks))
        if self.tracing:
            self.trace.created(self, task)
        return task

    def _made_by_factory(self, coro: Any, name: str, context: Any) -> Any:
        """A task of the factory that the program has set; its own tasks hash by address, so sets of them vary."""
        factory: Any = self._task_factory
        if factory is None:
            return None
        task = factory(self, coro) if context is None else factory(self, coro, context=context)
        task.set_name(name)
        return task

    def collect(self) -> int:
        """Collect cycles; as in asyncio, tasks that wait and that nobody else holds are garbage too."""
        entries: list[Any] = [task if task.done() else weakref.ref(task) for task in self.tasks]
        before = len(self.tasks)
        self.tasks.clear()
        freed = REAL_COLLECT()
        self.tasks = [task for each in entries if (task := each() if isinstance(each, weakref.ref) else each)]
        if self.tracing:
            self.trace.note(self, "collect", "collector", f"{before - len(self.tasks)} waiting tasks are gone")
        return freed

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        """Run ``callback`` after everything that is ready now."""
        if self._closed:
            self._check_closed()
        handle = SimHandle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """Run ``callback`` in ``delay`` virtual seconds."""
        if delay is None:
            raise TypeError("delay must not be None")
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """Run ``callback`` at virtual time ``when``; equal times run in the order they were set."""
        if when is None:
            raise TypeError("when cannot be None")
        if self._closed:
            self._check_closed()
        timer = SimTimer(when, callback, args, self, context)
        self._numbers += 1
        heapq.heappush(self.timers, (when, self._numbers, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._cancelled_timers += 1
        if self._cancelled_timers > 100 and self._cancelled_timers * 2 > len(self.timers):
            self.timers = [entry for entry in self.timers if not entry[2]._cancelled]
            heapq.heapify(self.timers)
            self._cancelled_timers = 0

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Note it; the run is judged by what was noted when it ends."""
        if self._exception_handler is not None:
            super().call_exception_handler(context)
            return
        self.unhandled.append(context)

    def _process_events(self, event_list: object) -> None:
        """There is no selector and so there are no events."""

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody needs waking."""

    # --- running ---------------------------------------------------------------------------------------------

    def run_program(self, program: Coroutine[Any, Any, Any]) -> Any:
        """Run it to its end, and the checks that still wait after it; returns its result or raises."""
        with Running(self):
            self.main = main = self.create_task(program, name="main")
            while not main.done():
                self._run_once()
                if self._stopping:
                    raise RuntimeError("Event loop stopped before Future completed.")
            while self.checks.waiting() and self.failure is None:
                self._run_once()
        if self.failure is not None:
            raise self.failure
        try:
            return main.result()
        finally:
            # The exception's traceback holds this frame, the task the exception: not through a name of ours.
            del main

    def run_until_idle(self, tasks: Sequence[asyncio.Task[Any]], *, rounds: int) -> None:
        """Run until these tasks are done, or nothing is ready or due any more; at most ``rounds`` rounds."""
        with Running(self):
            self._attention = NEVER
            self._end_s = math.inf
            while rounds and not all(task.done() for task in tasks):
                rounds -= 1
                try:
                    self._run_once()
                except Exception:  # noqa: BLE001 - the run is judged already
                    return

    def fail(self, error: BaseException) -> None:
        """End the run with ``error`` after the current step, even if the program swallows it."""
        if self.failure is None:
            self.failure = error

    def stall(self, seconds: float) -> None:
        """Block the loop: time passes, nothing runs."""
        self.now_s += max(0.0, seconds)

    def _run_once(self) -> None:
        self._begin_round()
        self._run_round()

    def _begin_round(self) -> None:
        """Time moves when nothing is ready; timers that are due become ready."""
        ready = self._ready
        if not ready:
            self._move_time()
        else:
            self._spinning += 1
            if self._spinning > SPIN_ROUNDS:
                self._spin()
        timers = self.timers
        if timers and not timers[0][0] > self.now_s + RESOLUTION_S:  # NaN is due, as in asyncio
            self._take_due(timers)
        if self._reorder and len(ready) > 1:
            self._bring_forward()

    def _run_round(self) -> None:
        """Run what is ready now; what becomes ready meanwhile waits for the next round, as in asyncio."""
        ready = self._ready
        tracing = self.tracing
        for _ in range(len(ready)):
            if not ready:  # a blocking call ran rounds of its own
                break
            handle = ready.popleft()
            if handle._cancelled:
                continue
            self.steps += 1
            if self.steps >= self._attention:
                self._attend()
                if handle._cancelled:
                    continue
            if tracing:
                self.trace.step(self, handle)
            if self.hosts_differ and not self._may_run(handle):
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except SystemExit as error:
                self._program_exits(handle, error)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - as asyncio does
                self._callback_failed(handle, error)
            self._after_step()

    def _after_step(self) -> None:
        if self.threads.blocked:
            self.threads.poll()
        if self.checks.active:
            self.checks.after_step()
        if self.failure is not None:
            raise self.failure

    def _program_exits(self, handle: asyncio.Handle, error: SystemExit) -> None:
        """``sys.exit`` ends the process of the machine that called it, where somebody looks after that machine."""
        host = handle._context.get(current_host, Host.default)
        if host.on_exit is None:
            raise error
        if host.alive:
            host.on_exit(error.code if isinstance(error.code, int) else int(error.code is not None))

    def _take_due(self, timers: list[tuple[float, int, asyncio.TimerHandle]]) -> None:
        now = self.now_s + RESOLUTION_S
        while timers and not timers[0][0] > now:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False
            if timer._cancelled:
                self._cancelled_timers -= 1
            else:
                self._ready.append(timer)

    def _callback_failed(self, handle: Any, error: BaseException) -> None:
        """What asyncio's own handles do with it."""
        context = {"message": "Exception in callback", "exception": error, "handle": handle}
        self.call_exception_handler({**context, "callback": handle._callback})

    def _move_time(self) -> None:
        """Nothing is ready: go to the next timer."""
        timers = self.timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)[2]._scheduled = False
            self._cancelled_timers -= 1
        self._spinning = 0
        if not timers:
            self._stuck(DeadlockError, "nothing is ready and no timer is set")
        when = timers[0][0]
        if when != when and sys.version_info >= (3, 13):  # there asyncio hands NaN to the selector
            raise ValueError("Invalid value NaN (not a number)")
        if when > self._end_s:
            self._stuck(OverdueError, f"limit of {self.bounds.max_virtual_s:g} virtual s")
        if when > self.now_s:
            self.now_s = when

    def _spin(self) -> None:
        """A busy loop waits for a timer: on a real machine its rounds take time, so they do here."""
        self.now_s += SPIN_COST_S * (1 << min(40, self._spinning // 2000))
        if self.now_s > self._end_s:
            self._stuck(OverdueError, f"limit of {self.bounds.max_virtual_s:g} virtual s")

    def _bring_forward(self) -> None:
        self._rounds += 1
        chosen = self.choices.first(self._rounds, len(self._ready))
        if chosen:
            handle = self._ready[chosen]
            del self._ready[chosen]
            self._ready.appendleft(handle)

    def _attend(self) -> None:
        """A cancellation is due, or the step limit is reached."""
        if self.steps >= self.bounds.max_steps:
            self._stuck(LivelockError, f"limit of {self.bounds.max_steps} steps; busiest: {busiest(self)}")
        until_s = self.bounds.cancel_until_s
        if until_s is not None and self.now_s - START_S > until_s:
            self._next_cancel = NEVER
        if self.steps >= self._next_cancel:
            tasks = self.live_tasks()
            victim = self.choices.victim(self.steps, [task.get_name() for task in tasks])
            if victim is not None:
                if self.tracing:
                    self.trace.note(self, "cancel", tasks[victim].get_name(), "")
                self.cancelled.append(tasks[victim].get_name())
                tasks[victim].cancel()
            self._next_cancel = self.choices.next_cancel(self.steps)
        if self.steps >= self._next_collect:
            self.choices.collects(self.steps)
            self.collect()
            self._next_collect = self.choices.next_collect()
        self._attention = min(self._next_cancel, self._next_collect, self.bounds.max_steps)

    def end_cancellations(self) -> None:
        """The schedule cancels nobody from now on."""
        self._next_cancel = NEVER
        self.cancels_end = True
        self._attention = min(self._next_collect, self.bounds.max_steps)
        if self.tracing:
            self.trace.note(self, "cancel", "nobody", "from now on")

    def live_tasks(self) -> list[SimTask]:
        """Tasks that are not done, without the program's own, in the order of their creation."""
        return [task for task in self.tasks if not task.done() and task is not self.main]

    def running_tasks(self) -> list[SimTask]:
        """Of those, the ones whose machine did not crash."""
        return [task for task in self.live_tasks() if getattr(task, "host", Host.default).alive]

    def _stuck(self, kind: type[StuckError], detail: str) -> NoReturn:
        failed = [task for task in self.tasks if task._log_traceback and task is not self.main]
        lost = "".join(f"; {task.get_name()} failed and nobody looked: {task._exception!r}" for task in failed[:3])
        raise kind(detail + lost, who_waits(self), self.now_s - START_S, self.steps)
