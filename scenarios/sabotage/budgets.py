"""Broken budgets: each function patches ``service`` with one realistic mistake."""

from __future__ import annotations

from scenarios.sabotage.patching import put
from service.admission.budgets import Permit, Why
from service.admission.rate_window import RateWindow


def no_rate_limit() -> None:
    """The window is asked and never says no."""

    def record(self: RateWindow, now: float) -> int:
        self._times.append(now)
        return len(self._times)

    put(RateWindow, "wait_s", lambda self, now: 0.0)
    put(RateWindow, "record", record)


def permit_kept_on_cancellation() -> None:
    """The permit comes back after an answer, and not after a client that hung up: a missing ``finally``."""
    give_back = Permit.give_back

    def forgetful(self: Permit, why: Why) -> None:
        if why not in {"cancelled", "disconnect"}:
            give_back(self, why)

    put(Permit, "give_back", forgetful)
