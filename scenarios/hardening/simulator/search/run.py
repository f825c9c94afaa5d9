# ruff: noqa: SLF001 - what is left in a loop at the end is read from its private lists
# mypy: disable-error-code="attr-defined"
"""One run: a fresh loop, the program, what it left behind, and the loop's end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hardening.simulator.adapters.lock_holders import Holders
from hardening.simulator.adapters.stdlib import Sandbox
from hardening.simulator.core.choices import Choices
from hardening.simulator.core.errors import LeftoverError, LostExceptionError, RuleBrokenError, ViolationError
from hardening.simulator.core.plan import Bounds, Decision, Plan
from hardening.simulator.core.trace import NoTrace, Trace
from hardening.simulator.core.waits import in_stdlib, leftovers
from hardening.simulator.net.sim_loop import SimLoop

GOOD_BYE_ROUNDS = 500
"""Rounds of the loop that cancelled leftovers get for their clean-up."""

_NO_PLAN = Plan()


@dataclass(slots=True)
class Outcome:
    """How one run ended.

    Attributes:
        error: what it failed with; None when it passed.
        steps: callbacks run.
        virtual_s: virtual seconds from start to end.
        choices: what decided, and what it decided.
        leftovers: what was left behind, one line each (only when asked for).
        lost: exceptions that nobody looked at.
        result: what the program returned.
    """

    error: BaseException | None
    steps: int
    virtual_s: float
    choices: Choices
    leftovers: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    result: Any = None
    known_key: tuple[str, str] | None = None

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What deviated from the default, in order."""
        return self.choices.decisions()

    @property
    def key(self) -> tuple[str, str] | None:
        """What tells this failure from another; None when it passed."""
        return None if self.error is None else self.known_key or key_of(self.error)


def key_of(error: BaseException) -> tuple[str, str]:
    """Type and, where it helps, name or place of a failure: shrinking must not slip from one bug to another."""
    if isinstance(error, ViolationError):
        return type(error).__name__, error.name
    place = ""
    tb = error.__traceback__
    while tb is not None:
        code = tb.tb_frame.f_code
        if not in_stdlib(code.co_filename):
            place = f"{code.co_filename}:{tb.tb_lineno}" if isinstance(error, AssertionError) else ""
        tb = tb.tb_next
    return f"{type(error).__module__}.{type(error).__qualname__}", place


def run_once(
    program: Any,
    choices: Choices,
    bounds: Bounds,
    box: Sandbox,
    *,
    look_back: bool = False,
) -> Outcome:
    """Run ``program()`` under ``choices``.

    Args:
        program: an ``async def`` without arguments.
        choices: decide what may deviate.
        bounds: limits.
        box: in place already.
        look_back: also say what was left behind.

    Raises:
        RuleBrokenError: when the program reached for the real world.
    """
    return _run(program, choices, bounds, box, NoTrace(), look_back)


def run_traced(program: Any, choices: Choices, bounds: Bounds, box: Sandbox) -> tuple[Outcome, Trace]:
    """The same with a trace, and with a note of who holds which lock."""
    trace = Trace()
    return _run(program, choices, bounds, box, trace, True), trace


class NoProgramError(TypeError):
    """What is to be explored is no ``async def``."""


NOT_JUDGED = (NoProgramError, RuleBrokenError, KeyboardInterrupt, SystemExit)
"""No failures of the program: they go to the caller of the search."""


def _coroutine_of(program: Any) -> Any:
    coroutine = program()
    if not asyncio.iscoroutine(coroutine):
        raise NoProgramError(f"program {program!r} returned {coroutine!r}, allowed: an async def without arguments")
    return coroutine


def _run(
    program: Any,
    choices: Choices,
    bounds: Bounds,
    box: Sandbox,
    trace: NoTrace,
    look_back: bool,
) -> Outcome:
    loop = SimLoop(choices, bounds, trace, reorder=choices.reorders)
    box.begin(loop)
    error: BaseException | None = None
    result: Any = None
    left: tuple[str, ...] = ()
    lost: list[dict[str, Any]] = []
    try:
        with Holders(loop) if loop.tracing else _NOTHING:
            try:
                result = loop.run_program(_coroutine_of(program))
            except BaseException as failure:  # noqa: BLE001 - judged below
                error = failure
            steps, end_s = loop.steps, loop.now_s
            if look_back or bounds.leftovers == "fail":
                left = leftovers(loop)
            lost = _lost(loop)
            _say_good_bye(loop)
    finally:
        box.end()
    if error is not None and isinstance(error, (*NOT_JUDGED, *loop.steering)):
        raise error
    if error is None:
        error = _judge_remains(left, lost, bounds)
    lines = tuple(f"{item['message']}: {item['exception']!r}" for item in lost)
    try:
        return Outcome(error, steps, end_s - loop.started_s, choices, left, lines, result)
    finally:
        # The error's traceback holds this frame: a name for the error here would make a cycle of every failure.
        del error, lost


class _Nothing:
    def __enter__(self) -> None:
        return

    def __exit__(self, *exc: object) -> None:
        return


_NOTHING = _Nothing()


def _lost(loop: SimLoop) -> list[dict[str, Any]]:
    """Exceptions that reached the loop, and those of tasks that nobody asked.

    Not left to the tasks' finalizers: when those run depends on reference cycles, and so on the Python version.
    """
    found = list(loop.unhandled)
    found.extend(
        {"message": f"Task {task.get_name()} failed and nobody looked", "exception": task.exception()}
        for task in loop.tasks
        if task._log_traceback and task is not loop.main
    )
    return [item for item in found if isinstance(item.get("exception"), Exception)]


def _judge_remains(left: tuple[str, ...], lost: list[dict[str, Any]], bounds: Bounds) -> BaseException | None:
    for item in lost:
        if isinstance(item["exception"], AssertionError):
            return item["exception"]
    if lost and bounds.lost == "fail":
        error = LostExceptionError(f"{lost[0]['message']}: {lost[0]['exception']!r}")
        error.__cause__ = lost[0]["exception"]
        return error
    if left and bounds.leftovers == "fail":
        return LeftoverError(left)
    return None


def _say_good_bye(loop: SimLoop) -> None:
    """Cancel what is left, let it clean up in bounded time, and close the loop."""
    loop.tracing = False
    loop.checks.active = False
    loop.failure = None
    left = loop.live_tasks()
    main = loop.main
    if main is not None and not main.done():
        left.append(main)
    if left or loop._asyncgens:
        loop.choices = Choices(_NO_PLAN)
        # Tasks of a crashed machine may clean up now, or their coroutines would do so when they are collected, at
        # any time and with awaits that nobody serves.
        loop.revive()
        for task in left:
            task.cancel()
        with _hushed():
            loop.run_until_idle(left, rounds=GOOD_BYE_ROUNDS)
            _close_generators(loop)
            for task in left:
                _let_go(task)
    network = loop.attachments.get("network")
    if network is not None:
        network.vanish()
    loop.threads.end()
    loop._ready.clear()
    loop.timers.clear()
    loop.tasks.clear()
    loop.main = None
    loop.attachments.clear()
    loop.checks.close()
    loop.close()


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """What is cancelled because the run is over has nothing to say to anybody."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _let_go(task: Any) -> None:
    if not task.done():
        task._log_destroy_pending = False
        with contextlib.suppress(RuntimeError, ValueError, RuleBrokenError):
            task.get_coro().close()
    elif not task.cancelled():
        task.exception()


async def _close(generator: Any) -> None:
    await generator.aclose()


def _close_generators(loop: SimLoop) -> None:
    generators = list(loop._asyncgens)
    if generators:
        tasks = [asyncio.Task(_close(generator), loop=loop) for generator in generators]
        loop.run_until_idle(tasks, rounds=GOOD_BYE_ROUNDS)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()
