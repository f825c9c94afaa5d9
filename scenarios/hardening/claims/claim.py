"""A claim: one promise about behaviour under a fault, and the judge that decides it from a history.

``@claim(ID, TITLE, premise=..., shown_by=...)`` turns a pure function from a history to a verdict into a ``Claim``; the
first line of its docstring is the promise. Calling the claim judges a history. Three answers are common to all claims
and given here: UNKNOWN when the judge crashes, UNKNOWN when lines of a log that the judge counts on were lost, and
UNKNOWN instead of PASS when the history holds no event of a kind that the claim needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from hardening.claims.verdict import Outcome, Verdict, unknown
from hardening.claims.views import has_gaps
from hardening.history.events import History

Judge = Callable[[History], Verdict]


@dataclass(frozen=True, slots=True)
class Claim:
    """One promise.

    Attributes:
        id: such as ``C2.1``.
        title: a few words.
        promise: what holds, under which fault.
        premise: what must have occurred in a history for the claim to have been exercised.
        shown_by: the scenarios that exercise it by design; others may as well.
        needs: kinds of event (``f``) without which it cannot pass.
        limits: dotted names of the limits that its judge reads, or of groups of them.
        whole_log: the judge pairs or counts what the service logs, so a lost line would look like a broken promise.
        judge: decides it.
    """

    id: str
    title: str
    promise: str
    premise: str
    shown_by: tuple[str, ...]
    needs: tuple[str, ...]
    limits: tuple[str, ...]
    whole_log: bool
    judge: Judge

    @property
    def component(self) -> str:
        """Such as ``C2``."""
        return self.id.partition(".")[0]

    def __call__(self, history: History, name: str = "") -> Verdict:
        """The verdict on a history of that name."""
        try:
            verdict = self._judged(history)
        except Exception as error:  # noqa: BLE001 - by contract: a judge that crashes is UNKNOWN
            verdict = unknown(f"the judge crashed: {type(error).__name__}: {error}")
        return dataclasses.replace(verdict, claim=self.id, history=name)

    def _judged(self, history: History) -> Verdict:
        if self.whole_log and has_gaps(history):
            return unknown("lines of the service's log were lost: its events have gaps")
        verdict = self.judge(history)
        missing = [f for f in self.needs if not history.has(f)]
        if verdict.outcome is Outcome.PASS and missing:
            return unknown(f"no event of kind {', '.join(missing)}")
        return verdict


def claim(
    ident: str,
    title: str,
    *,
    premise: str,
    shown_by: tuple[str, ...],
    needs: tuple[str, ...] = (),
    limits: tuple[str, ...] = (),
    whole_log: bool = False,
) -> Callable[[Judge], Claim]:
    """Make a claim of the judge below; see ``Claim`` for the arguments."""

    def decorate(judge: Judge) -> Claim:
        promise = (judge.__doc__ or "").partition("\n")[0]
        return Claim(ident, title, promise, premise, shown_by, needs, limits, whole_log, judge)

    return decorate
