"""The end of a certification: judge the histories that were stored, write the certificate and what goes with it.

Nothing runs here. What ran is handed over as plain data (``Ran``), and how it is to be taken as ``Terms``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scenarios.judge.certificate import Facts, HistoryFile, Story, statement
from scenarios.judge.claims import CLAIMS, COMPONENTS, FIGURES, judge_all
from scenarios.judge.history import History, read
from scenarios.judge.verdict import Exit, Tally, Verdict
from scenarios.provenance import Provenance
from scenarios.report.markdown import render


@dataclass(frozen=True, slots=True)
class Ran:
    """What ran; its histories lie in ``histories/*.jsonl`` below the certificate's directory.

    A history's ``header.extra`` may carry ``schedules`` (how many were run for it) and ``plan`` (the schedule that
    it shows); both come into the certificate.

    Attributes:
        code: the digest of the code that ran, and its commit.
        started_at: wall time, ISO 8601, UTC.
        versions: Python, libraries, Redis server.
        seed: everything was drawn from it.
        sabotage: the reference of a sabotage that was applied to the whole run.
        problems: what went wrong with the harness, a line each.
        sabotages: rows ``{"name", "component", "detected", "by", "schedules", "seconds"}`` of ``--prove``;
            ``detected`` is a boolean, ``by`` the claims that turned red.
        loads: load budgets, a mapping each; ``name`` and ``held`` (a boolean) are read, the rest is shown.
        stories: what failures looked like when they were shrunk.
    """

    code: Provenance
    started_at: str
    versions: Mapping[str, str]
    seed: int = 0
    sabotage: str = ""
    problems: Sequence[str] = ()
    sabotages: Sequence[Mapping[str, Any]] = ()
    loads: Sequence[Mapping[str, Any]] = ()
    stories: Sequence[Story] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """How it is to be taken.

    Attributes:
        allowed_unknown: claims that may still be UNKNOWN.
        claims: only these are judged; empty means all.
        partial: only some of the scenarios ran.
    """

    allowed_unknown: frozenset[str] = frozenset()
    claims: tuple[str, ...] = ()
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the job came to."""

    certificate: Mapping[str, Any]
    verdicts: tuple[Verdict, ...]
    exit_code: Exit
    digest: str = ""
    lines: tuple[str, ...] = field(default=())


def conclude(out: Path, ran: Ran, terms: Terms) -> Outcome:
    """Judge what was stored, not what is in memory: the certificate must be re-judgeable from its files.

    Writes the certificate and its reports into ``out``, beside ``out/histories``.
    """
    files = sorted((out / "histories").glob("*.jsonl"))
    histories = {path.stem: read(path) for path in files}
    verdicts = tuple(judge_all(histories, terms.claims or None))
    tally = Tally(
        allowed_unknown=terms.allowed_unknown,
        subset=bool(terms.claims and set(terms.claims) < set(CLAIMS)) or terms.partial,
        clean_commit=ran.code.clean,
    )
    certificate = statement(verdicts, tally, _facts(ran, files, histories))
    text = json.dumps(certificate, indent=2, sort_keys=True, ensure_ascii=False)
    (out / "certificate.json").write_text(text + "\n", encoding="utf-8")
    (out / "certificate.md").write_text(render(certificate, COMPONENTS), encoding="utf-8")
    return Outcome(certificate, verdicts, Exit(certificate["predicate"]["exit_code"]))


def _facts(ran: Ran, files: Sequence[Path], histories: Mapping[str, History]) -> Facts:
    return Facts(
        seed=ran.seed,
        commit=ran.code.commit,
        code_digest=ran.code.code_digest,
        settings={"figures": dict(FIGURES), "scenarios": {n: h.header.settings for n, h in histories.items()}},
        versions={**ran.versions, "toxiproxy": toxiproxies(histories)},
        histories=[history_file(path, histories[path.stem]) for path in files],
        started_at=ran.started_at,
        finished_at=utc(),
        sabotage=ran.sabotage,
        problems=ran.problems,
    )


def toxiproxies(histories: Mapping[str, History]) -> str:
    """Which Toxiproxy ran: the real one or the embedded one, as each world found it."""
    kinds = {str(history.header.versions.get("toxiproxy", "none")) for history in histories.values()}
    return ", ".join(sorted(kinds)) or "none"


def history_file(path: Path, history: History) -> HistoryFile:
    """What the certificate says of one stored history."""
    faults: dict[str, bool] = {}
    for event in history.select("fault", "heal"):
        kind = str(event.value["kind"])
        faults[kind] = faults.get(kind, False) or bool(event.value["bit"])
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    return HistoryFile(path.stem, f"histories/{path.name}", digest, history.header.world, len(history.events), faults)


def utc() -> str:
    """Now, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
