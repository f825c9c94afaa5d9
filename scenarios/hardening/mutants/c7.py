"""Mutants of C7: preflight, the gate, verification of a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardening.mutants.mutant import breaks, put
from signal_service.config.settings import Settings

if TYPE_CHECKING:  # the other mutants run in processes that need no certificate
    from hardening.certificate.verify import Report, Verification
    from hardening.claims.verdict import Exit


@breaks("C7.1", shown_by="gate", world="live")
def gate_lets_unknown_through() -> None:
    """UNKNOWN counts as passed: exit 0 for exit 3."""
    from hardening.certificate.verify import Report  # noqa: PLC0415 - see above
    from hardening.claims.verdict import Exit  # noqa: PLC0415

    sound = Report.gate_exit

    def lenient(report: Report) -> Exit:
        code = sound(report)
        return Exit.OK if code is Exit.UNKNOWN else code

    put(Report, "gate_exit", lenient)


def _believed(self: Verification) -> str:
    self.report.result = self.predicate["result"]
    self.report.certified_exit = self.predicate["exit_code"]
    return "believed"


@breaks("C7.1", shown_by="gate", world="live")
def gate_believes_the_file() -> None:
    """The gate acts on the stated result, whether or not the certificate verifies."""
    from hardening.certificate.verify import Report, Verification  # noqa: PLC0415 - see above
    from hardening.claims.verdict import Exit  # noqa: PLC0415

    put(Report, "gate_exit", lambda report: Exit(report.certified_exit))
    put(Verification, "verdicts", _believed)


@breaks("C7.1", shown_by="gate", world="live")
def gate_takes_its_terms_from_the_certificate() -> None:
    """Waivers and allowances that stand in the certificate count at the gate."""
    from hardening.certificate.policy import Policy  # noqa: PLC0415 - see above

    put(Policy, "facts", lambda self, stated, now: stated)


@breaks("C7.2", shown_by="deployment", world="live")
def preflight_sees_no_danger() -> None:
    """Preflight reports no danger: default secrets, debug, wildcard CORS pass."""
    put(Settings, "dangers", lambda self: [])


@breaks("C7.3", shown_by="gate", world="live")
def verdicts_not_rejudged() -> None:
    """Verification compares digests only, which an editor of a certificate can recompute."""
    from hardening.certificate.verify import Verification  # noqa: PLC0415 - see above

    put(Verification, "verdicts", _believed)


@breaks("C7.3", shown_by="gate", world="live")
def digests_not_checked() -> None:
    """Verification judges the histories but compares no digest."""
    from hardening.certificate.verify import Verification  # noqa: PLC0415 - see above

    put(Verification, "digest", lambda self: "believed")
    put(Verification, "files", lambda self: "believed")
