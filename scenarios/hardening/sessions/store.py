"""The sessions directory: one JSON file a session, its history beside it.

In: sessions and histories, or a session's name. Out: ``Stored``, a session and its file. ``SessionError`` for a name
that does not exist and for a file that is no session.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardening.catalogue.scenario_json import SessionError
from hardening.history.events import History
from hardening.sessions.session import Session

DEFAULT = Path(".hardening") / "sessions"
OWN_REGRESSIONS = Path("regressions")
"""Where sessions are adopted in the working directory."""
SHIPPED_REGRESSIONS = Path(__file__).with_name("adopted")
"""Those of this project; ``find`` takes them by name from anywhere."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A session and its file."""

    session: Session
    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that belongs to it."""
        history = (self.path.parent / self.session.history,) if self.session.history else ()
        return (self.path, *history)


@dataclass(frozen=True, slots=True)
class Store:
    """The sessions below one directory."""

    directory: Path = DEFAULT

    def save(self, session: Session, history: History) -> Stored:
        """Write both files under the session's name; never over another session's.

        Returns the session as it was written: with its history's path and digest, and perhaps another name.
        """
        name, number = session.name, 1
        while (self.directory / f"{name}.json").exists():
            number += 1
            name = f"{session.name}-{number}"
        digest = history.write(self.directory / f"{name}.jsonl")
        named = dataclasses.replace(session, name=name, history=f"{name}.jsonl", history_digest=digest)
        path = self.directory / f"{name}.json"
        named.write(path)
        return Stored(named, path)

    def all(self) -> Iterator[Stored | SessionError]:
        """Every session, oldest first; for a file that is none, why it is none."""
        found: list[Stored | SessionError] = []
        for path in sorted(self.directory.glob("*.json")):
            try:
                found.append(Stored(Session.load(path), path))
            except SessionError as error:
                found.append(SessionError(f"{path}: {error.field}", error.value, error.allowed))
        yield from sorted(found, key=_age)

    def find(self, name: str) -> Stored:
        """By path, or by name: below this directory, else among the adopted ones.

        Raises:
            SessionError: when there is none.
        """
        path = Path(name)
        if path.suffix != ".json" and not path.exists():
            places = [folder / f"{name}.json" for folder in (self.directory, OWN_REGRESSIONS, SHIPPED_REGRESSIONS)]
            path = next((place for place in places if place.exists()), places[0])
        if not path.exists():
            names = [one.stem for one in sorted(self.directory.glob("*.json"))]
            known = f" ({', '.join(names[-8:])})" if names else " (there is none yet)"
            raise SessionError("session", name, f"a session's file, or a name below {self.directory}{known}")
        return Stored(Session.load(path), path)


def _age(one: Stored | SessionError) -> tuple[str, str]:
    return (one.session.created_at, one.path.stem) if isinstance(one, Stored) else ("", "")
