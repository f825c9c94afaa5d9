"""Every sabotage that is shipped: what it breaks, which claim must turn red, which scenario shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One deliberate break.

    Attributes:
        name: its name, and that of its function.
        file: file beside this one.
        claim: the claim that must turn red.
        scenario: the live scenario in which it shows.
    """

    name: str
    file: str
    claim: str
    scenario: str

    @property
    def reference(self) -> str:
        """``FILE.py:NAME`` for ``--sabotage``."""
        return f"{Path(__file__).with_name(self.file)}:{self.name}"


SABOTAGES: Mapping[str, Sabotage] = MappingProxyType(
    {
        one.name: one
        for one in (
            Sabotage("no_rate_limit", "budgets.py", "C2.2", "burst"),
            Sabotage("permit_kept_on_cancellation", "budgets.py", "C2.1", "cancelled-herd"),
            Sabotage("no_lock_per_key", "cache.py", "C5.1", "cancelled-herd"),
            Sabotage("exception_texts_unredacted", "security.py", "C4.1", "secrets"),
            Sabotage("redaction_backtracks", "security.py", "C4.3", "hostile-lines"),
            Sabotage("half_open_lets_all_through", "clients.py", "C1.2", "ticker-outage"),
            Sabotage("reload_mutates_in_place", "operations.py", "C6.3", "signals"),
        )
    }
)
