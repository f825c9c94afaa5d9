"""The proof: only a claim of a mutant's own component detects it, and a failure is not told twice."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from hardening.certify import prove
from hardening.certify.progress import Progress
from hardening.certify.sim_jobs import explore
from hardening.mutants.catalogue import mutants
from hardening.mutants.mutant import Mutant
from hardening.sessions.sim_worker import Task
from hardening.worlds.spec import RunContext

HARMLESS = "def nothing_broken() -> None:\n    pass\n"


def rows_of(monkeypatch: pytest.MonkeyPatch, *tried: Mutant) -> prove.Proof:
    monkeypatch.setattr(prove, "chosen", lambda _extent, _seed: list(tried))
    monkeypatch.setattr(prove, "SCHEDULES_MAX", 1)
    return asyncio.run(prove.prove("all", 0, "unknown", Progress()))


def test_a_mutant_is_detected_by_the_claim_that_it_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    proof = rows_of(monkeypatch, mutants()["scopes_not_checked"])
    assert [(row["detected"], row["by"], row["schedules"]) for row in proof.rows] == [(True, ["C4.5"], 1)]
    assert not proof.problems


def test_what_breaks_nothing_and_what_another_component_sees_are_not_detected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(HARMLESS, encoding="utf-8")
    harmless = Mutant(f"{tmp_path / 'mine.py'}:nothing_broken", "C4.5", "secrets", "simulated", lambda: None)
    elsewhere = dataclasses.replace(mutants()["scopes_not_checked"], claim="C1.1")
    proof = rows_of(monkeypatch, harmless, elsewhere)
    assert [(row["detected"], row["by"]) for row in proof.rows] == [(False, []), (False, ["C4.5"])]


def test_a_failure_that_is_not_to_be_explained_is_not_run_again(tmp_path: Path) -> None:
    task = Task(
        out=str(tmp_path),
        scenarios=("secrets",),
        context=RunContext(sabotage="scopes_not_checked"),
        schedules_max=3,
        shrink_runs=0,
        explain=False,
    )
    found = asyncio.run(explore(task))
    assert found.failed == {"C4.5"}
    assert found.schedules == {"secrets": 1}
    assert not found.problems
    assert not list(tmp_path.glob("sessions/*"))
