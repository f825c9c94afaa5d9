"""Broken gates and verifications: what they would let through."""

from __future__ import annotations

from hardening.certificate.verify import Report, Verification
from hardening.claims.verdict import Exit
from hardening.mutants.patching import put


def gate_lets_unknown_through() -> None:
    """What nobody has shown counts as shown: exit 3 is taken for 0."""
    sound = Report.gate_exit

    def lenient(report: Report) -> Exit:
        code = sound(report)
        return Exit.OK if code is Exit.UNKNOWN else code

    put(Report, "gate_exit", lenient)


def gate_believes_the_file() -> None:
    """The gate acts on the result that it reads, whether or not the certificate holds."""
    put(Report, "gate_exit", lambda report: Exit(report.certified_exit))
    put(Verification, "verdicts", _believed)


def verdicts_not_judged_anew() -> None:
    """Verification compares digests, which whoever edits a certificate computes as well."""
    put(Verification, "verdicts", _believed)


def digests_not_checked() -> None:
    """Verification judges the histories again and takes every file as it lies there."""
    put(Verification, "digest", lambda self: "believed")
    put(Verification, "files", lambda self: "believed")


def _believed(self: Verification) -> str:
    self.report.result = self.predicate["result"]
    self.report.certified_exit = self.predicate["exit_code"]
    return "believed"
