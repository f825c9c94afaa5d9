"""Small certificates to try a gate and a verification on, made from histories that are written here, not recorded.

In come a ``Sample`` and the code it is said to be about, out comes a certificate's directory. Each is made by the very
code that makes real ones (``hardening.certificate.conclude``), about the one claim whose history is short: C7.2, of
misconfigured deployments. So each states WARNED at best; it is PASSED at a gate that asks for this claim alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hardening.certificate.conclude import CERTIFICATE_FILE, HISTORIES, Evidence, Ran, Terms, clear, conclude, seal
from hardening.certificate.provenance import Provenance
from hardening.certificate.reports.every_report import as_text, every_report
from hardening.certificate.statement import VALID_FOR, HistoryFile
from hardening.certificate.waivers import Waiver
from hardening.claims.c7_deployment import MISCONFIGURED
from hardening.claims.claims import CLAIMS
from hardening.history.events import Header, History, Recorder, digest_of

CLAIM = "C7.2"


@dataclass(frozen=True, slots=True)
class Sample:
    """How one certificate is made.

    Attributes:
        let_through: the misconfiguration that preflight let through.
        untried: the one that was never tried.
        expired: it ended too long ago.
        excuses: it brings its own excuse along: ``waiver`` or ``allowance``.
    """

    let_through: str = ""
    untried: str = ""
    expired: bool = False
    excuses: Literal["", "waiver", "allowance"] = ""


SAMPLES = {
    "passing": Sample(),
    "failing": Sample(let_through="debug"),
    "unknown": Sample(untried="debug"),
    "expired": Sample(expired=True),
    "waives_itself": Sample(let_through="debug", excuses="waiver"),
    "allows_itself": Sample(untried="debug", excuses="allowance"),
}


def deployments(seed: int, commit: str, *, let_through: str = "", untried: str = "") -> History:
    """A history of preflight checks: one sound deployment, and each misconfiguration."""
    header = Header("live", {}, digest_of({}), seed, commit, (), {}, "2026-01-01T00:00:00+00:00", "deployment")
    recorder = Recorder(header)
    cases = [case for case in ("sound", *MISCONFIGURED) if case != untried]
    for number, case in enumerate(cases):
        faults = {"sound": 0, "two_faults": 2}.get(case, 1)
        found = 0 if case == let_through else faults
        lines = [f"{case}: refused" for _ in range(found)]
        probe = {"probe": "preflight", "case": case, "exit_code": int(found > 0), "lines": lines, "faults": faults}
        recorder.add(0.1 * number, "harness", "state", "probe", probe)
    return recorder.history()


def make(
    sample: Sample, out: Path, code: Provenance, now: datetime, *, seed: int = 0, key: Ed25519PrivateKey | None = None
) -> dict[str, Any]:
    """Write one certificate and all that goes with it into ``out``; returns it.

    Args:
        sample: which.
        out: its directory.
        code: what it is said to be about.
        now: when it is to be valid (or, for an expired one, not any more), UTC.
        seed: stands in its history.
        key: signs it.
    """
    clear(out)
    history = deployments(seed, code.commit, let_through=sample.let_through, untried=sample.untried)
    history.write(out / HISTORIES / "deployment.jsonl")
    ended = now - (VALID_FOR if sample.expired else timedelta())
    ran = Ran(code=code, started_at=ended.isoformat(timespec="seconds"), versions={}, seed=seed)
    waiver = Waiver(CLAIM, "nobody", "says the certificate itself", (now + timedelta(days=20)).date())
    terms = Terms(
        allowed_unknown=frozenset(CLAIMS if sample.excuses == "allowance" else ()),
        waivers=(waiver,) if sample.excuses == "waiver" else (),
        claims=(CLAIM,),
        sign_key=key,
    )
    return dict(conclude(out, ran, terms, finished_at=ended.isoformat(timespec="seconds")).certificate)


def forge(out: Path, code: Provenance, now: datetime, *, seed: int = 0) -> None:
    """A failing run presented as a passing one, with every digest and every report recomputed.

    Only judging the history shows it: the certificate states what it would have to state of a passing one.
    """
    certificate = make(SAMPLES["passing"], out, code, now, seed=seed)
    guilty = deployments(seed, code.commit, let_through=SAMPLES["failing"].let_through)
    path = out / HISTORIES / "deployment.jsonl"
    guilty.write(path)
    entry = HistoryFile.of(path.stem, f"{HISTORIES}/{path.name}", path.read_bytes(), guilty)
    certificate["predicate"]["histories"] = [asdict(entry)]
    text = as_text(certificate)
    (out / CERTIFICATE_FILE).write_text(text, encoding="utf-8")
    for name, content in every_report(json.loads(text), Evidence.load(out).histories).items():
        (out / name).write_text(content, encoding="utf-8")
    seal(out, None)
