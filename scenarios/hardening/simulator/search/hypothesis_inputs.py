"""``@simulated`` under ``@given``: Hypothesis owns the inputs, the simulator the schedules, and both shrink.

For every example K schedules are run from a fixed seed, so an example fails or passes by itself. A plan that failed
once is tried first on the examples that follow: while Hypothesis makes the input smaller, the schedule that matters
is at hand.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis.errors import HypothesisException, StopTest

from hardening.simulator.core.plan import Plan
from hardening.simulator.net.sim_loop import SimLoop
from hardening.simulator.search.counterexample import Counterexample
from hardening.simulator.search.explore import explore

SCHEDULES = 16

Inner = Callable[..., Awaitable[Any]]


class _Memory:
    """Plans that failed in this test so far; what ``explore`` takes as a corpus."""

    def __init__(self, keep_max: int = 8) -> None:
        self._plans: list[Plan] = []
        self._keep_max = keep_max

    def plans(self, program: str) -> list[Plan]:
        return list(reversed(self._plans))

    def add(self, program: str, plan: Plan) -> None:
        known = [each for each in self._plans if each.decisions != plan.decisions]
        self._plans = [*known, plan][-self._keep_max :]


def simulated(*, runs: int = SCHEDULES, seed: int = 0, **options: Any) -> Callable[[Inner], Callable[..., None]]:
    """Turn an ``async def`` test into a plain one that runs under ``runs`` schedules; goes below ``@given``.

    Args:
        runs: schedules for each example.
        seed: of the schedules; the same for every example, so that examples can be compared.
        options: any other argument of ``explore`` (``cancel=``, ``latency=`` ...).
    """

    def decorate(test: Inner) -> Callable[..., None]:
        memory = _Memory()

        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            async def program() -> Any:
                # Tasks keep what Hypothesis raises to steer itself; it must reach Hypothesis at once.
                loop = asyncio.get_running_loop()
                assert isinstance(loop, SimLoop)
                loop.steering = (StopTest, HypothesisException)
                return await test(*args, **kwargs)

            program.__qualname__ = getattr(test, "__qualname__", "test")
            report = explore(program, runs=runs, seed=seed, corpus=memory, **options)
            if report.counterexample is not None:
                raise _with_story(report.counterexample)

        del run.__wrapped__
        run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
        return run

    return decorate


def _with_story(found: Counterexample) -> BaseException:
    error = found.exception
    error.add_note(found.story(tail=15))
    error.add_note(f"plan: {found.plan}")
    return error
