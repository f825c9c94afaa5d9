"""Budgets are checked field by field, in one line that names the field, the value and what is allowed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hardening.load import budgets
from hardening.load.budgets import BOUNDS, BUDGETS, DEFAULTS, BudgetError
from hardening.load.shapes import SHAPES


def test_the_defaults_are_the_figures_of_the_claims_and_are_complete() -> None:
    found = budgets.load()
    assert found.get("rate.accepted_max") == 300
    assert found.get("rate.accepted_overload_min") == 285
    assert found.get("in_flight.in_flight_max") == 50
    assert found.get("memory.rss_mb_max") == 512
    assert {section: set(fields) for section, fields in found.figures.items()} == {
        section: set(fields) for section, fields in BOUNDS.items()
    }
    assert set(found.required) == set(SHAPES)
    assert {name for names in found.required.values() for name in names} <= set(BUDGETS)


def test_budgets_are_reported_in_the_order_of_the_defaults() -> None:
    sections = list(dict.fromkeys(name.partition(".")[0] for name in BUDGETS))
    assert sections == [name for name in tomllib.loads(DEFAULTS.read_text()) if name != "required"]


def test_a_file_is_laid_over_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text("[latency.signal]\np99_ms_max = 42.5\n[required]\nsteady = []\n", encoding="utf-8")
    found = budgets.load(path)
    assert found.get("latency.signal.p99_ms_max") == 42.5
    assert found.get("latency.signal.p50_ms_max") == budgets.load().get("latency.signal.p50_ms_max")
    assert found.required["steady"] == ()
    assert found.required["burst"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rate]\naccepted_max = -5", r"budgets\.rate\.accepted_max is -5, allowed: a number from 1"),
        ("[rate]\naccepted_max = true", r"budgets\.rate\.accepted_max is True, allowed: a number"),
        ("[rate]\naccepted_max = nan", r"budgets\.rate\.accepted_max is nan, allowed: a number"),
        ("[rate]\nspeed = 1", r"budgets\.rate\.speed is 1, allowed: accepted_max, window_s"),
        ("[rat]\nx = 1", r"budgets\.rat is .*allowed: one of rate"),
        ("rate = 3", r"budgets\.rate is 3, allowed: a table"),
        ("[latency.signals]\np50_ms_max = 1", r"budgets\.latency\.signals is .*latency\.signal"),
        ("[latency.signal]\np50_ms_max = 0", r"budgets\.latency\.signal\.p50_ms_max is 0, allowed"),
        ("[errors]\nshare_max = 2", r"budgets\.errors\.share_max is 2, allowed: a number from 0 to 1"),
        ("[rate]\naccepted_max = 100", r"budgets\.rate\.accepted_overload_min is 285.0, allowed: no more than"),
        ('[required]\nsteady = ["rate.acepted"]', r"budgets\.required\.steady is 'rate.acepted', allowed: rate"),
        ("[required]\nsquare = []", r"budgets\.required\.square is \[\], allowed: steady"),
        ("[rate", r"budgets\.file is .*allowed: TOML"),
        ("x = " + "[" * 100_000, r"budgets\.file is .*allowed: TOML"),
    ],
)
def test_bad_budgets_are_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "b.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BudgetError, match=said) as raised:
        budgets.load(path)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="a readable file"):
        budgets.load(tmp_path / "none.toml")
