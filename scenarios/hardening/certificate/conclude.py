"""Judges the stored histories of a run, and writes the certificate and its reports beside them.

In come the directory, what ran (``Ran``) and the terms (``Terms``), as plain data; out come files and an ``Outcome``.
Nothing runs here. Times are ISO 8601 in UTC; errors are those of damaged histories and of files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hardening.certificate.baseline import Baseline, changes
from hardening.certificate.manifest import DIGEST_FILE, ENVELOPE_FILE, MANIFEST_FILE, manifest_text, whole_digest
from hardening.certificate.provenance import Provenance, environment, release
from hardening.certificate.reports.every_report import REPORTS, as_text, every_report
from hardening.certificate.signing import IN_TOTO, MANIFEST, key_id, sign
from hardening.certificate.statement import Facts, HistoryFile, Story, fault_table, statement
from hardening.certificate.waivers import Waiver
from hardening.claims.claims import judge_all
from hardening.claims.limits import LIMITS
from hardening.claims.verdict import Exit, Verdict
from hardening.history.events import History, parse

CERTIFICATE_FILE = "certificate.json"
SIGNED_FILE = "certificate.dsse.json"
HISTORIES = "histories"
SESSIONS = "sessions"
"""Folder of the sessions of what failed."""

WRITTEN = frozenset(
    {CERTIFICATE_FILE, SIGNED_FILE, HISTORIES, SESSIONS, MANIFEST_FILE, ENVELOPE_FILE, DIGEST_FILE, *REPORTS}
)
"""Everything that a certificate's directory may hold at its top."""


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
            ``detected`` is a boolean, ``by`` the claims that turned red. One that is not detected fails the result.
        loads: load budgets, a mapping each, as ``load.json`` has them; ``name`` and what ``load_rows.load_state``
            reads count, the rest is shown. One that is missed fails the result.
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
    """The terms under which a result is reached.

    Attributes:
        allowed_unknown: claims that may still be UNKNOWN.
        claims: only these are judged; empty means all.
        partial: only some of the scenarios ran.
        waivers: claims that are excused for a time.
        sign_key: signs the certificate and the manifest.
        baseline: an older certificate to compare with.
    """

    allowed_unknown: frozenset[str] = frozenset()
    claims: tuple[str, ...] = ()
    partial: bool = False
    waivers: tuple[Waiver, ...] = ()
    sign_key: Ed25519PrivateKey | None = None
    baseline: Baseline | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The certificate of a run and its exit code.

    Attributes:
        digest: of the whole directory, as ``digest.txt`` states it.
        key_id: of the key that signed; empty without a signature.
    """

    certificate: Mapping[str, Any]
    verdicts: tuple[Verdict, ...]
    exit_code: Exit
    digest: str = ""
    key_id: str = ""


def conclude(out: Path, ran: Ran, terms: Terms, *, finished_at: str = "", judged: Judged | None = None) -> Outcome:
    """Judge what was stored, not what is in memory: the certificate must be re-judgeable from its files.

    Writes the certificate, its reports, the manifest and the digest of the whole into ``out``, beside
    ``out/histories``. What an earlier certificate left there is removed first.

    Args:
        out: the certificate's directory, with the histories in it.
        ran: what ran.
        terms: under which the result is reached.
        finished_at: wall time, ISO 8601, UTC; now when left out.
        judged: what is stored there, if it was read and judged already and nothing was added since.
    """
    _clear_written(out)
    evidence, verdicts = judged or Judged.of(out, terms.claims)
    facts = facts_of(evidence, ran, terms, finished_at or utc())
    certificate = statement(verdicts, facts)
    if terms.baseline:
        certificate["predicate"]["since"] = changes(terms.baseline, certificate)
    text = as_text(certificate)
    written = {CERTIFICATE_FILE: text, **every_report(json.loads(text), evidence.histories)}
    if terms.sign_key:
        written[SIGNED_FILE] = sign(IN_TOTO, text.encode(), terms.sign_key)
    for name, content in written.items():
        (out / name).write_text(content, encoding="utf-8")
    digest = seal(out, terms.sign_key)
    signer = key_id(terms.sign_key.public_key()) if terms.sign_key else ""
    return Outcome(certificate, verdicts, Exit(certificate["predicate"]["exit_code"]), digest, signer)


def seal(out: Path, key: Ed25519PrivateKey | None) -> str:
    """Write the manifest, its envelope and the digest of the whole; returns the digest."""
    manifest = manifest_text(out, key_id(key.public_key()) if key else "")
    (out / MANIFEST_FILE).write_text(manifest, encoding="utf-8")
    if key:
        (out / ENVELOPE_FILE).write_text(sign(MANIFEST, manifest.encode(), key), encoding="utf-8")
    digest = whole_digest(out)
    (out / DIGEST_FILE).write_text(f"{digest}\n", encoding="utf-8")
    return digest


@dataclass(frozen=True, slots=True)
class Evidence:
    """The stored histories: what they say, and their files."""

    histories: Mapping[str, History]
    files: Sequence[HistoryFile]

    @classmethod
    def load(cls, directory: Path) -> Evidence:
        """Read ``histories/*.jsonl`` below a certificate's directory, by name.

        Raises:
            HistoryError: for the first record that breaks the format.
            UnicodeDecodeError: for bytes that are no UTF-8.
        """
        histories: dict[str, History] = {}
        files = []
        for path in sorted((directory / HISTORIES).glob("*.jsonl")):
            data = path.read_bytes()
            histories[path.stem] = history = parse(data.decode())
            files.append(HistoryFile.of(path.stem, f"{HISTORIES}/{path.name}", data, history))
        return cls(histories, files)


class Judged(NamedTuple):
    """The stored histories, and the verdicts on them."""

    evidence: Evidence
    verdicts: tuple[Verdict, ...]

    @classmethod
    def of(cls, directory: Path, claims: Sequence[str]) -> Judged:
        """Read and judge what lies below a certificate's directory; no claims named: all.

        Raises:
            HistoryError: for the first record that breaks the format.
            UnicodeDecodeError: for bytes that are no UTF-8.
        """
        evidence = Evidence.load(directory)
        return cls(evidence, tuple(judge_all(evidence.histories, claims or None)))


def facts_of(evidence: Evidence, ran: Ran, terms: Terms, finished_at: str) -> Facts:
    """What the certificate states: of the histories what they say, of the run what was handed over."""
    histories = evidence.histories
    return Facts(
        seed=ran.seed,
        commit=ran.code.commit,
        code_digest=ran.code.code_digest,
        release=release(),
        settings={"figures": dict(LIMITS), "scenarios": {n: h.header.settings for n, h in histories.items()}},
        environment=environment(ran.versions, toxiproxies(histories)),
        histories=evidence.files,
        started_at=ran.started_at,
        finished_at=finished_at,
        sabotage=ran.sabotage,
        problems=ran.problems,
        allowed_unknown=terms.allowed_unknown,
        partial=terms.partial,
        waivers=terms.waivers,
        sabotages=ran.sabotages,
        loads=ran.loads,
        stories=ran.stories,
        faults=fault_table(histories),
    )


def toxiproxies(histories: Mapping[str, History]) -> str:
    """Which Toxiproxy ran: the real one or the embedded one, as each world found it."""
    said = (history.header.versions.get("toxiproxy") for history in histories.values())
    return ", ".join(sorted({str(kind) for kind in said if kind})) or "none"


def clear(out: Path) -> None:
    """Make the directory ready for a new run: an earlier certificate and its histories go."""
    _clear_written(out)
    for folder in (HISTORIES, SESSIONS):
        shutil.rmtree(out / folder, ignore_errors=True)
    (out / HISTORIES).mkdir(parents=True)


def _clear_written(out: Path) -> None:
    for name in WRITTEN - {HISTORIES, SESSIONS}:
        (out / name).unlink(missing_ok=True)


def foreign(out: Path) -> list[str]:
    """What lies in the directory and is no part of a certificate: it would be vouched for with the rest."""
    return sorted(path.name for path in out.iterdir() if path.name not in WRITTEN) if out.is_dir() else []


def utc() -> str:
    """Now, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
