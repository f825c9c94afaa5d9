"""What ``--sabotage`` loads, and what it refuses in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardening.mutants.catalogue import mutants
from hardening.worlds.live.launcher import SabotageError, checked_sabotage, load_sabotage, main

ROWS_MIN = 45


def test_a_shipped_mutant_is_loaded_by_its_name_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked_sabotage("no_rate_limit") == "no_rate_limit"
    assert load_sabotage("no_rate_limit") is mutants()["no_rate_limit"]


def test_a_file_is_given_to_other_processes_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("def break_it() -> None: ...\n")
    monkeypatch.chdir(tmp_path)
    assert checked_sabotage("mine.py:break_it") == f"{tmp_path / 'mine.py'}:break_it"
    assert not checked_sabotage("")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("zzz", "allowed: a mutant or FILE.py:NAME .no shipped one has such a name.$"),
        ("no_rate_limt", "did you mean no_rate_limit or "),
        ("notes.txt:break_it", "allowed: a mutant or FILE.py:NAME$"),
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
    assert "--sabotage NAME|FILE.py:NAME" in capsys.readouterr().err


def test_the_table_of_the_proof_agrees_with_the_mutants() -> None:
    text = (Path(__file__).parents[2] / "docs" / "SCENARIOS.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    table = {cells[0].strip("`"): cells[1:] for cells in rows if cells[0].strip("`").isidentifier()}
    assert len(table) >= ROWS_MIN
    for name, (claim, where, seen, *_) in table.items():
        one = mutants()[name]
        assert (claim, where) == (one.claim, one.shown_by + (", live" if one.world == "live" else ""))
        assert one.claim in seen.split(", ")
