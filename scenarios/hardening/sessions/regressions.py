"""Failing sessions as regression tests: adopted with one command, replayed first from then on, pruned when fixed.

In: stored sessions. Out: the adopted ones, and what became of each when it was replayed. ``SessionError`` for a session
that cannot be adopted and for a file that is no session.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hardening.catalogue.scenario_json import SessionError
from hardening.sessions.runners import Runner
from hardening.sessions.session import Session
from hardening.sessions.store import OWN_REGRESSIONS, SHIPPED_REGRESSIONS, Store, Stored


def adopted(*directories: Path) -> list[Stored]:
    """Every regression of the directories, by name; those shipped and those of the working directory without any.

    Raises:
        SessionError: for a file that is no session: a regression must not be passed over.
    """
    folders = directories or (SHIPPED_REGRESSIONS, OWN_REGRESSIONS)
    found = [Stored(Session.load(path), path) for folder in folders for path in sorted(folder.glob("*.json"))]
    for stored in found:
        if not stored.session.failures:
            raise SessionError(f"{stored.path.name}: verdicts", "none failed", "a session in which a claim failed")
    return found


def adopt(stored: Stored, directory: Path, name: str = "") -> Stored:
    """Copy a failing session into ``directory`` (made when it is missing) without its history: a replay gives another.

    Raises:
        SessionError: when it did not fail, was sabotaged, or its name is taken.
    """
    session = stored.session
    if not session.failures:
        raise SessionError("session.verdicts", session.name, "a session in which a claim failed")
    if session.sabotage:
        raise SessionError("session.sabotage", session.sabotage, "none: a sabotage shows no fault of ours")
    if session.world == "target":
        raise SessionError("session.world", session.world, "live or simulated: a test cannot count on a staging stack")
    chosen = name or session.name
    path = directory / f"{chosen}.json"
    if Path(chosen).name != chosen or path.exists() or (SHIPPED_REGRESSIONS / path.name).exists():
        raise SessionError("--name", chosen, f"a plain name that is free in {directory} and not that of a shipped one")
    kept = dataclasses.replace(session, name=chosen, history="", history_digest="")
    kept.write(path)
    return Stored(kept, path)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of one regression: in how many of how many runs it still failed, and whether it was removed."""

    stored: Stored
    failed: int
    runs: int
    removed: bool
    problem: str = ""


def prune(
    store: Store,
    runner_for: Callable[[Session], Runner],
    times: int,
    *,
    keep: bool = False,
    on_one: Callable[[Pruned], None] = lambda _one: None,
) -> list[Pruned]:
    """Replay every failing session of a directory and remove those that pass ``times`` times in a row.

    One that cannot be run to its end stays. With ``keep`` nothing is removed.

    Raises:
        SessionError: for a file that is no session.
    """
    found = []
    for one in store.all():
        if isinstance(one, SessionError):
            raise one
        if not one.session.failures:
            continue
        pruned = _tried(one, runner_for(one.session), times)
        if pruned.removed and not keep:
            for file in one.files:
                file.unlink(missing_ok=True)
        found.append(pruned)
        on_one(pruned)
    return found


def _tried(stored: Stored, runner: Runner, times: int) -> Pruned:
    for number in range(1, times + 1):
        try:
            tried = runner.run(stored.session)
        except SessionError as error:
            return Pruned(stored, 0, number, removed=False, problem=str(error))
        if tried.reproduces(stored.session):
            return Pruned(stored, 1, number, removed=False)
        if tried.problem:
            return Pruned(stored, 0, number, removed=False, problem=tried.problem)
    return Pruned(stored, 0, times, removed=True)
