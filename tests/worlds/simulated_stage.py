"""Brings the simulated world up for one test, runs a piece of it, and hands back what it left."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

from hardening.history.events import History
from hardening.history.workload import Workload, alert, signal
from hardening.runs.simulated import BOUNDS
from hardening.simulator.core.choices import Choices, SeededChoices
from hardening.simulator.core.plan import Plan
from hardening.simulator.search.run import run_once
from hardening.simulator.search.sandbox import sandbox
from hardening.worlds.simulated.world import SimWorld
from hardening.worlds.spec import WorldSpec


def in_world(
    body: Callable[[SimWorld], Awaitable[Any]], *, seed: int | None = None, start: bool = True, **spec: Any
) -> History:
    """Run ``body(world)`` in virtual time and return the history; raises what it raised.

    Args:
        body: the test's own part; the world is up, the service serves.
        seed: of the schedule; ``None`` is the default schedule.
        start: whether the service is started.
        spec: fields of ``WorldSpec``.
    """
    histories: list[History] = []

    async def program() -> None:
        world = SimWorld(WorldSpec(**{"scenario": "test", **spec}))
        try:
            if start:
                async with world:
                    await body(world)
            else:
                try:
                    await world.prepare()
                    await body(world)
                finally:
                    await world.close()
            world.recorder.add(world.now(), "harness", "state", "leftovers", {"found": world.leftovers()})
            histories.append(world.recorder.history())
        finally:
            world.dispose()

    choices = Choices(Plan()) if seed is None else SeededChoices(random.Random(seed), (), 1, reorder=False)
    with sandbox(BOUNDS) as box:
        outcome = run_once(program, choices, BOUNDS, box)
    if outcome.error is not None:
        raise outcome.error
    return histories[0]


def some_load(for_s: float, *, per_s: float = 10.0, cold: str = "S") -> Workload:
    """Cold signals, every third of a symbol already seen, and alerts beside them."""
    count = int(for_s * per_s)
    signals = [signal(i / per_s, f"{cold}{i - i % 3}") for i in range(count)]
    alerts = [alert(0.05 + i * 0.4, "AAPL", f"{cold}-{i}") for i in range(int(for_s / 0.4))]
    return Workload.of([*signals, *alerts])


def leftovers(history: History) -> list[str]:
    """What the world found left behind."""
    return list(history.states("leftovers")[-1].value["found"])


def statuses(history: History, since_s: float = 0.0) -> list[int]:
    """Statuses of the answers from a moment on, in order."""
    return [int(event.value["status"]) for event in history.select("ok", "request") if event.t >= since_s]


def process_states(history: History, name: str = "service") -> list[str]:
    """What befell a process, in order."""
    return [str(event.value["state"]) for event in history.states("process", name=name)]
