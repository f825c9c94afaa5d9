"""A failing schedule as a session, a history, a story and a lane diagram.

In: a simulation and the counterexample that a search found. Out: ``SimFailure``, with what the shrunk schedule gave
when it ran once more.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hardening.catalogue.scenario import Scenario
from hardening.history.events import History
from hardening.runs.simulated import SimOutcome, Simulation, run_simulated
from hardening.sessions.session import Session
from hardening.sessions.story import story
from hardening.simulator.search.counterexample import Counterexample
from hardening.simulator.search.lanes import lanes

TAIL_STEPS = 20
LANE_ROWS = 120


@dataclass(frozen=True, slots=True)
class SimFailure:
    """One failing schedule, shrunk and run again.

    Attributes:
        claim: that failed; empty when the run was cut short by a problem.
        text: the story.
        lane_svg: lane diagram of its end.
        session: everything to run it again.
        history: what was recorded.
    """

    claim: str
    text: str
    lane_svg: str
    session: Session
    history: History

    def store(self, folder: Path) -> Path:
        """Write session and history into ``folder``; returns the session's path."""
        digest = self.history.write(folder / self.session.history)
        path = folder / f"{self.session.name}.session.json"
        dataclasses.replace(self.session, history_digest=digest).write(path)
        return path


def failure_of(simulation: Simulation, found: Counterexample, name: str) -> SimFailure:
    """Run the shrunk schedule once more and put it into words.

    Args:
        simulation: the scenario that failed.
        found: its counterexample.
        name: of the session and of its files.
    """
    again = run_simulated(simulation.scenario, simulation.spec, found.plan, simulation.claims)
    session = _session(simulation, again, found, name)
    text = "\n".join([*story(session), "", found.story(TAIL_STEPS)])
    return SimFailure(again.failed, text, lanes(found.trace, rows_max=LANE_ROWS), session, again.history)


def _session(simulation: Simulation, again: SimOutcome, found: Counterexample, name: str) -> Session:
    spec, scenario = simulation.spec, simulation.scenario
    header = again.history.header
    one = scenario if isinstance(scenario, Scenario) else Scenario(spec.scenario, "starts under difficulties")
    return Session(
        name=name,
        world="simulated",
        scenario=one,
        startup=() if isinstance(scenario, Scenario) else scenario,
        seed=spec.context.seed,
        plan=found.plan.to_json(),
        trace_digest=again.trace_digest,
        settings=header.settings,
        sabotage=spec.context.sabotage,
        commit=spec.context.commit,
        versions=header.versions,
        history=f"{name}.jsonl",
        problem=again.problem or ("" if again.failed else str(again.error)),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    ).with_verdicts(again.verdicts)
