"""What is put in place around an exploration: borders, the frozen clock, AnyIO's threads run inline."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import sys
from collections.abc import Iterator

from hardening.simulator.adapters.happy_eyeballs import simulated_sockets
from hardening.simulator.adapters.steady_sets import steady_sets
from hardening.simulator.core.plan import Bounds
from hardening.simulator.core.rules import Borders


@contextlib.contextmanager
def surroundings(bounds: Bounds) -> Iterator[Borders]:
    """Enter once for an exploration; nested use finds the outer one already in place.

    While it lasts the cyclic collector is off and runs only between runs: what it finalises, and when, would
    otherwise depend on everything else the process does.
    """
    if Borders.current is not None:
        yield Borders.current
        return
    with contextlib.ExitStack() as stack:
        borders = Borders()
        Borders.current = borders
        stack.callback(setattr, Borders, "current", None)
        if "pydantic" in sys.modules:
            # FastAPI imports it at its first route, and its classes cannot be made while ``date`` is a fake.
            with contextlib.suppress(ImportError):
                importlib.import_module("pydantic.v1")
        if bounds.clock == "freeze" and importlib.util.find_spec("freezegun") is not None:
            from hardening.simulator.adapters.frozen_clock import FrozenClock  # noqa: PLC0415 - optional

            stack.enter_context(FrozenClock(borders.wall, borders.monotonic))
            borders.clocks_are_set = True
        stack.enter_context(borders)
        if "anyio" in sys.modules:
            from hardening.simulator.adapters.anyio_threads import inline_threads  # noqa: PLC0415 - optional

            stack.enter_context(inline_threads(borders))
        stack.enter_context(steady_sets())
        stack.enter_context(simulated_sockets(borders))
        if gc.isenabled():
            gc.disable()
            stack.callback(gc.enable)
        # Failures leave cycles (a traceback holds frames, frames hold tasks, tasks hold the exception): those of the
        # exploration before go now, while they are young.
        gc.collect(1)
        yield borders
