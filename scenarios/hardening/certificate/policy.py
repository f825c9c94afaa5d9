"""The terms of a gate: its caller sets them, the certificate that it judges never does.

In come verdicts and facts of a verified certificate, and the moment of the decision (UTC); out comes a ``Decision``.
A waiver or an allowance that a certificate brings along counts for nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hardening.certificate.statement import VALID_FOR, Facts, tally_of
from hardening.certificate.waivers import Waiver
from hardening.claims.claims import CLAIMS
from hardening.claims.verdict import Exit, Result, Verdict, gates_of, result_of, warnings_of


@dataclass(frozen=True, slots=True)
class Decision:
    """What the *Result* table makes of verdicts and facts: result, exit code, gates not held, why it is WARNED."""

    result: Result
    exit_code: Exit
    broken_gates: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """The terms of a gate.

    Attributes:
        waivers: claims that are excused here.
        allowed_unknown: claims that may be UNKNOWN here.
        claims: claims that must have been judged; empty means all.
        max_age: a certificate older than this has expired, whatever it says.
    """

    waivers: tuple[Waiver, ...] = ()
    allowed_unknown: frozenset[str] = frozenset()
    claims: frozenset[str] = frozenset()
    max_age: timedelta = VALID_FOR

    def facts(self, stated: Facts, now: datetime) -> Facts:
        """The facts of a certificate under these terms, as of now."""
        at = now.isoformat(timespec="seconds")
        return replace(stated, waivers=self.waivers, allowed_unknown=self.allowed_unknown, finished_at=at)

    def decide(self, verdicts: Sequence[Verdict], stated: Facts, now: datetime) -> Decision:
        """Result and exit code of a certificate under these terms."""
        facts = self.facts(stated, now)
        judged = {verdict.claim for verdict in verdicts}
        subset = facts.partial or not (self.claims or CLAIMS.keys()) <= judged
        tally = replace(tally_of(verdicts, facts), subset=subset)
        result, code = result_of(verdicts, tally)
        broken = tuple(str(gate.to_json()["said"]) for gate in gates_of(verdicts, tally) if gate.broken_by)
        return Decision(result, code, broken, warnings_of(verdicts, tally))

    def ignored(self, stated: Facts) -> list[str]:
        """A note for each term that the certificate brings along and that does not count here."""
        own = {waiver.claim for waiver in stated.waivers} - {waiver.claim for waiver in self.waivers}
        allowed = stated.allowed_unknown - self.allowed_unknown
        said = {"waives": sorted(own), "allows to be unknown": sorted(allowed)}
        return [
            f"the certificate itself {what} {', '.join(claims)}: that counts for nothing here"
            for what, claims in said.items()
            if claims
        ]
