"""How fast the whole service runs in the simulated world; every figure is CPU time of this one process.

``python -m benchmarks.simulated_world [--minutes 10] [--hour-minutes 60] [--json]`` prints

- requests per CPU second on a stated mix: 80 % reads served from the cache, 15 % cold ones, 5 % alerts, all of them
  accepted, sent at the rate budget (aim: >= 300),
- CPU seconds of a simulated hour at the rate budget under a schedule of faults (aim: <= 60), with the judge's apart,
- CPU seconds of a simulated hour in which nobody asks anything,
- where the time goes, by package, under the profiler (its overhead makes shares approximate).

The mix is what the answers say it was, not what was asked for: a read that a fault made stale counts as such.
"""

from __future__ import annotations

import argparse
import collections
import cProfile
import json
import pstats
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hardening.catalogue.scenario import Scenario
from hardening.claims.verdict import Outcome
from hardening.faults.schedule import Schedule
from hardening.history.events import History
from hardening.history.workload import Operation, Workload, alert, signal
from hardening.runs.runner import spec_of
from hardening.runs.simulated import BOUNDS, Simulation
from hardening.simulator.core.choices import SeededChoices
from hardening.simulator.search.run import run_once
from hardening.simulator.search.sandbox import sandbox
from hardening.worlds.spec import RunContext

PER_MINUTE = 295
"""The budget is 300 a minute; a few are left for probes and warming, so that nothing is refused for its sake."""

CACHED, COLD, ALERTS = 0.80, 0.15, 0.05
WARM = tuple(f"WARM{number}" for number in range(8))
SOURCES = {"ticker": "cold", "cache": "cached"}
ROUNDS = 3
ROOT = Path(__file__).parents[1]
SETTINGS = {"cache": {"ttl_s": 3600.0}}
"""Reads of warm symbols stay reads of the cache however long the run is."""


def mix(minutes: float, seed: int) -> Workload:
    """Requests at the rate budget, evenly spread, in the stated shares."""
    rng = random.Random(seed)
    gap_s = 60.0 / PER_MINUTE
    operations: list[Operation] = []
    for number in range(int(minutes * PER_MINUTE)):
        at_s, chance = number * gap_s, rng.random()
        if chance < CACHED:
            operations.append(signal(at_s, rng.choice(WARM)))
        elif chance < CACHED + COLD:
            operations.append(signal(at_s, f"C{number}"))
        else:
            operations.append(alert(at_s, rng.choice(WARM), f"bench-{number}"))
    return Workload.of(operations)


def faults(minutes: float) -> Schedule:
    """One fault every two minutes, of every part: network, Redis, downstreams, process, clock, disk."""
    kinds: tuple[tuple[float, dict[str, Any]], ...] = (
        (10.0, {"kind": "redis_killed"}),
        (10.0, {"kind": "http_fault", "target": "ticker", "status": 503}),
        (20.0, {"kind": "net_latency", "target": "ticker", "latency_ms": 300}),
        (5.0, {"kind": "network_partition", "target": "redis"}),
        (2.0, {"kind": "process_signal", "signal": "STOP"}),
        (1.0, {"kind": "event_loop_stall", "stall_ms": 400}),
        (20.0, {"kind": "clock_jump", "offset_s": 30.0}),
        (15.0, {"kind": "disk_full", "where": "logs"}),
        (10.0, {"kind": "net_down", "target": "alert"}),
        (10.0, {"kind": "memory_pressure", "held_mb": 200}),
    )
    found = []
    for number in range(int(minutes // 2)):
        for_s, fault = kinds[number % len(kinds)]
        found.append({"at_s": 60.0 + number * 120.0, "for_s": for_s, "fault": fault})
    return Schedule.from_json(found)


def scenario(name: str, workload: Workload, schedule: Schedule | None = None) -> Scenario:
    """The mix as a scenario; warm symbols are warmed before it."""
    warm = Workload.of(signal(number * 0.05, symbol) for number, symbol in enumerate(WARM))
    return Scenario(
        name=name, summary=name, steady=warm, workload=workload, schedule=schedule or Schedule(), settings=SETTINGS
    )


def idle(minutes: float) -> Scenario:
    """Nobody asks anything until one request at the end."""
    return Scenario(name="idle", summary="idle", workload=Workload.of([signal(minutes * 60.0, "AAPL")]))


class Timed:
    """One run of a scenario: CPU seconds of the run and of the judge, and what was asked and answered."""

    def __init__(self, asked: Scenario, seed: int, profile: cProfile.Profile | None = None) -> None:
        self.history: History
        self.judged_at_s = 0.0
        simulation = Simulation(asked, spec_of(asked, RunContext(seed, "benchmark")), on_run=self._note, claims=())
        choices = SeededChoices(random.Random(seed), (), 1, reorder=False)
        with sandbox(BOUNDS) as box:
            began_s = time.process_time()
            if profile is not None:
                profile.enable()
            outcome = run_once(simulation, choices, BOUNDS, box)
            if profile is not None:
                profile.disable()
            self.cpu_s = time.process_time() - began_s
        if outcome.error is not None:
            raise outcome.error
        self.virtual_s = outcome.virtual_s
        self.steps = outcome.steps

    def _note(self, history: History, _verdicts: object) -> None:
        self.history = history

    def served(self) -> collections.Counter[str]:
        """Answers by what the service said they were: ``cached``, ``cold``, ``alert``, or a status that refused."""
        found: collections.Counter[str] = collections.Counter()
        for asked, end in self.history.requests():
            if asked.value["operation"] not in {"signal", "alert"}:
                continue
            status = end.value.get("status", 0) if end is not None else 0
            if status not in {200, 202}:
                found[f"refused {status}" if status else "no answer"] += 1
            elif asked.value["operation"] == "alert":
                found["alert"] += 1
            else:
                source = end.value.get("source") if end is not None else ""
                found[SOURCES.get(str(source), str(source))] += 1
        return found


def judged(history: History, name: str) -> tuple[float, dict[str, int]]:
    """CPU seconds of judging every claim, and how many had which outcome."""
    from hardening.claims.claims import judge_all  # noqa: PLC0415 - beside what it is timed with

    began_s = time.process_time()
    verdicts = list(judge_all({name: history}))
    cpu_s = time.process_time() - began_s
    return cpu_s, {kind.value: sum(verdict.outcome is kind for verdict in verdicts) for kind in Outcome}


def breakdown(minutes: float) -> dict[str, float]:
    """Share of the time by package, from a profiled run of the mix."""
    profile = cProfile.Profile()
    Timed(scenario("mix", mix(minutes, 1)), 1, profile)
    shares: collections.Counter[str] = collections.Counter()
    for (file, _line, _name), (_calls, _prims, own_s, _total_s, _callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        shares[part_of(file)] += own_s
    total = sum(shares.values())
    return {name: round(own_s / total, 3) for name, own_s in shares.most_common(12)}


def part_of(file: str) -> str:
    """The package or part of this project that a file belongs to."""
    path = Path(file)
    if path.is_relative_to(ROOT) and "site-packages" not in path.parts:
        return ".".join(path.relative_to(ROOT).parts[:2]).removesuffix(".py")
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1]
    return "built-in" if file == "~" else "standard library"


def best(run: Callable[[int], Timed]) -> Timed:
    """The quickest of some rounds: noise of other processes only ever adds."""
    return min((run(number) for number in range(ROUNDS)), key=lambda timed: timed.cpu_s)


def measure(minutes: float, hour_minutes: float) -> dict[str, Any]:
    """All figures."""
    tell("the mix ...")
    Timed(scenario("warm-up", mix(0.2, 0)), 0)
    calm = best(lambda number: Timed(scenario("mix", mix(minutes, number)), number))
    mixed = calm.served()
    tell("an hour under faults ...")
    hour = Timed(scenario("hour", mix(hour_minutes, 7), faults(hour_minutes)), 7)
    judge_cpu_s, outcomes = judged(hour.history, "hour")
    tell("an idle hour ...")
    empty = Timed(idle(hour_minutes), 7)
    tell("where the time goes ...")
    accepted = sum(count for what, count in mixed.items() if what in {"cached", "cold", "alert"})
    heals = hour.history.select("fault", "heal")
    return {
        "requests_per_cpu_s": round(accepted / calm.cpu_s, 1),
        "mix": dict(mixed),
        "hour": {
            "virtual_s": round(hour.virtual_s, 1),
            "cpu_s": round(hour.cpu_s, 1),
            "judge_cpu_s": round(judge_cpu_s, 1),
            "answers": dict(hour.served()),
            "faults": len(heals),
            "faults_that_bit": sum(bool(heal.value["bit"]) for heal in heals),
            "events": len(hour.history.events),
            "outcomes": outcomes,
        },
        "idle_hour_cpu_s": round(empty.cpu_s, 2),
        "idle_virtual_s": round(empty.virtual_s, 1),
        "shares": breakdown(min(minutes, 2.0)),
    }


def tell(text: str) -> None:
    """Progress, for people."""
    print(text, file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="virtual minutes of the mix")
    parser.add_argument("--hour-minutes", type=float, default=60.0, help="virtual minutes under faults, and idle")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON object")
    options = parser.parse_args()
    found = measure(options.minutes, options.hour_minutes)
    if options.json:
        print(json.dumps(found, indent=1))
        return
    hour = found["hour"]
    print(f"requests per CPU second, accepted: {found['requests_per_cpu_s']} (aim >= 300); mix {found['mix']}")
    print(
        f"{hour['virtual_s']} virtual s under {hour['faults']} faults ({hour['faults_that_bit']} bit):"
        f" {hour['cpu_s']} CPU s (aim <= 60), judge {hour['judge_cpu_s']} CPU s, {hour['events']} events"
    )
    print(f"  answers {hour['answers']}; verdicts {hour['outcomes']}")
    print(f"{found['idle_virtual_s']} virtual s idle: {found['idle_hour_cpu_s']} CPU s")
    print("shares of the mix: " + ", ".join(f"{name} {share:.0%}" for name, share in found["shares"].items()))


if __name__ == "__main__":
    main()
