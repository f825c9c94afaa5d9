"""What an exploration found, as data, as a story for people, and as JSON."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hardening.simulator.core.plan import Plan, PlanError
from hardening.simulator.core.trace import Trace, TraceEvent, digest_of
from hardening.simulator.core.waits import is_own
from hardening.simulator.search.run import Outcome

RECORDING_FORMAT = "signal-hardening/recording"


@dataclass(frozen=True, slots=True)
class Recording:
    """A plan with the lines of the trace it gave: what a replay elsewhere is compared with."""

    plan: Plan
    lines: tuple[str, ...]
    program: str = ""

    def to_json(self) -> dict[str, Any]:
        """The JSON object, versioned."""
        return {
            "format": RECORDING_FORMAT,
            "version": 1,
            "program": self.program,
            "plan": self.plan.to_json(),
            "trace": list(self.lines),
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read it back.

        Raises:
            PlanError: when it is no recording, or its trace is not the one its digest names.
        """
        if not isinstance(data, dict) or data.get("format") != RECORDING_FORMAT:
            raise PlanError(
                "recording.format", data.get("format") if isinstance(data, dict) else data, RECORDING_FORMAT
            )
        plan = Plan.from_json(data.get("plan"))
        lines = tuple(str(line) for line in data.get("trace", ()))
        if plan.digest and digest_of(list(lines)) != plan.digest:
            raise PlanError("recording.trace", f"{len(lines)} lines", f"the trace with digest {plan.digest}")
        return cls(plan, lines, str(data.get("program", "")))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read it from a file.

        Raises:
            PlanError: when it is no recording.
        """
        try:
            return cls.from_json(json.loads(path.read_text()))
        except json.JSONDecodeError as error:
            raise PlanError("recording", str(path), f"JSON ({error})") from None


@dataclass(slots=True)
class Counterexample:
    """A schedule under which the program fails.

    Attributes:
        exception: what it failed with, from the run that was traced.
        plan: the shrunk schedule.
        seed: of the search.
        run: the number of the run that found it; -1: a plan of the corpus.
        trace: of the shrunk schedule.
        found_decisions: deviations before shrinking.
        shrink_runs: runs that shrinking took.
        repeats: whether two replays failed alike with equal traces. False: the program takes time, randomness or
            order from somewhere the simulator does not control.
    """

    exception: BaseException
    plan: Plan
    seed: int
    run: int
    trace: Trace
    found_decisions: int
    shrink_runs: int
    repeats: bool
    program: str = ""

    @property
    def schedules(self) -> int:
        """How many schedules a search of one shard ran until this one, itself included."""
        return self.run + 1 if self.run >= 0 else 1

    def recording(self) -> Recording:
        """Plan and trace, to be stored."""
        return Recording(self.plan, tuple(self.trace.lines()), self.program)

    def story(self, tail: int = 30) -> str:
        """The failure, the decisions that lead to it, and the end of the trace."""
        head = "".join(traceback.format_exception_only(self.exception)).strip()
        lines = [f"{self.program or 'the program'} fails: {head}"]
        lines += [f"  {place}" for place in _raised_at(self.exception)]
        count = len(self.plan)
        if count:
            lines.append(f"It takes {count} decision{'s' * (count != 1)} (found with {self.found_decisions}):")
            lines += [f"  {number}. {self._place(d)}" for number, d in enumerate(self.plan.decisions, 1)]
        else:
            lines.append("It fails under the default schedule.")
        victims = [event.who for event in self.trace.events if event.kind == "cancel" and event.who != "nobody"]
        if victims:
            lines.append(f"The schedule cancelled: {', '.join(victims)}")
        if not self.repeats:
            lines.append("It does not repeat exactly: the program depends on something outside the simulation.")
        folded = _folded(self.trace.events)
        lines.append(f"The last {min(tail, len(folded))} of {len(folded)} lines ({len(self.trace.events)} steps):")
        return "\n".join(lines + folded[-tail:])

    def _place(self, decision: Any) -> str:
        """A decision with the moment of the trace at which it took effect."""
        text = str(decision)
        if decision.kind == "cancel":
            for event in self.trace.events:
                if event.kind == "cancel" and event.who == decision.who and event.step == decision.index:
                    before = [e for e in self.trace.events if e.kind == "run" and e.who == decision.who]
                    seen = [e for e in before if e.step < decision.index]
                    last = f", last run in {seen[-1].text}" if seen else ""
                    return f"{text}, at {event.virtual_s:.6g} s{last}"
        if decision.kind == "draw":
            events = [e for e in self.trace.events if e.who == decision.who and e.kind in {"draw", "io", "delay"}]
            if decision.index < len(events):
                return f"{text}: {events[decision.index].kind} {events[decision.index].text}"
        return text

    def to_json(self) -> dict[str, Any]:
        """Everything but the trace's lines."""
        return {
            "exception": {"type": type(self.exception).__name__, "message": str(self.exception)},
            "plan": self.plan.to_json(),
            "seed": self.seed,
            "run": self.run,
            "schedules": self.schedules,
            "found_decisions": self.found_decisions,
            "shrink_runs": self.shrink_runs,
            "repeats": self.repeats,
            "digest": self.plan.digest,
        }


@dataclass(slots=True)
class Exploration:
    """What a search did and what it found.

    Attributes:
        program: its name.
        seed: of the search.
        runs: schedules run (without those of shrinking).
        steps: callbacks run in all.
        virtual_s: virtual seconds in all.
        cpu_s: CPU seconds it took, shrinking included.
        leftovers: what the default schedule left behind at its end, one line each.
        lost: exceptions of the default schedule nobody looked at.
        counterexample: the failure, or None.
        from_corpus: whether a stored plan found it.
    """

    program: str
    seed: int
    runs: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    leftovers: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    counterexample: Counterexample | None = None
    from_corpus: bool = False
    parts: list[str] = field(default_factory=list)

    def count(self, outcome: Outcome) -> None:
        """Add one run."""
        self.runs += 1
        self.steps += outcome.steps
        self.virtual_s += outcome.virtual_s

    @property
    def found(self) -> bool:
        """Whether a schedule failed."""
        return self.counterexample is not None

    def raise_if_found(self) -> None:
        """Raise the counterexample's exception, with its story as a note."""
        if self.counterexample is not None:
            error = self.counterexample.exception
            error.add_note(self.counterexample.story())
            error.add_note(f"replay(..., Plan.parse({str(self.counterexample.plan)!r}))")
            raise error

    def to_json(self) -> dict[str, Any]:
        """The JSON object, mergeable with those of other shards."""
        found = self.counterexample
        return {
            "format": "signal-hardening/exploration",
            "version": 1,
            "program": self.program,
            "seed": self.seed,
            "runs": self.runs,
            "steps": self.steps,
            "virtual_s": self.virtual_s,
            "cpu_s": self.cpu_s,
            "found": found is not None,
            "from_corpus": self.from_corpus,
            "leftovers": list(self.leftovers),
            "counterexample": found.to_json() if found else None,
        }


def merge(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One exploration from the JSON of its shards: counts add up, the failure with the lowest run number stays.

    Raises:
        PlanError: when there is none, or they are of different programs or seeds.
    """
    merged: dict[str, Any] = {}
    for part in parts:
        if not merged:
            merged = dict(part)
            continue
        for name in ("program", "seed"):
            if part[name] != merged[name]:
                raise PlanError(f"shard.{name}", part[name], repr(merged[name]))
        for name in ("runs", "steps", "virtual_s", "cpu_s"):
            merged[name] += part[name]
        ours, theirs = merged["counterexample"], part["counterexample"]
        if theirs is not None and (ours is None or theirs["run"] < ours["run"]):
            merged["counterexample"], merged["from_corpus"] = theirs, part["from_corpus"]
        merged["found"] = merged["counterexample"] is not None
    if not merged:
        raise PlanError("shards", "none", "at least one")
    return merged


def _raised_at(error: BaseException) -> list[str]:
    """The program's own place first, then the innermost one in a library, if that is another."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if is_own(f.filename)]
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    chosen = own[-1:] + [frame for frame in frames[-1:] if frame not in own]
    words = ("raised at", "inside") if own else ("raised at",)
    return [
        f"{word} {'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno} in {frame.name}"
        for word, frame in zip(words, chosen, strict=False)
    ]


NOISE = ("call", "delay")
"""Kinds of events that say nothing by themselves: callbacks of libraries, latencies that took their default."""


def _folded(events: list[TraceEvent]) -> list[str]:
    """A trace as lines, with two and more events of noise in a row as one."""
    lines: list[str] = []
    noise: list[TraceEvent] = []
    for event in [*events, None]:
        if event is not None and event.kind in NOISE:
            noise.append(event)
            continue
        if len(noise) > 1:
            lines.append(f"{noise[0].step:6d} {noise[0].virtual_s:12.6f}  ...      {len(noise)} callbacks, latencies")
        else:
            lines += [str(each) for each in noise]
        noise = []
        if event is not None:
            lines.append(str(event))
    return lines
