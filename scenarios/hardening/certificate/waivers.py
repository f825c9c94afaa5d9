"""Waivers: a named owner answers for a claim that does not hold, for a reason and until a day (UTC).

In comes TOML or mappings, out come ``Waiver``s; ``WaiverError`` names the entry, the field and what is allowed.

A waiver never turns anything into a pass: it lets the result be WARNED where it would have been FAILED. One that has
expired is a failure of its own, whether or not its claim holds, so that no list of forgotten excuses builds up.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hardening.claims.claims import CLAIMS
from hardening.claims.verdict import Outcome, Verdict

FIELDS = ("claim", "owner", "reason", "expiry")


class WaiverError(ValueError):
    """A file of waivers that cannot be; the message names the entry, the field, the value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """One claim excused.

    Attributes:
        claim: its id.
        owner: who answers for it.
        reason: why it may be so for now.
        expiry: the last day on which it counts, in UTC.
    """

    claim: str
    owner: str
    reason: str
    expiry: date

    @property
    def ends_at(self) -> datetime:
        """The first moment at which it counts no more."""
        return datetime.combine(self.expiry + timedelta(days=1), time(), UTC)

    def to_json(self) -> dict[str, str]:
        """The four fields as text."""
        return {"claim": self.claim, "owner": self.owner, "reason": self.reason, "expiry": self.expiry.isoformat()}


def parse_waivers(text: str) -> tuple[Waiver, ...]:
    """The ``[[waiver]]`` tables of ``waivers.toml``, in their order.

    Raises:
        WaiverError: for the first thing that is wrong.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WaiverError(f"waivers: not TOML: {error}") from None
    foreign = sorted(set(data) - {"waiver"})
    entries = data.get("waiver", [])
    if foreign or not isinstance(entries, list):
        raise WaiverError(f"waivers: {foreign[0] if foreign else 'waiver'!r} stands at the top, allowed: [[waiver]]")
    return waivers_of(entries)


def waivers_of(entries: Iterable[object]) -> tuple[Waiver, ...]:
    """Waivers from mappings of the four fields, each claim once.

    Raises:
        WaiverError: naming the entry (from 1), the field, its value and what is allowed.
    """
    found: dict[str, Waiver] = {}
    for number, entry in enumerate(entries, start=1):
        waiver = _waiver(entry, f"waiver {number}")
        if waiver.claim in found:
            raise WaiverError(f"waiver {number}: claim is {waiver.claim!r}, allowed: each claim once")
        found[waiver.claim] = waiver
    return tuple(found.values())


def _waiver(entry: object, where: str) -> Waiver:
    if not isinstance(entry, Mapping):
        raise WaiverError(f"{where} is {entry!r}, allowed: a table of {', '.join(FIELDS)}")
    for name in [*entry, *FIELDS]:
        if name not in FIELDS:
            raise WaiverError(f"{where}: field {name!r}, allowed: {', '.join(FIELDS)}")
        if name not in entry:
            raise WaiverError(f"{where} lacks {name}, needed: {', '.join(FIELDS)}")
    if entry["claim"] not in CLAIMS:
        raise WaiverError(f"{where}: claim is {entry['claim']!r}, allowed: claim ids such as C2.1")
    for name in ("owner", "reason"):
        if not isinstance(entry[name], str) or not entry[name].strip():
            raise WaiverError(f"{where}: {name} is {entry[name]!r}, allowed: a text that is not empty")
    return Waiver(entry["claim"], entry["owner"].strip(), entry["reason"].strip(), _day(entry["expiry"], where))


def _day(value: Any, where: str) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        found = value
    else:
        try:
            found = date.fromisoformat(value)
        except (TypeError, ValueError):
            raise WaiverError(f"{where}: expiry is {value!r}, allowed: a day such as 2026-12-31") from None
    if found == date.max:
        raise WaiverError(f"{where}: expiry is {found}, allowed: a day that has a next one")
    return found


def state_of(waiver: Waiver, verdicts: Iterable[Verdict], now: datetime) -> str:
    """``expired``, ``used`` (its claim was judged and does not pass) or ``unused``."""
    if now >= waiver.ends_at:
        return "expired"
    excused = any(v.claim == waiver.claim and v.outcome is not Outcome.PASS for v in verdicts)
    return "used" if excused else "unused"
