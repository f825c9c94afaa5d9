"""Plans that failed once, stored by program: tried first the next time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from hardening.simulator.core.plan import Plan, PlanError


class PlanStore(Protocol):
    """Where an exploration looks for plans that failed before, and leaves new ones."""

    def plans(self, program: str) -> list[Plan]:
        """Stored plans of a program, the most promising first."""

    def add(self, program: str, plan: Plan) -> None:
        """Store one."""


class Corpus:
    """A directory with one JSON Lines file for each program.

    Args:
        directory: made when the first plan is added.
        keep_max: how many plans of a program are kept, the newest.
    """

    def __init__(self, directory: Path, *, keep_max: int = 50) -> None:
        self._directory = directory
        self._keep_max = keep_max

    def plans(self, program: str) -> list[Plan]:
        """Stored plans, newest first; a line that can not be read is passed over, it is only a head start."""
        path = self._path(program)
        if not path.exists():
            return []
        plans = []
        for line in reversed(path.read_text().splitlines()):
            try:
                plans.append(Plan.parse(line))
            except PlanError:
                continue
        return plans

    def add(self, program: str, plan: Plan) -> None:
        """Store a plan, unless the same decisions are there."""
        plans = [known for known in reversed(self.plans(program)) if known.decisions != plan.decisions]
        plans = [*plans, plan][-self._keep_max :]
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._path(program)
        draft = path.with_suffix(".draft")
        draft.write_text("".join(json.dumps(item.to_json(), separators=(",", ":")) + "\n" for item in plans))
        draft.replace(path)

    def _path(self, program: str) -> Path:
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in program)
        return self._directory / f"{safe}.jsonl"
