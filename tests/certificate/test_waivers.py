"""Waivers: what a file of them may say, and until when they count."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from certificate_facts import FAIL, PASS

from hardening.certificate.waivers import WaiverError, parse_waivers, state_of

GOOD = """
[[waiver]]
claim = "C1.2"
owner = "ann@example.org"
reason = "the vendor fixes it"
expiry = 2026-12-31
"""


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_day_may_be_written_as_toml_or_as_text() -> None:
    assert parse_waivers(GOOD) == parse_waivers(changed("2026-12-31", '"2026-12-31"'))
    assert parse_waivers("") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[waiver]", "waivers: not TOML"),
        (changed("[[waiver]]", "[[wavier]]"), "'wavier' stands at the top, allowed: [[waiver]]"),
        ("waiver = 3", "'waiver' stands at the top, allowed: [[waiver]]"),
        ("waiver = [3]", "waiver 1 is 3, allowed: a table of claim, owner, reason, expiry"),
        (changed("C1.2", "C9.9"), "waiver 1: claim is 'C9.9', allowed: claim ids such as C2.1"),
        (changed("ann@example.org", " "), "waiver 1: owner is ' ', allowed: a text that is not empty"),
        (changed('"the vendor fixes it"', "3"), "waiver 1: reason is 3, allowed: a text that is not empty"),
        (changed("expiry = 2026-12-31", ""), "waiver 1 lacks expiry"),
        (changed("expiry = 2026-12-31", 'expiry = "soon"'), "waiver 1: expiry is 'soon', allowed: a day such as"),
        (changed("2026-12-31", "2026-12-31T10:00:00Z"), "waiver 1: expiry is datetime"),
        (changed("2026-12-31", "9999-12-31"), "waiver 1: expiry is 9999-12-31"),
        (changed("owner", "ower"), "waiver 1: field 'ower', allowed: claim, owner, reason, expiry"),
        (GOOD + GOOD, "waiver 2: claim is 'C1.2', allowed: each claim once"),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_the_entry_the_field_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(WaiverError) as refused:
        parse_waivers(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_waiver_counts_through_its_last_day_and_not_a_second_longer() -> None:
    waiver = parse_waivers(GOOD)[0]
    assert state_of(waiver, [FAIL], datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)) == "used"
    assert state_of(waiver, [FAIL], datetime(2027, 1, 1, tzinfo=UTC)) == "expired"


def test_a_waiver_whose_claim_passes_or_was_not_judged_is_unused() -> None:
    waiver = parse_waivers(changed("C1.2", "C1.1"))[0]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert state_of(waiver, [PASS], now) == state_of(waiver, [FAIL], now) == "unused"
