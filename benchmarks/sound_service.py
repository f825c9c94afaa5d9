"""How many schedules of drawn scenarios the sound service passes without an alarm, and which claims they exercise.

Every strategy of the six classes is drawn from in turn; each drawn scenario runs under a few schedules in the
simulated world. An alarm is written as a session file, and is either a bug of the service, of the judge, or of the
simulation: all three are worth knowing. ``python -m benchmarks.sound_service --schedules 20000 --workers 2 --seed 1``;
worker *i* of *n* draws from the seed ``n * seed + i``.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import History
from hardening.properties.classes import cases, leaking
from hardening.properties.faults import CROWDS, DOWNSTREAMS, MACHINE, PROCESS, REDIS, anything, http, network, schedules
from hardening.properties.rare import Drawn
from hardening.properties.strategies import (
    alerts,
    interleavings,
    latencies,
    operators,
    reloads,
    scenarios,
    settings,
    signals,
)
from hardening.properties.strategies import workloads as callers
from hardening.runs.runner import spec_of
from hardening.runs.simulated import BOUNDS, CLIENTS, Simulation, swept
from hardening.sessions.sim_failure import failure_of
from hardening.simulator.search.sandbox import sandbox
from hardening.simulator.search.search import Search, Shard
from hardening.worlds.spec import RunContext

EXAMPLES_A_ROUND = 20
SCHEDULES_EACH = 5

DRAWN: dict[str, st.SearchStrategy[Any]] = {
    "anything": scenarios(
        "anything",
        callers(),
        schedules(anything(), least=1),
        settings=settings(),
        latency_s=latencies(),
        reloads=st.one_of(st.just(()), reloads()),
    ),
    "redis": scenarios(
        "redis", callers(signals(), alerts(), operators()), schedules(st.one_of(*REDIS.values()), least=1)
    ),
    "downstreams": scenarios(
        "downstreams",
        callers(signals(), alerts()),
        schedules(st.one_of(http(), network(DOWNSTREAMS)), least=1),
        settings=settings(),
    ),
    "process": scenarios("process", callers(), schedules(st.one_of(*PROCESS.values(), *MACHINE.values()), least=1)),
    "crowds": scenarios("crowds", callers(), schedules(st.one_of(*CROWDS.values()), least=1)),
    "leaks": leaking(),
    "starts": st.lists(cases(), min_size=1, max_size=2).map(tuple),
}


@dataclass
class Tally:
    """What was run so far."""

    schedules: Counter[str] = field(default_factory=Counter)
    scenarios: int = 0
    met: Counter[str] = field(default_factory=Counter)
    alarms: Counter[str] = field(default_factory=Counter)
    sessions: list[str] = field(default_factory=list)

    def ran(self, name: str, verdicts: tuple[Verdict, ...]) -> None:
        """Count one run."""
        self.schedules[name] += 1
        self.met.update(v.claim for v in verdicts if v.outcome is Outcome.PASS)


def explore(schedules_wanted: int, seconds: float, seed: int, out: Path) -> Iterator[Tally]:
    """Draw and run, a round of each strategy at a time, until so many schedules have run or the time is up."""
    tally = Tally()
    end_s = time.monotonic() + seconds
    with swept(), sandbox(BOUNDS) as box:
        gc.freeze()
        for number in range(10**9):
            name = list(DRAWN)[(seed + number) % len(DRAWN)]
            looks = hypothesis.settings(
                max_examples=EXAMPLES_A_ROUND,
                phases=[Phase.generate],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )

            def one(scenario: Drawn, interleaving: int) -> None:
                spec = spec_of(scenario, RunContext(), "starts")

                def on_run(_history: History, verdicts: tuple[Verdict, ...]) -> None:
                    tally.ran(spec.scenario, verdicts)

                simulation = Simulation(scenario, spec, on_run=on_run)
                search = Search(simulation, box, BOUNDS, interleaving, CLIENTS, shrink_runs_max=0)
                found = search.run(SCHEDULES_EACH, Shard()).counterexample
                tally.scenarios += 1
                gc.collect()
                if found is not None:
                    simulation.on_run = lambda _history, _verdicts: None
                    failure = failure_of(simulation, found, f"alarm-{seed}-{len(tally.sessions)}")
                    tally.alarms[f"{failure.claim or failure.session.problem}: {found.exception}"[:160]] += 1
                    tally.sessions.append(str(failure.store(out)))

            drawn = given(scenario=DRAWN[name], interleaving=interleavings())(one)
            looks(hypothesis.seed(seed * 1_000_003 + number)(drawn))()
            yield tally
            if tally.schedules.total() >= schedules_wanted or time.monotonic() >= end_s:
                return


def alone(asked: argparse.Namespace) -> dict[str, Any]:
    """What one process found."""
    tally = Tally()
    for tally in explore(asked.schedules, asked.minutes * 60, asked.seed, asked.out):
        done = f"{tally.schedules.total()} schedules, {tally.scenarios} scenarios, {len(tally.sessions)} alarms"
        print(f"seed {asked.seed}: {done}, {time.process_time():.0f} CPU s", file=sys.stderr, flush=True)
    return {
        "seeds": [asked.seed],
        "schedules": tally.schedules.total(),
        "by_strategy": dict(tally.schedules),
        "scenarios": tally.scenarios,
        "cpu_s": round(time.process_time(), 1),
        "claims_met": dict(sorted(tally.met.items())),
        "alarms": dict(tally.alarms),
        "sessions": tally.sessions,
    }


def side_by_side(asked: argparse.Namespace) -> dict[str, Any]:
    """What several processes found, each with a seed of its own.

    Raises:
        RuntimeError: when one of them broke.
    """
    began_s = time.monotonic()
    share = -(-asked.schedules // asked.workers)
    argv = [sys.executable, "-m", "benchmarks.sound_service", "--schedules", str(share), "--out", str(asked.out)]
    argv += ["--minutes", str(asked.minutes)]
    seeds = [asked.workers * asked.seed + number for number in range(asked.workers)]
    children = [subprocess.Popen([*argv, "--seed", str(seed)], stdout=subprocess.PIPE, text=True) for seed in seeds]
    parts = [json.loads(child.communicate()[0] or "null") for child in children]
    if None in parts:
        raise RuntimeError("a worker ended without a word")
    whole: dict[str, Any] = {"wall_s": round(time.monotonic() - began_s, 1)}
    for name, first in parts[0].items():
        found = [part[name] for part in parts]
        whole[name] = dict(sum(map(Counter, found), Counter())) if isinstance(first, dict) else sum(found[1:], first)
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so long, whatever is left")
    parser.add_argument("--workers", type=int, default=1, help="processes side by side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(".hardening/alarms"))
    asked = parser.parse_args()
    told = alone(asked) if asked.workers == 1 else side_by_side(asked)
    print(json.dumps(told, indent=1))
    return int(bool(told["alarms"]))


if __name__ == "__main__":
    sys.exit(main())
