"""Runs a session again, in the world that it names.

In: a ``Session``. Out: ``Tried``, its history and verdicts this time; times in seconds since the run began.
``SessionError`` when its world cannot run it, ``InterruptedRunError`` when a signal ended it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from hardening.catalogue.scenario_json import SessionError
from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome
from hardening.claims.views import phase_span
from hardening.faults.children import tied
from hardening.history.events import History, parse
from hardening.runs.interrupt import run
from hardening.runs.phases import Run
from hardening.runs.staging import run_staging
from hardening.runs.startup import run_program
from hardening.sessions.chaos.watch import Figures, Watch
from hardening.sessions.session import Judged, Session
from hardening.worlds.live.processes import clean_environment
from hardening.worlds.staging.world import StagingSpec

World = Literal["live", "simulated", "target"]


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a session that was run again.

    Attributes:
        verdicts: of every claim.
        history: what was recorded.
        problem: trouble of the harness, else empty.
        trace_digest: of the simulated world, else empty.
        plan: of the simulated world, else ``None``.
    """

    verdicts: tuple[Judged, ...]
    history: History
    problem: str = ""
    trace_digest: str = ""
    plan: Mapping[str, Any] | None = None

    @property
    def failed(self) -> frozenset[str]:
        """The claims that were broken."""
        return frozenset(judged.claim for judged in self.verdicts if judged.verdict == Outcome.FAIL)

    def reproduces(self, session: Session) -> bool:
        """True when a claim is broken that was broken in the session (any claim, where none was)."""
        wanted = {judged.claim for judged in session.failures}
        return bool(self.failed & wanted) if wanted else bool(self.failed)

    def when_s(self, claims: frozenset[str]) -> float | None:
        """When the last event that shows the first failure of ``claims`` happened, since the faults began."""
        began = phase_span(self.history, "faults")
        for judged in self.verdicts:
            if judged.claim in claims and judged.verdict == Outcome.FAIL and judged.evidence:
                at_s = max(float(event["t"]) for event in judged.evidence)
                return round(at_s - (began[0] if began else 0.0), 3)
        return None

    def figures(self) -> dict[str, Any]:
        """What clients saw, by phase, as in a session's ``figures``."""
        watch = Watch()
        for event in self.history.events:
            watch.saw(event)
        return {phase: asdict(Figures.of(rows)) for phase, rows in watch.answered.items()}


class Runner(Protocol):
    """Runs sessions, one at a time."""

    def run(self, session: Session) -> Tried:
        """Run it once.

        Raises:
            InterruptedRunError: when a signal ended it.
            SessionError: when it cannot be run in this world.
        """


class LiveRunner:
    """Real processes."""

    def run(self, session: Session) -> Tried:
        """See ``Runner``."""
        return _judged(run(run_program(session.program, session.context)))


@dataclass(frozen=True, slots=True)
class StagingRunner:
    """The user's staging stack; ``redis`` is its URL with the password that no session holds."""

    redis: str = ""

    def run(self, session: Session) -> Tried:
        """See ``Runner``."""
        target = session.target
        if target is None:
            raise SessionError("session.target", None, "where the staging stack is")
        if target.api_key_env and target.api_key_env not in os.environ:
            raise SessionError("session.target.api_key_env", target.api_key_env, "a variable that is set")
        spec = StagingSpec(
            target.url,
            target.toxiproxy,
            self.redis or target.redis,
            os.environ.get(target.api_key_env, "") if target.api_key_env else "",
            cut=tuple(t.fault.target for t in session.scenario.schedule.faults if t.fault.kind == "net_down"),
            scenario=session.scenario.name,
            context=session.context,
        )
        return _judged(run(run_staging(session.scenario, spec)))


def _judged(done: Run) -> Tried:
    return Tried(_verdicts(done.history), done.history, done.problem)


def _verdicts(history: History) -> tuple[Judged, ...]:
    return tuple(Judged.of(verdict) for verdict in judge_all({"again": history}))


@dataclass(slots=True)
class SimRunner:
    """The simulated world, in a process of its own (``sim_worker``).

    One process runs any number of sessions of one mutant; leaving the block of ``runner_of`` ends it.
    """

    directory: Path
    _worker: subprocess.Popen[str] | None = None
    _sabotage: str = ""

    def run(self, session: Session) -> Tried:
        """See ``Runner``."""
        worker = self._started(session.sabotage)
        assert worker.stdin is not None
        assert worker.stdout is not None
        out = self.directory / "history.jsonl"
        request = {"run": {"session": session.to_json(), "history": str(out)}}
        try:
            worker.stdin.write(json.dumps(request) + "\n")
            worker.stdin.flush()
            line = worker.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            errors = (self.directory / "stderr").read_text(encoding="utf-8").strip().splitlines()
            self.close()
            why = errors[-1] if errors else "its process ended without a message"
            raise SessionError("session", session.name, f"one that the simulated world can run ({why})")
        answer = json.loads(line)
        history = parse(out.read_text(encoding="utf-8"))
        return Tried(_verdicts(history), history, answer["problem"], answer["trace_digest"], answer["plan"])

    def _started(self, sabotage: str) -> subprocess.Popen[str]:
        if self._worker is not None and self._sabotage != sabotage:
            self.close()
        if self._worker is None:
            self._sabotage = sabotage
            with (self.directory / "stderr").open("w") as errors:
                self._worker = subprocess.Popen(
                    [sys.executable, "-m", "hardening.sessions.sim_worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    **tied(None, "sim-worker", clean_environment({})),
                )
        return self._worker

    def close(self) -> None:
        """End the process."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            worker.communicate()


@contextlib.contextmanager
def runner_of(world: str, redis: str = "") -> Iterator[Runner]:
    """The runner of a world: ``live``, ``simulated`` or ``target``."""
    if world == "simulated":
        with tempfile.TemporaryDirectory(prefix="hardening-sim-") as folder:
            runner = SimRunner(Path(folder))
            try:
                yield runner
            finally:
                runner.close()
    else:
        yield StagingRunner(redis) if world == "target" else LiveRunner()


def in_world(session: Session, world: World) -> Session:
    """The session carried into another world; a plan holds only where it was made.

    Raises:
        SessionError: when there is no way.
    """
    if world == session.world:
        return session
    if world == "target":
        raise SessionError("--world", world, "live or simulated, for a session that was not of a staging stack")
    return dataclasses.replace(session, world=world, plan=None, trace_digest="", target=None)
