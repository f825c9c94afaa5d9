"""Verifies a stored certificate: sizes, digests, signature, and everything in it made again from the stored histories.

In come its directory and what is demanded of it, out comes a ``Report``; nothing is run, and nothing is raised for
what the files say. The verdicts are judged again, the whole predicate and every report are made again from them and
compared, so a verdict, a count or a result cannot be edited, not even with all digests recomputed. What the run only
states of itself (its seed, its commit, its machine) and the histories are believed: who made them is proven by a
signature and by nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hardening.certificate.conclude import CERTIFICATE_FILE, SIGNED_FILE, Evidence, Ran, Terms, facts_of, toxiproxies
from hardening.certificate.differences import first_difference
from hardening.certificate.manifest import (
    ENVELOPE_FILE,
    MANIFEST_FILE,
    ManifestError,
    check_digest,
    check_files,
    check_sizes,
)
from hardening.certificate.policy import Policy
from hardening.certificate.provenance import Provenance
from hardening.certificate.reports.every_report import as_text, every_report
from hardening.certificate.signing import IN_TOTO, MANIFEST, EnvelopeError, check, key_id, opened
from hardening.certificate.statement import PREDICATE_TYPE, STATEMENT_TYPE, Facts, Story, statement
from hardening.certificate.waivers import waivers_of
from hardening.claims.claims import judge_all
from hardening.claims.verdict import Exit, Result, Verdict

CLOCKS_APART_MAX = timedelta(minutes=5)
SAID_CHARS_MAX = 600
UNSIGNED = "there is no signature: who made this certificate is unproven"


class NotHeldError(Exception):
    """One check that does not hold; the message says what was found."""


@dataclass(frozen=True, slots=True)
class Demands:
    """What is asked of a certificate beside being intact.

    Attributes:
        now: the moment at which it is to be valid, UTC.
        release: the release at hand; a certificate is for one release.
        code_digest: of the code at hand.
        key: it must be signed by this key.
        digest: it must be the directory with this digest of the whole.
        require_passed: only PASSED will do.
        about: it must be about the code with this digest; empty: about any.
        policy: the terms of a gate; without them the result is the certificate's own.
    """

    now: datetime
    release: str
    code_digest: str
    key: Ed25519PublicKey | None = None
    digest: str = ""
    require_passed: bool = False
    about: str = ""
    policy: Policy | None = None

    def at_a_gate(self, policy: Policy) -> Demands:
        """The same under the terms of a gate."""
        return replace(self, policy=policy)


@dataclass(slots=True)
class Report:
    """The checks in their order with what each found, and the first that did not hold."""

    checks: list[tuple[str, str]] = field(default_factory=list)
    first: str = ""
    broken: str = ""
    notes: list[str] = field(default_factory=list)
    result: str = ""
    certified_exit: int = int(Exit.FAILED)
    broken_gates: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    digest: str = ""

    @property
    def intact(self) -> bool:
        """True when every check held."""
        return not self.first

    def gate_exit(self) -> Exit:
        """The exit code of the gate: not intact is a failure, else what came of the gate's terms."""
        return Exit(self.certified_exit) if self.intact else Exit.FAILED

    def to_json(self) -> dict[str, Any]:
        """For machines; ``first`` names the first check that did not hold and what it found."""
        return {
            "intact": self.intact,
            "result": self.result,
            "exit_code": self.certified_exit,
            "broken_gates": self.broken_gates,
            "warnings": self.warnings,
            "digest": self.digest,
            "first": f"{self.first}: {self.broken}" if self.first else "",
            "checks": [{"check": name, "held": True, "said": said} for name, said in self.checks]
            + ([{"check": self.first, "held": False, "said": self.broken}] if self.first else []),
            "notes": self.notes,
        }


def verify(directory: Path, demands: Demands) -> Report:
    """Check a certificate's directory; stops at the first thing that does not hold, and names it."""
    report = Report()
    work = Verification(directory, demands, report)
    for name, step in work.steps():
        try:
            report.checks.append((name, _printable(step())))
        except NotHeldError as broken:
            report.first, report.broken = name, _printable(str(broken))
        except (KeyError, TypeError, ValueError, AttributeError, OSError, OverflowError, RecursionError) as error:
            # The author of the files chooses what fails to be read here: what cannot be read does not hold.
            report.first, report.broken = name, _printable(f"it cannot be read: {type(error).__name__}: {error}")
        if report.first:
            break
    report.notes = [_printable(note) for note in report.notes]
    return report


def _printable(text: str) -> str:
    """One line that does nothing to a terminal: names and values in it may be a stranger's."""
    shown = "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
    return shown if len(shown) <= SAID_CHARS_MAX else f"{shown[:SAID_CHARS_MAX]}..."


class Verification:
    """The checks, each a method that says what it found or raises ``NotHeldError``."""

    def __init__(self, directory: Path, demands: Demands, report: Report) -> None:
        self.directory = directory
        self.demands = demands
        self.report = report
        self.text = ""
        self.certificate: dict[str, Any] = {}
        self.evidence = Evidence({}, [])

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """The checks by name, in their order: each relies on those before it."""
        return [
            ("sizes", self.sizes),
            ("digest", self.digest),
            ("files", self.files),
            ("form", self.form),
            ("signature", self.signature),
            ("histories", self.histories),
            ("verdicts", self.verdicts),
            ("reports", self.reports),
            ("expiry", self.expiry),
            ("code", self.code),
            ("result", self.result),
        ]

    @property
    def predicate(self) -> Mapping[str, Any]:
        """The certificate's predicate."""
        found: Mapping[str, Any] = self.certificate["predicate"]
        return found

    def sizes(self) -> str:
        """There is no more to read than may be read."""
        try:
            return check_sizes(self.directory)
        except ManifestError as error:
            raise NotHeldError(str(error)) from None

    def digest(self) -> str:
        """The digest of the whole is the one that is stored."""
        try:
            self.report.digest = check_digest(self.directory)
        except ManifestError as error:
            raise NotHeldError(str(error)) from None
        if self.demands.digest not in {"", self.report.digest}:
            raise NotHeldError(f"the digest of the whole is {self.report.digest}, not {self.demands.digest}")
        return self.report.digest

    def files(self) -> str:
        """Every file is as the manifest says, and there is no other."""
        try:
            manifest = check_files(self.directory)
        except ManifestError as error:
            raise NotHeldError(str(error)) from None
        if bool(manifest["key_id"]) != (SIGNED_FILE in manifest["files"]):
            raise NotHeldError(f"{SIGNED_FILE} and {MANIFEST_FILE} do not agree on whether there is a signature")
        return f"{len(manifest['files'])} files are what the manifest says"

    def form(self) -> str:
        """It is a Statement with our predicate, written as this project writes it."""
        self.text = (self.directory / CERTIFICATE_FILE).read_bytes().decode()
        found = json.loads(self.text)
        kinds = (found["_type"], found["predicateType"], type(found["predicate"]))
        if kinds != (STATEMENT_TYPE, PREDICATE_TYPE, dict):
            raise NotHeldError(f"{CERTIFICATE_FILE} is a {kinds[0]} about {kinds[1]}, not {PREDICATE_TYPE}")
        if as_text(found) != self.text:
            raise NotHeldError(f"{CERTIFICATE_FILE} is not written as certificates are: a field twice, or other spaces")
        self.certificate = found
        return PREDICATE_TYPE

    def signature(self) -> str:
        """The given key signed the certificate and the manifest; without a key, what is there is around these files."""
        if not (self.directory / SIGNED_FILE).is_file():
            if self.demands.key:
                raise NotHeldError(f"{UNSIGNED}, and key {key_id(self.demands.key)} was asked for")
            self.report.notes.append(UNSIGNED)
            return UNSIGNED
        manifest = (self.directory / MANIFEST_FILE).read_bytes()
        signed = ((SIGNED_FILE, IN_TOTO, self.text.encode()), (ENVELOPE_FILE, MANIFEST, manifest))
        names: set[str] = set()
        for file, kind, payload in signed:
            envelope = (self.directory / file).read_text(encoding="utf-8", errors="replace")
            try:
                names |= {name for name, _ in opened(envelope, kind, payload)}
                if self.demands.key:
                    check(envelope, kind, payload, self.demands.key)
            except EnvelopeError as error:
                raise NotHeldError(f"{file}: {error}") from None
        if self.demands.key:
            return f"signed by key {key_id(self.demands.key)}"
        said = f"it says that key {', '.join(sorted(names))} signed it; that was not checked, --key does"
        self.report.notes.append(said)
        return said

    def histories(self) -> str:
        """The stored histories are readable, and the ones that the certificate speaks of."""
        self.evidence = Evidence.load(self.directory)
        stated = {history["path"]: history["digest"] for history in self.predicate["histories"]}
        for file in self.evidence.files:
            if stated.pop(file.path, None) != file.digest:
                raise NotHeldError(f"{file.path} is not what the certificate was made from")
        if stated:
            raise NotHeldError(f"{min(stated)} is missing, the certificate was made from it")
        return f"{len(self.evidence.files)} histories"

    def verdicts(self) -> str:
        """Judged again, the histories give this very certificate."""
        verdicts, facts = self.judged_again()
        difference = first_difference(self.certificate, json.loads(as_text(statement(verdicts, facts))))
        if difference:
            other = self.predicate.get("code_digest") != self.demands.code_digest
            raise NotHeldError(f"{difference} (other code made it than judges here)" if other else difference)
        policy = self.demands.policy or Policy(tuple(facts.waivers), facts.allowed_unknown)
        at = self.demands.now if self.demands.policy else datetime.fromisoformat(facts.finished_at)
        decided = policy.decide(verdicts, facts, at)
        self.report.result, self.report.certified_exit = str(decided.result), int(decided.exit_code)
        self.report.broken_gates, self.report.warnings = list(decided.broken_gates), list(decided.warnings)
        self.report.notes += policy.ignored(facts)
        counts = ", ".join(f"{number} {verdict}" for verdict, number in self.predicate["counts"].items())
        return f"judged again: {counts}"

    def judged_again(self) -> tuple[list[Verdict], Facts]:
        """Verdicts and facts as they follow from the histories and from what the run states of itself."""
        stated = self.predicate
        claims = [claim["id"] for claim in stated["claims"]]
        facts = replace(
            facts_of(self.evidence, _ran(stated), _terms(stated), stated["finished_at"]),
            release=stated["release"],
            environment={**stated["environment"], "toxiproxy": toxiproxies(self.evidence.histories)},
            since=stated["since"],
        )
        return judge_all(self.evidence.histories, claims or None), facts

    def reports(self) -> str:
        """Made again from the certificate, the reports are the files beside it."""
        same_code = self.predicate["code_digest"] == self.demands.code_digest
        made = every_report(self.certificate, self.evidence.histories)
        for name, text in made.items():
            path = self.directory / name
            if path.is_file() and path.read_bytes() == text.encode():
                continue
            said = f"{name} is not what follows from the certificate"
            if same_code or not path.is_file():
                raise NotHeldError(said)
            self.report.notes.append(f"{said}, as this code writes it; other code made the certificate")
        return f"{len(made)} reports follow from the certificate"

    def expiry(self) -> str:
        """It is still valid, for this release, and not from the future."""
        finished = datetime.fromisoformat(self.predicate["finished_at"])
        expires = datetime.fromisoformat(self.predicate["expires_at"])
        if self.demands.policy:
            expires = min(expires, finished + self.demands.policy.max_age)
        if finished > self.demands.now + CLOCKS_APART_MAX:
            raise NotHeldError(f"it says that it was finished at {finished.isoformat()}, which is yet to come")
        if self.demands.now >= expires:
            raise NotHeldError(f"it expired at {expires.isoformat()}")
        if self.predicate["release"] != self.demands.release:
            made_for, here = self.predicate["release"], self.demands.release
            raise NotHeldError(f"it was made for release {made_for}, and this is release {here}")
        return f"valid until {expires.isoformat()}, for release {self.demands.release}"

    def code(self) -> str:
        """It is about the code that is asked for, where any is; else whether it is about the code here."""
        stated, asked = self.predicate["code_digest"], self.demands.about
        if asked and stated != asked:
            raise NotHeldError(f"it is about other code ({stated}) than was asked for ({asked})")
        if stated == self.demands.code_digest:
            return "it is about the code installed here"
        said = f"it is about other code ({stated}) than is installed here ({self.demands.code_digest})"
        self.report.notes.append(said)
        return said

    def result(self) -> str:
        """PASSED, where that is demanded; at a gate a FAILED has its own exit code, and only WARNED is refused here."""
        enough = {Result.PASSED, Result.FAILED} if self.demands.policy else {Result.PASSED}
        if self.demands.require_passed and self.report.result not in enough:
            why = f" ({'; '.join(self.report.warnings)})" if self.report.warnings else ""
            raise NotHeldError(f"the result is {self.report.result}{why}, and PASSED was asked for")
        return self.report.result


def _ran(stated: Mapping[str, Any]) -> Ran:
    where = stated["environment"]
    return Ran(
        code=Provenance(stated["code_digest"], stated["commit"]),
        started_at=stated["started_at"],
        versions={"python": where["python"], "redis_server": where["redis_server"], **where["libraries"]},
        seed=stated["seed"],
        sabotage=stated["sabotage_applied"],
        problems=stated["problems"],
        sabotages=stated["sabotage"],
        loads=stated["load"],
        stories=[Story(**story) for story in stated["stories"]],
    )


def _terms(stated: Mapping[str, Any]) -> Terms:
    entries = [{name: value for name, value in waiver.items() if name != "state"} for waiver in stated["waivers"]]
    return Terms(
        allowed_unknown=frozenset(stated["allowed_unknown"]),
        partial=stated["partial"],
        waivers=waivers_of(entries),
    )
