"""Runs a session again, in the world it names: what came of it this time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from hardening.catalogue.scenario_json import SessionError
from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome
from hardening.claims.views import phase_span
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


class Oracle(Protocol):
    """Runs sessions, one at a time."""

    def run(self, session: Session) -> Tried:
        """Run it once.

        Raises:
            InterruptedRunError: when a signal ended it.
            SessionError: when it cannot be run in this world.
        """


class LiveOracle:
    """Real processes."""

    def run(self, session: Session) -> Tried:
        """See ``Oracle``."""
        return _judged(run(run_program(session.program, session.context)))


@dataclass(frozen=True, slots=True)
class StagingOracle:
    """Somebody's staging stack; ``redis`` is its URL with the password that no session holds."""

    redis: str = ""

    def run(self, session: Session) -> Tried:
        """See ``Oracle``."""
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
    verdicts = tuple(Judged.of(verdict) for verdict in judge_all({"again": done.history}))
    return Tried(verdicts, done.history, done.problem)


@dataclass(slots=True)
class SimOracle:
    """The simulated world, in a process of its own: the simulator patches what a process has one of.

    One child runs any number of sessions of one sabotage; leaving the block of ``simulated`` ends it.
    """

    directory: Path
    _child: subprocess.Popen[str] | None = None
    _sabotage: str = field(default="")

    def run(self, session: Session) -> Tried:
        """See ``Oracle``."""
        child = self._started(session.sabotage)
        assert child.stdin is not None
        assert child.stdout is not None
        out = self.directory / "history.jsonl"
        task = {"session": session.to_json(), "history": str(out)}
        try:
            child.stdin.write(json.dumps(task) + "\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            said = (self.directory / "stderr").read_text(encoding="utf-8").strip().splitlines()
            self.close()
            raise SessionError("session", session.name, f"one that the simulated world can run ({_last(said)})")
        answer = json.loads(line)
        history = parse(out.read_text(encoding="utf-8"))
        verdicts = tuple(Judged.of(verdict) for verdict in judge_all({"again": history}))
        return Tried(verdicts, history, answer["problem"], answer["trace_digest"], answer["plan"])

    def _started(self, sabotage: str) -> subprocess.Popen[str]:
        if self._child is not None and self._sabotage != sabotage:
            self.close()
        if self._child is None:
            self._sabotage = sabotage
            argv = [sys.executable, "-m", "hardening.sessions.sim_child", *([sabotage] if sabotage else [])]
            with (self.directory / "stderr").open("w") as errors:
                self._child = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    env=clean_environment({}),
                )
        return self._child

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()


def _last(lines: list[str]) -> str:
    return lines[-1] if lines else "it ended without a word"


@contextlib.contextmanager
def simulated() -> Iterator[SimOracle]:
    """An oracle of the simulated world."""
    with tempfile.TemporaryDirectory(prefix="hardening-sim-") as folder:
        oracle = SimOracle(Path(folder))
        try:
            yield oracle
        finally:
            oracle.close()


@contextlib.contextmanager
def oracle_of(world: str, redis: str = "") -> Iterator[Oracle]:
    """The oracle of a world: ``live``, ``simulated`` or ``target``."""
    if world == "simulated":
        with simulated() as oracle:
            yield oracle
    else:
        yield StagingOracle(redis) if world == "target" else LiveOracle()


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
