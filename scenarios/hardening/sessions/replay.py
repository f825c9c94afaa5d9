"""Runs a session again, once or many times: did it fail in the same way, when, and how fast was it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hardening.claims.verdict import Exit
from hardening.sessions.runners import Runner, Tried
from hardening.sessions.session import Session


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a replay.

    Attributes:
        reproduced: it failed as the session did.
        failed: the claims that failed.
        when_s: of the evidence, since the faults began.
        figures: what clients saw while faults ran.
        trace_digest: of the simulated world.
        problem: of the harness.
    """

    reproduced: bool
    failed: tuple[str, ...]
    when_s: float | None
    figures: dict[str, Any]
    trace_digest: str
    problem: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of all runs."""

    session: Session
    attempts: tuple[Attempt, ...]

    @property
    def reproduced(self) -> int:
        """In how many runs it failed as the session did."""
        return sum(attempt.reproduced for attempt in self.attempts)

    @property
    def exact(self) -> bool | None:
        """Whether every trace was the session's; ``None`` where there is nothing to compare."""
        if not self.session.trace_digest:
            return None
        return all(attempt.trace_digest == self.session.trace_digest for attempt in self.attempts)

    @property
    def exit_code(self) -> Exit:
        """1 while it still fails, 4 when no run came to its end, else 0."""
        if any(attempt.failed for attempt in self.attempts):
            return Exit.FAILED
        return Exit.HARNESS if all(attempt.problem for attempt in self.attempts) else Exit.OK

    def spread(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest of when it failed, latencies and errors."""
        columns: dict[str, list[float | None]] = {"failed_at_s": [a.when_s for a in self.attempts if a.reproduced]}
        for name in ("latency_s_p50", "latency_s_p99", "error_share"):
            columns[name] = [attempt.figures.get(name) for attempt in self.attempts]
        known = {name: [value for value in column if value is not None] for name, column in columns.items()}
        return {name: (min(values), max(values)) for name, values in known.items() if values}

    def to_json(self) -> dict[str, Any]:
        """For a machine."""
        return {
            "session": self.session.name,
            "world": self.session.world,
            "runs": len(self.attempts),
            "reproduced": self.reproduced,
            "exact": self.exact,
            "spread": {name: list(ends) for name, ends in self.spread().items()},
            "attempts": [
                {
                    "reproduced": attempt.reproduced,
                    "failed": list(attempt.failed),
                    "failed_at_s": attempt.when_s,
                    "faults": attempt.figures,
                    "trace_digest": attempt.trace_digest,
                    "problem": attempt.problem,
                }
                for attempt in self.attempts
            ],
        }

    def lines(self) -> Sequence[str]:
        """For a person."""
        runs = len(self.attempts)
        claims = ", ".join(judged.claim for judged in self.session.failures)
        what = f"{self.session.name}: {self.reproduced} of {runs} reproduced"
        lines = [f"{what} ({claims})" if claims else f"{what} a failure (the session itself had none)"]
        others = sorted({claim for a in self.attempts for claim in a.failed} - set(claims.split(", ")))
        if others:
            lines.append(f"failed as well: {', '.join(others)}")
        for name, (low, high) in self.spread().items():
            lines.append(f"{name:14} {low:g}" if low == high else f"{name:14} {low:g} to {high:g}")
        if self.exact is not None:
            lines.append("the trace is the same, step by step" if self.exact else _differs(self.session))
        lines += [f"problem: {attempt.problem}" for attempt in self.attempts if attempt.problem]
        return lines


def _differs(session: Session) -> str:
    python = session.versions.get("python", "another Python")
    return f"the trace differs: the code, its libraries or Python ({python} then) are not those of the session"


def replay(
    session: Session, runner: Runner, times: int, on_run: Callable[[int, Tried], None] = lambda _number, _tried: None
) -> Replayed:
    """Run it ``times`` times; ``on_run`` is called with each, by number from 1."""
    attempts = []
    for number in range(1, times + 1):
        tried = runner.run(session)
        attempts.append(_attempt(session, tried))
        on_run(number, tried)
    return Replayed(session, tuple(attempts))


def _attempt(session: Session, tried: Tried) -> Attempt:
    wanted = frozenset(judged.claim for judged in session.failures) or tried.failed
    figures = tried.figures().get("faults", {})
    return Attempt(
        tried.reproduces(session),
        tuple(sorted(tried.failed)),
        tried.when_s(wanted),
        figures,
        tried.trace_digest,
        tried.problem,
    )
