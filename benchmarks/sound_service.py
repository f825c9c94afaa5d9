"""How many schedules of drawn scenarios the sound service passes without an alarm, and which claims they exercise.

Every strategy of the six classes is drawn from in turn; each drawn scenario runs under a few schedules in the
simulated world. An alarm is written as a session file, and is either a bug of the service, of the judge, or of the
simulation: all three are worth knowing. ``python benchmarks/sound_service.py --schedules 20000 --seed 1``
"""

from __future__ import annotations

import argparse
import gc
import json
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

from scenarios.fault_strategies import CROWDS, DOWNSTREAMS, MACHINE, PROCESS, REDIS, anything, http, network, schedules
from scenarios.judge.history import History
from scenarios.judge.verdict import Outcome, Verdict
from scenarios.properties import Drawn
from scenarios.sim_failure import failure_of
from scenarios.sim_runner import BOUNDS, CLIENTS, Simulation, spec_for, swept
from scenarios.simulator.search import Search, Shard
from scenarios.simulator.surroundings import surroundings
from scenarios.strategies import alerts, interleavings, latencies, operators, reloads, scenarios, settings, signals
from scenarios.strategies import workloads as callers
from scenarios.test_logging_security import leaking
from scenarios.test_startup_resilience import cases

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


def explore(schedules_wanted: int, seed: int, out: Path) -> Iterator[Tally]:
    """Draw and run, a round of each strategy at a time, until so many schedules have run."""
    tally = Tally()
    with swept(), surroundings(BOUNDS) as borders:
        gc.freeze()
        for number in range(10**9):
            name = list(DRAWN)[number % len(DRAWN)]
            looks = hypothesis.settings(
                max_examples=EXAMPLES_A_ROUND,
                phases=[Phase.generate],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )

            def one(scenario: Drawn, interleaving: int, name: str = name) -> None:
                def on_run(_history: History, verdicts: tuple[Verdict, ...]) -> None:
                    tally.ran(name, verdicts)

                simulation = Simulation(scenario, spec_for(scenario, name, 0), on_run=on_run)
                search = Search(simulation, borders, BOUNDS, interleaving, CLIENTS, shrink_runs_max=0)
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
            if tally.schedules.total() >= schedules_wanted:
                return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(".hardening/alarms"))
    asked = parser.parse_args()
    tally = Tally()
    for tally in explore(asked.schedules, asked.seed, asked.out):
        done = f"{tally.schedules.total()} schedules, {tally.scenarios} scenarios, {len(tally.sessions)} alarms"
        print(f"{done}, {time.process_time():.0f} CPU s", file=sys.stderr, flush=True)
    told = {
        "schedules": tally.schedules.total(),
        "by_strategy": dict(tally.schedules),
        "scenarios": tally.scenarios,
        "cpu_s": round(time.process_time(), 1),
        "claims_met": dict(sorted(tally.met.items())),
        "alarms": dict(tally.alarms),
        "sessions": tally.sessions,
    }
    print(json.dumps(told, indent=1))
    return int(bool(tally.alarms))


if __name__ == "__main__":
    sys.exit(main())
