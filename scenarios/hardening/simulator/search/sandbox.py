"""What is put in place around an exploration: box, the frozen clock, AnyIO's threads run inline."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator

from hardening.simulator.adapters.happy_eyeballs import simulated_sockets
from hardening.simulator.adapters.stdlib import Sandbox
from hardening.simulator.adapters.steady_sets import steady_sets
from hardening.simulator.core.plan import Bounds


@contextlib.contextmanager
def sandbox(bounds: Bounds) -> Iterator[Sandbox]:
    """Enter once for an exploration; nested use finds the outer one already in place.

    While it lasts the cyclic collector is off and runs only between runs: what it finalises, and when, would
    otherwise depend on everything else the process does.
    """
    if Sandbox.current is not None:
        yield Sandbox.current
        return
    with contextlib.ExitStack() as stack:
        box = Sandbox()
        Sandbox.current = box
        stack.callback(setattr, Sandbox, "current", None)
        if "pydantic" in sys.modules:
            # FastAPI imports it at its first route, and its classes cannot be made while ``date`` is a fake.
            with contextlib.suppress(ImportError):
                importlib.import_module("pydantic.v1")
        platform.platform()  # asks a subprocess once; libraries want it in their user agents
        platform.processor()
        if bounds.clock == "freeze" and importlib.util.find_spec("freezegun") is not None:
            from hardening.simulator.adapters.frozen_clock import FrozenClock  # noqa: PLC0415 - optional

            stack.enter_context(FrozenClock(box.wall, box.monotonic))
            box.clocks_are_set = True
        stack.enter_context(box)
        # AnyIO 3 starts threads of its own, and those are simulated; later versions are asked for fewer steps.
        if "anyio" in sys.modules and not importlib.metadata.version("anyio").startswith("3."):
            from hardening.simulator.adapters.anyio_threads import inline_threads  # noqa: PLC0415 - optional

            stack.enter_context(inline_threads(box))
        stack.enter_context(steady_sets())
        stack.enter_context(simulated_sockets(box))
        if gc.isenabled():
            gc.disable()
            stack.callback(gc.enable)
        # Failures leave cycles (a traceback holds frames, frames hold tasks, tasks hold the exception): those of the
        # exploration before go now, while they are young.
        gc.collect(1)
        # What there was before is looked at by no collection of a run.
        gc.freeze()
        stack.callback(gc.unfreeze)
        yield box
