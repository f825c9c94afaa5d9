"""``hardening report``: renders from what is stored, refuses what it cannot read, and loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result
from page_sample import sample

from hardening.certificate.reports.html import render_html
from hardening.commands.report import report_command


def stored(folder: Path) -> Path:
    certificate, histories = sample()
    (folder / "certificate.json").write_text(json.dumps(certificate), encoding="utf-8")
    for name, history in histories.items():
        history.write(folder / "histories" / f"{name}.jsonl")
    return folder


def report(*words: str | Path) -> Result:
    return CliRunner().invoke(report_command, [str(word) for word in words])


def test_the_page_from_a_directory_is_that_of_the_renderer(tmp_path: Path) -> None:
    done = report(stored(tmp_path))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "certificate.html").read_text(encoding="utf-8") == render_html(*sample())


def test_out_leaves_the_directory_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    before = sorted(stored(tmp_path / "c").rglob("*"))
    done = report(tmp_path / "c", "--out", tmp_path / "page.html", "--json")
    said = json.loads(done.output)
    assert said["path"] == str(tmp_path / "page.html")
    assert said["bytes"] == (tmp_path / "page.html").stat().st_size
    assert sorted((tmp_path / "c").rglob("*")) == before


def test_bad_input_is_named_exits_2_and_leaves_the_old_page(tmp_path: Path) -> None:
    assert report(tmp_path).exit_code == 2
    folder = stored(tmp_path)
    (folder / "certificate.html").write_text("kept")
    (folder / "histories" / "burst.jsonl").write_text("{}\n")
    done = report(folder)
    assert done.exit_code == 2
    assert "burst.jsonl is no history: history line 1" in done.output
    (folder / "certificate.json").write_text("[]")
    assert "it has no predicate" in report(folder).output
    assert (folder / "certificate.html").read_text() == "kept"


def test_an_out_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    done = report(stored(tmp_path), "--out", tmp_path / "nowhere" / "page.html")
    assert done.exit_code == 2
    assert "--out is" in done.output
