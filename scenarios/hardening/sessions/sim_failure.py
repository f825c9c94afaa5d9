"""A failing schedule as people and machines get it: a story in the domain's words, a session file, a history."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hardening.catalogue.scenario import Scenario
from hardening.claims.claims import CLAIMS
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import History
from hardening.runs.simulated import SimOutcome, Simulation, run_simulated
from hardening.sessions.session import Session
from hardening.simulator.search.counterexample import Counterexample
from hardening.simulator.search.lanes import lanes

EVIDENCE_MAX = 8
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
    broken = next((v for v in again.verdicts if v.outcome is Outcome.FAIL), None)
    session = _session(simulation, again, found, name)
    text = "\n".join([_in_words(simulation, again, broken), "", found.story(TAIL_STEPS)])
    return SimFailure(
        broken.claim if broken else "", text, lanes(found.trace, rows_max=LANE_ROWS), session, again.history
    )


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
        problem=again.problem,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    ).with_verdicts(again.verdicts)


def _in_words(simulation: Simulation, again: SimOutcome, broken: Verdict | None) -> str:
    """What was asked, what broke, what was observed, which claim."""
    lines = [f"scenario {simulation.spec.scenario}, seed {simulation.spec.context.seed}, simulated world"]
    if isinstance(simulation.scenario, Scenario):
        scenario = simulation.scenario
        asked = [*scenario.steady.operations, *scenario.workload.operations]
        kinds = sorted({operation.operation for operation in asked})
        lines.append(f"asked:    {len(asked)} requests ({', '.join(kinds)})")
        for timed in scenario.schedule.faults:
            what = f"{timed.fault.kind} on {timed.fault.target}"
            lines.append(f"broken:   {what} from {timed.at_s:g} s for {timed.for_s:g} s of the workload")
        lines += [f"reloaded: at {reload.at_s:g} s by {reload.by}" for reload in scenario.reloads]
    else:
        lines += [f"started:  {case.dependency} {case.case}" for case in simulation.scenario]
    if broken is None:
        return "\n".join([*lines, f"problem:  {again.problem or again.error}"])
    claim = CLAIMS[broken.claim]
    lines.append(f"claim:    {claim.id} {claim.title}: {claim.promise}")
    lines.append(f"observed: {broken.reason}")
    for event in list(broken.evidence)[:EVIDENCE_MAX]:
        lines.append(f"          {event}")
    return "\n".join(lines)
