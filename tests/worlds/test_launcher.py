"""Sabotage references: what is loaded, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.mutants.catalogue import SABOTAGES
from hardening.worlds.live.launcher import SabotageError, load_sabotage, main

SABOTAGES_MIN = 45


def test_every_shipped_sabotage_can_be_loaded() -> None:
    for sabotage in SABOTAGES.values():
        assert callable(load_sabotage(sabotage.reference))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nothing", "allowed: FILE.py:NAME"),
        ("missing.py:break_it", "allowed: a file that exists"),
        ("{good}:other", "allowed in .*: break_it"),
        ("{bad}:break_it", "does not load: SyntaxError"),
    ],
)
def test_a_bad_reference_is_one_clear_line(reference: str, message: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("def break_it() -> None: ...\n")
    bad.write_text("def break_it(\n")
    with pytest.raises(SabotageError, match=message):
        load_sabotage(reference.format(good=good, bad=bad))


def test_the_launcher_refuses_arguments_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--surprise", "--"]) == 2
    assert "--sabotage FILE.py:NAME" in capsys.readouterr().err


def test_the_table_of_the_proof_says_of_each_sabotage_what_the_catalogue_says() -> None:
    text = (Path(__file__).parents[2] / "docs" / "SCENARIOS.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    told = {cells[0].strip("`"): cells[1:] for cells in rows if cells[0].strip("`").isidentifier()}
    assert len(told) >= SABOTAGES_MIN
    for name, (claim, where, seen, *_) in told.items():
        one = SABOTAGES[name]
        assert (claim, where) == (one.claim, one.scenario + (", live" if one.world == "live" else ""))
        assert one.claim in seen.split(", ")
