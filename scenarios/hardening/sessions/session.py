"""A session: everything that is needed to run again what once ran, as one JSON file.

The format is described in ``docs/SESSION.md``; ``session.schema.json`` beside this file is its schema, which
``python -m hardening.sessions.session`` regenerates. Secrets of the world are never written: they are drawn from the
seed, and stand in the file as ``{{own:NAME}}``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from hardening.catalogue.scenario import Program, Scenario, StartupCase
from hardening.catalogue.scenario_json import SessionError, encode, read_as, schema_of, validate
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import History, HistoryError, parse
from hardening.worlds.shared.keys import Secrets
from hardening.worlds.spec import RunContext

FORMAT = "signal-hardening/session"
FORMAT_VERSION = 1
SCHEMA_PATH = Path(__file__).with_name("session.schema.json")


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody's staging stack: where it is, and the *name* of the variable that holds the key to it."""

    url: str
    toxiproxy: str
    redis: str = ""
    api_key_env: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of one claim."""

    claim: str
    verdict: Literal["PASS", "FAIL", "UNKNOWN"]
    reason: str = ""
    evidence: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """From the judge's own verdict."""
        return cls(verdict.claim, verdict.outcome.value, verdict.reason, tuple(verdict.evidence))


@dataclass(frozen=True, slots=True)
class Session:
    """One run, as data.

    Attributes:
        name: its name, and that of its files.
        world: where it ran: ``live``, ``simulated``, or ``target`` (somebody's staging stack).
        scenario: what was asked and what broke.
        seed: secrets, candles and (in the simulated world) the interleaving are drawn from it.
        plan: decisions of the simulated world that deviate from the default; ``None`` elsewhere.
        trace_digest: digest of the simulated world's trace; equal digests are equal runs.
        settings: the service's configuration as it ran, without its secrets.
        sabotage: the mutant (a name or ``FILE.py:NAME``) that broke the service on purpose.
        commit: of the code that ran (``unknown`` when it cannot be known).
        versions: of Python, libraries, Redis and Toxiproxy.
        history: path of the history, relative to the session's file; empty when there is none.
        history_digest: ``sha256:`` of the history's bytes.
        verdicts: what the judge said of every claim.
        problem: trouble of the harness that cut the run short, else empty.
        aborted: why somebody or a limit cut it short, else empty.
        figures: what clients saw by phase, and which faults had an effect.
        created_at: ISO 8601, UTC.
        target: the staging stack of world ``target``.
        startup: starts under difficulties, instead of the scenario's workload.
    """

    name: str
    world: Literal["live", "simulated", "target"]
    scenario: Scenario
    seed: int
    plan: Mapping[str, Any] | None = None
    trace_digest: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    sabotage: str = ""
    commit: str = "unknown"
    versions: Mapping[str, str] = field(default_factory=dict)
    history: str = ""
    history_digest: str = ""
    verdicts: tuple[Judged, ...] = ()
    problem: str = ""
    aborted: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    created_at: str = ""
    target: Target | None = None
    startup: tuple[StartupCase, ...] = ()

    @property
    def program(self) -> Program:
        """What ran: starts under difficulties where there are any, else the scenario."""
        return self.startup or self.scenario

    @property
    def context(self) -> RunContext:
        """What it shared with the other runs of its command."""
        return RunContext(self.seed, self.commit, self.sabotage)

    @property
    def failures(self) -> tuple[Judged, ...]:
        """The claims that were broken."""
        return tuple(judged for judged in self.verdicts if judged.verdict == Outcome.FAIL)

    def to_json(self) -> dict[str, Any]:
        """The JSON object, without the secrets of the world.

        Raises:
            SessionError: when a text of the session looks like the place of a secret.
        """
        places = {value: _place(name) for name, value in _own_secrets(self.seed).items()}
        return {"format": FORMAT, "version": FORMAT_VERSION, **_replaced(encode(self), _hidden(places))}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Build from the JSON object.

        Raises:
            SessionError: naming field, value and what is allowed.
        """
        validate(session_schema(), data, "session")
        assert isinstance(data, Mapping)
        rest = {name: value for name, value in data.items() if name not in {"format", "version"}}
        secrets = {_place(name): value for name, value in _own_secrets(int(rest["seed"])).items()}
        session = read_as(cls, _replaced(rest, lambda text: _substituted(text, secrets)), "session")
        path = PurePosixPath(session.history)
        if path.is_absolute() or ".." in path.parts:
            raise SessionError("session.history", session.history, "a path below the session's own directory")
        return session

    def write(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
        fresh.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a session file.

        Raises:
            SessionError: when it is missing, no JSON, or no session.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        except OSError as error:
            raise SessionError("session file", str(path), f"a readable file ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise SessionError("session file", str(path), f"UTF-8 text ({error.reason})") from error
        except json.JSONDecodeError as error:
            raise SessionError("session file", str(path), f"JSON ({error.msg} at line {error.lineno})") from error
        return cls.from_json(data)

    def with_verdicts(self, verdicts: Sequence[Verdict]) -> Self:
        """The same with what the judge said."""
        return dataclasses.replace(self, verdicts=tuple(Judged.of(verdict) for verdict in verdicts))


def stored_history(session: Session, path: Path) -> History:
    """The history of the session whose file is ``path``, its digest checked.

    Raises:
        SessionError: when there is none, or it is not the one that was recorded.
    """
    if not session.history:
        raise SessionError("session.history", session.history, "the path of a history (this session has none)")
    file = path.parent / session.history
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise SessionError("session.history", str(file), f"a readable file ({error.strerror})") from error
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    if digest != session.history_digest:
        raise SessionError("session.history_digest", session.history_digest, f"{digest}, the digest of {file.name}")
    try:
        return parse(raw.decode("utf-8"))
    except (HistoryError, UnicodeDecodeError) as error:
        raise SessionError("session.history", str(file), f"a history ({error})") from error


def session_schema() -> dict[str, Any]:
    """The schema of a session file."""
    body = schema_of(Session)
    own = {"format": {"const": FORMAT}, "version": {"const": FORMAT_VERSION}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{FORMAT}, version {FORMAT_VERSION}",
        **body,
        "required": [*own, *body["required"]],
        "properties": {**own, **body["properties"]},
    }


def _no_number(word: str) -> float:
    raise SessionError("session file", word, "finite numbers")


def _own_secrets(seed: int) -> dict[str, str]:
    return {canary["name"]: canary["value"] for canary in Secrets.draw(seed).canaries()}


def _place(name: str) -> str:
    return "{{own:" + name + "}}"


def _hidden(places: Mapping[str, str]) -> Callable[[str], str]:
    def hide(text: str) -> str:
        for place in places.values():
            if place in text:
                raise SessionError("session", text, f"texts without {place}, which stands for a secret")
        return _substituted(text, places)

    return hide


def _substituted(text: str, table: Mapping[str, str]) -> str:
    for old, new in table.items():
        text = text.replace(old, new)
    return text


def _replaced(value: Any, change: Callable[[str], str]) -> Any:
    """``value`` with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _replaced(inner, change) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(inner, change) for inner in value]
    return value


def main() -> int:
    """Write the schema's file."""
    SCHEMA_PATH.write_text(json.dumps(session_schema(), indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
