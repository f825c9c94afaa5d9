# ruff: noqa: ANN001, ANN003, ANN201, ANN202, ANN204, PLC0415 - tools are imported in the process that measures them
"""The simulator beside detangle and looptime: the same planted programs, the same interpreter, in turns.

``python benchmarks/simulator.py [--venv DIR] [--seeds N]`` makes a throw-away environment with the peers (or uses
the one given), runs every tool in a process of its own, several rounds in turns, and prints medians and ratios:

- speed: schedules per CPU second on the correct twins (nothing to find, so only running is measured);
- schedules until found, geometric mean over programs and seeds, shrinking off;
- CPU seconds until found, and size of the shrunk plan, shrinking on;
- alarms on the correct twins.

The simulator runs in one configuration for all of them (``clock="loop"``, everything else default). Peers get the
same waits: detangle draws them with its own ``uniform``, and may cancel the same tasks. looptime knows one schedule
only: it is here for speed.
"""

import argparse
import asyncio
import functools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ["detangle==0.1.0", "looptime==0.9"]
RUNS_MAX = 3000
TOOLS = ("ours", "detangle", "detangle-jitter", "looptime")


def programs():
    """Name -> (program, pattern of tasks that may be cancelled)."""
    sys.path.insert(0, str(ROOT / "tests" / "simulator"))
    import planted_cache
    import planted_life
    import planted_limits

    return {**planted_cache.PLANTED, **planted_limits.PLANTED, **planted_life.PLANTED}


class Ours:
    """This repository's simulator."""

    def __init__(self):
        from scenarios.simulator import draw, explore, io

        self.explore = explore
        self.tools = type("Tools", (), {"io": staticmethod(io), "draw": staticmethod(draw)})

    def search(self, program, cancel, broken, runs, seed, shrink):
        """(schedules, found, size)."""
        bound = functools.partial(program, self.tools, broken=broken)
        budget = 400 if shrink else 0
        report = self.explore(bound, runs=runs, seed=seed, cancel=cancel, clock="loop", shrink_runs_max=budget)
        found = report.counterexample
        return (found.schedules, True, len(found.plan)) if found else (report.runs, False, 0)


class Detangle:
    """detangle, with its default settings or with timers that fire late."""

    def __init__(self, **options):
        import detangle

        self.detangle = detangle
        self.options = options

        async def io(low, high):
            await asyncio.sleep(detangle.uniform(low, high))

        self.tools = type("Tools", (), {"io": staticmethod(io), "draw": staticmethod(detangle.randint)})

    def search(self, program, cancel, broken, runs, seed, shrink):
        """(schedules, found, size)."""

        async def bound():
            if cancel:
                self._offer_clients(asyncio.get_running_loop())
            await program(self.tools, broken=broken)

        try:
            stats = self.detangle.explore(bound, runs=runs, seed=seed, shrink=shrink, **self.options)
        except self.detangle.BugFound as error:
            return error.report.runs, True, error.report.deviations
        return stats.runs, False, 0

    def _offer_clients(self, loop):
        real = loop.create_task

        def create_task(coro, **options):
            task = real(coro, **options)
            if (options.get("name") or "").startswith("client"):
                self.detangle.inject_cancellation(task)
            return task

        loop.create_task = create_task


class Looptime:
    """looptime: virtual time, one schedule."""

    def __init__(self):
        import random

        import looptime

        self.new_loop = looptime.new_event_loop
        rng = random.Random(1)

        async def io(low, high):
            await asyncio.sleep(rng.uniform(low, high))

        self.tools = type("Tools", (), {"io": staticmethod(io), "draw": staticmethod(rng.randint)})

    def search(self, program, cancel, broken, runs, seed, shrink):
        """(schedules, found, size)."""
        for _ in range(runs):
            loop = self.new_loop()
            try:
                loop.run_until_complete(program(self.tools, broken=broken))
            finally:
                loop.close()
        return runs, False, 0


def tool(name):
    """A tool by its name."""
    if name == "ours":
        return Ours()
    if name == "looptime":
        return Looptime()
    return Detangle(**({"timer_jitter": 0.5} if name.endswith("jitter") else {}))


def measure(name, runs, seeds):
    """Everything about one tool, as JSON."""
    chosen = tool(name)
    result = {"speed": {}, "alarms": [], "found": {}, "cpu_s": {}, "size": {}}
    for title, (program, cancel) in programs().items():
        began_s = time.process_time()
        schedules, alarm, _ = chosen.search(program, cancel, False, runs, 1, False)
        if alarm:
            result["alarms"].append(title)
        else:
            result["speed"][title] = schedules / (time.process_time() - began_s)
        if name == "looptime":
            continue
        needed, cpu_s, sizes = [], [], []
        for seed in range(seeds):
            began_s = time.process_time()
            schedules, found, _ = chosen.search(program, cancel, True, RUNS_MAX, seed, False)
            cpu_s.append(time.process_time() - began_s)
            needed.append(schedules if found else RUNS_MAX)
            if found and seed < 5:
                sizes.append(chosen.search(program, cancel, True, RUNS_MAX, seed, True)[2])
        result["found"][title], result["cpu_s"][title], result["size"][title] = needed, cpu_s, sizes
    return result


def geometric_mean(values):
    """Of positive numbers."""
    return math.exp(statistics.fmean(math.log(max(value, 1e-9)) for value in values))


def in_turns(python, rounds, runs, seeds):
    """Run each tool ``rounds`` times, in turns; the results by tool."""
    results = {name: [] for name in TOOLS}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    for _ in range(rounds):
        for name in TOOLS:
            command = [python, __file__, "--tool", name, "--runs", str(runs), "--seeds", str(seeds)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name}: could not run: {done.stderr.strip().splitlines()[-1:]}")
                continue
            results[name].append(json.loads(done.stdout))
    return results


def summary(reports):
    """Medians over the rounds of one tool."""
    titles = set.intersection(*(set(report["speed"]) for report in reports))
    speed = statistics.median(len(titles) / sum(1 / report["speed"][title] for title in titles) for report in reports)
    row = {"speed": speed, "alarms": sorted({title for report in reports for title in report["alarms"]})}
    if reports[0]["found"]:
        row["found"] = geometric_mean([n for needed in reports[0]["found"].values() for n in needed])
        row["missed"] = sum(n >= RUNS_MAX for needed in reports[0]["found"].values() for n in needed)
        row["cpu_s"] = statistics.median(
            geometric_mean([s for each in report["cpu_s"].values() for s in each]) for report in reports
        )
        row["size"] = statistics.fmean([s for sizes in reports[0]["size"].values() for s in sizes])
        row["size_max"] = max(s for sizes in reports[0]["size"].values() for s in sizes)
    return row


def main():
    """Measure, or be the process that measures one tool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", type=Path, help="an environment with the peers")
    parser.add_argument("--runs", type=int, default=300, help="schedules per twin")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.tool:
        print(json.dumps(measure(given.tool, given.runs, given.seeds)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        place = given.venv or Path(scratch) / "venv"
        if not place.exists():
            venv.create(place, with_pip=True)
            subprocess.run([place / "bin" / "python", "-m", "pip", "install", "-q", *PEERS], check=True)
        results = in_turns(place / "bin" / "python", given.rounds, given.runs, given.seeds)
    rows = {name: summary(reports) for name, reports in results.items() if reports}
    print(
        f"{'tool':<16} {'sched/CPU s':>12} {'until found':>12} {'missed':>7} {'CPU s':>9} {'size':>5} {'max':>4} alarms"
    )
    for name, row in rows.items():
        rest = ""
        if "found" in row:
            rest = (
                f"{row['found']:12.2f} {row['missed']:7d} {row['cpu_s']:9.5f} {row['size']:5.2f} {row['size_max']:4d}"
            )
        print(f"{name:<16} {row['speed']:12.0f} {rest:<41}  {', '.join(row['alarms']) or 'none'}")
    ours, default, late = rows["ours"], rows.get("detangle"), rows.get("detangle-jitter")
    if default and late:
        best = min(default["cpu_s"], late["cpu_s"])
        print(f"speed: {ours['speed'] / default['speed']:.2f}x detangle (wanted: 1.5x or more)")
        print(f"until found: {ours['found'] / late['found']:.2f}x detangle with late timers (wanted: 1.0x or less)")
        print(f"CPU until found: {ours['cpu_s'] / best:.2f}x the better of the two (wanted: 0.5x or less)")
        print(f"shrunk size: {ours['size']:.2f} (wanted: 3 or less)")


if __name__ == "__main__":
    main()
