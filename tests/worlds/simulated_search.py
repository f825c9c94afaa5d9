"""Run in a process of its own: searches or replays one small scenario, sabotaged or not; prints one JSON object.

``python simulated_search.py search|replay [SABOTAGE] [PLAN AS JSON]``
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from hardening.catalogue.scenario import Scenario
from hardening.faults.schedule import Schedule
from hardening.history.workload import Workload, signal
from hardening.runs.runner import spec_of
from hardening.runs.simulated import Simulation, explore_scenario, run_simulated
from hardening.simulator.core.plan import Plan
from hardening.worlds.live.launcher import load_sabotage
from hardening.worlds.spec import RunContext

CLAIMS = ("C2.1", "C5.1")


def small() -> Scenario:
    """A dozen callers of a slow ticker while Redis is killed; nobody hangs up unless the schedule has it so."""
    schedule = Schedule.from_json([{"at_s": 0.6, "for_s": 0.4, "fault": {"kind": "redis_killed"}}])
    asked = Workload.of(signal(i * 0.1, f"S{i - i % 2}") for i in range(12))
    return Scenario(name="small", summary="", workload=asked, schedule=schedule, latency_s={"ticker": 0.3})


def main(what: str, sabotage: str = "", plan: str = "") -> dict[str, Any]:
    """The result of one search or one run."""
    if sabotage:
        load_sabotage(sabotage)()
    scenario = small()
    spec = spec_of(scenario, RunContext(5, "test", sabotage))
    if what == "search":
        report = explore_scenario(Simulation(scenario, spec, CLAIMS), runs=40, seed=2, shrink_runs_max=40)
        found = report.counterexample
        if found is None:
            return {"runs": report.runs}
        return {
            "runs": report.runs,
            "plan": found.plan.to_json(),
            "decisions": len(found.plan),
            "repeats": found.repeats,
            "claim": found.exception.verdict.claim,  # type: ignore[attr-defined]
        }
    ran = run_simulated(scenario, spec, Plan.from_json(json.loads(plan)) if plan else None, CLAIMS)
    return {
        "trace": ran.trace_digest,
        "history": hashlib.sha256(ran.history.dump().encode()).hexdigest(),
        "verdicts": {verdict.claim: verdict.outcome.value for verdict in ran.verdicts},
        "problem": ran.problem,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
