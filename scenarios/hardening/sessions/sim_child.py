"""The child of ``SimOracle``: ``python -m hardening.sessions.sim_child [SABOTAGE]``.

Each line of standard input is ``{"session": ..., "history": PATH}``; it is run, its history written, and a line of
JSON answers: ``{"problem", "trace_digest", "plan"}``.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

from hardening.runs.runner import spec_of
from hardening.runs.simulated import plan_of, run_simulated
from hardening.sessions.session import Session
from hardening.worlds.live.launcher import load_sabotage


def run_task(task: dict[str, Any]) -> dict[str, Any]:
    """Run one session under its plan (the default schedule without one)."""
    session = Session.from_json(task["session"])
    spec = spec_of(session.program, session.context, session.scenario.name)
    done = run_simulated(session.program, spec, plan_of(session.plan))
    done.history.write(Path(task["history"]))
    return {"problem": done.problem, "trace_digest": done.trace_digest, "plan": done.plan.to_json()}


def main() -> int:
    """Answer until standard input ends."""
    if len(sys.argv) > 1:
        load_sabotage(sys.argv[1])()
    for line in sys.stdin:
        answer = run_task(json.loads(line))
        gc.collect()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
