# ruff: noqa: ANN001, ANN003, ANN201, ANN202, ANN204, PLC0415 - tools are imported in the process that measures them
"""The simulators that ``benchmarks/simulator.py`` compares, each behind the same few words.

A tool has ``search(program, cancel, broken, runs, seed, shrink) -> (schedules, found, size)``; ``program`` gets its own
``io(low, high)`` (a wait of so many seconds) and ``draw(low, high)`` (a whole number, both ends included).
``cancels`` says whether it can cancel tasks by itself; a bug that needs that is not asked of one that cannot.
``size`` is None where a tool shrinks nothing, or is not asked to.
"""

import asyncio
import functools
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHRINK_RUNS_MAX = 400
SEEDS_APART = 1_000_003
"""Peers count schedules by seed: two searches must not try the same ones."""


def programs():
    """Name -> (program, pattern of tasks that may be cancelled)."""
    sys.path.insert(0, str(ROOT / "tests" / "simulator"))
    import planted_cache
    import planted_life
    import planted_limits

    return {**planted_cache.PLANTED, **planted_limits.PLANTED, **planted_life.PLANTED}


def words(io, draw):
    """What a program waits and draws with."""
    return type("Tools", (), {"io": staticmethod(io), "draw": staticmethod(draw)})


class Ours:
    """This repository's simulator."""

    cancels = True

    def __init__(self):
        from hardening.simulator import draw, explore, io

        self.explore = explore
        self.tools = words(io, draw)

    def search(self, program, cancel, broken, runs, seed, shrink):
        """See the module."""
        bound = functools.partial(program, self.tools, broken=broken)
        budget = SHRINK_RUNS_MAX if shrink else 0
        report = self.explore(bound, runs=runs, seed=seed, cancel=cancel, clock="loop", shrink_runs_max=budget)
        found = report.counterexample
        return (found.schedules, True, len(found.plan)) if found else (report.runs, False, None)


class Detangle:
    """detangle, with its default settings or with timers that fire late."""

    cancels = True

    def __init__(self, **options):
        import detangle

        self.detangle = detangle
        self.options = options

        async def io(low, high):
            await asyncio.sleep(detangle.uniform(low, high))

        self.tools = words(io, detangle.randint)

    def search(self, program, cancel, broken, runs, seed, shrink):
        """See the module."""

        async def bound():
            if cancel:
                self._offer_clients(asyncio.get_running_loop())
            await program(self.tools, broken=broken)

        try:
            stats = self.detangle.explore(bound, runs=runs, seed=seed, shrink=shrink, **self.options)
        except self.detangle.BugFound as error:
            return error.report.runs, True, error.report.deviations
        return stats.runs, False, None

    def _offer_clients(self, loop):
        real = loop.create_task

        def create_task(coro, **options):
            task = real(coro, **options)
            if (options.get("name") or "").startswith("client"):
                self.detangle.inject_cancellation(task)
            return task

        loop.create_task = create_task


class Looptime:
    """looptime: virtual time, one schedule; here for speed alone."""

    cancels = False

    def __init__(self):
        import looptime

        self.new_loop = looptime.new_event_loop
        rng = random.Random(1)

        async def io(low, high):
            await asyncio.sleep(rng.uniform(low, high))

        self.tools = words(io, rng.randint)

    def search(self, program, cancel, broken, runs, seed, shrink):
        """See the module."""
        for _ in range(runs):
            loop = self.new_loop()
            try:
                loop.run_until_complete(program(self.tools, broken=broken))
            finally:
                loop.close()
        return runs, False, None


class Simloom:
    """simloom 0.5: draws, scheduling among them, from one tape; shrinks the tape."""

    cancels = False

    def __init__(self):
        import simloom

        self.simloom = simloom
        # Its own bound is a million: a candidate of the shrinker that spins would take minutes each time.
        self.bounds = {"max_steps_per_instant": 10_000}
        fine = 1_000_000

        async def io(low, high):
            await asyncio.sleep(low + (high - low) * simloom.draw("io", fine + 1) / fine)

        self.tools = words(io, lambda low, high: low + simloom.draw("draw", high - low + 1))

    def search(self, program, cancel, broken, runs, seed, shrink):
        """See the module."""

        async def bound():
            await program(self.tools, broken=broken)

        report = self.simloom.explore(bound, runs=runs, start_seed=seed * SEEDS_APART, **self.bounds)
        if not report.failed:
            return report.runs, False, None
        if not shrink:
            return report.runs, True, None
        smallest = self.simloom.shrink(bound, report.first_failure, max_runs=SHRINK_RUNS_MAX, **self.bounds)
        return report.runs, True, smallest.deviations


class Simloop:
    """simloop 0.2: the order of ready callbacks and the network from a seed; shrinks the order alone."""

    cancels = False

    def __init__(self):
        import simloop

        self.explore = simloop.explore

        async def io(low, high):
            await asyncio.sleep(simloop.sim.random.uniform(low, high))

        self.tools = words(io, lambda low, high: simloop.sim.random.randint(low, high))  # noqa: PLW0108 - its own at each run

    def search(self, program, cancel, broken, runs, seed, shrink):
        """See the module."""

        async def bound():
            await program(self.tools, broken=broken)

        first = seed * SEEDS_APART
        report = self.explore(bound, range(first, first + runs), shrink=shrink, shrink_budget=SHRINK_RUNS_MAX)
        if report is None:
            return runs, False, None
        smallest = report.shrunk if shrink else None
        return report.seeds_passed + 1, True, len(smallest.kept) if smallest else None


class Seedloop:
    """seedloop 0.4: asyncio's own order, waits and network from a seed; the seed is the counterexample."""

    cancels = False

    def __init__(self):
        import seedloop

        self.check = seedloop.check

    def search(self, program, cancel, broken, runs, seed, shrink):
        """See the module."""

        async def scenario(world):
            async def io(low, high):
                await asyncio.sleep(world.rng.uniform(low, high))

            await program(words(io, world.rng.randint), broken=broken)

        first = seed * SEEDS_APART
        report = self.check(scenario, seeds=range(first, first + runs), on_failure="return")
        return report.checked, report.failing_seed is not None, None


TOOLS = {
    "ours": Ours,
    "detangle": Detangle,
    "detangle-jitter": functools.partial(Detangle, timer_jitter=0.5),
    "looptime": Looptime,
    "simloom": Simloom,
    "simloop": Simloop,
    "seedloop": Seedloop,
}
