"""``hardening session``, ``replay``, ``shrink`` and ``export`` on files: help, bad input, what they print."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from acted_world import session_of
from click.testing import CliRunner, Result

from hardening.commands.cli import hardening
from hardening.history.events import Header, History
from hardening.sessions.regressions import adopted
from hardening.sessions.store import Store

HISTORY = History(Header("live", {}, "", 7, "", (), {}, ""), [])
SESSION = hardening.commands["session"]
assert isinstance(SESSION, click.Group)


def invoke(*words: str) -> Result:
    return CliRunner().invoke(hardening, list(words))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Store(tmp_path).save(session_of(), HISTORY)
    return tmp_path


@pytest.mark.parametrize("name", sorted(SESSION.commands))
def test_the_help_of_each_command_ends_with_an_example(name: str) -> None:
    lines = invoke("session", name, "--help").output.splitlines()
    assert any(line.strip().startswith(f"hardening session {name}") for line in lines)
    assert any(line.strip() == "Example:" for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["session", "show", "nobody"], "session is 'nobody', allowed: a session's file, or a name"),
        (["session", "diff", "night", "nobody"], "'nobody'"),
        (["session", "adopt", "nobody"], "'nobody'"),
        (["replay", "nobody"], "'nobody'"),
        (["replay", "night", "--world", "mars"], "mars"),
        (["shrink", "nobody"], "'nobody'"),
    ],
)
def test_bad_input_is_named_and_exits_2(words: list[str], said: str, folder: Path) -> None:
    done = invoke(*words, "--dir", str(folder))
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nobody", "--format", "chaos-mesh"], "'nobody'"),
        (["night", "--format", "litmus"], "litmus"),
        (["night", "--format", "chaostoolkit", "--link", "mars=x"], "--link is 'mars=x'"),
        (["night", "--format", "chaostoolkit", "--out", "/no/such/folder/x"], "a file that can be written"),
    ],
)
def test_bad_input_of_an_export_is_named_and_exits_2(words: list[str], said: str, folder: Path) -> None:
    done = invoke("export", *words, "--dir", str(folder))
    assert done.exit_code == 2
    assert said in done.output


def test_what_does_not_fail_cannot_be_shrunk(tmp_path: Path) -> None:
    data = session_of().to_json() | {"verdicts": []}
    (tmp_path / "good.json").write_text(json.dumps(data))
    done = invoke("shrink", str(tmp_path / "good.json"))
    assert done.exit_code == 2
    assert "allowed: one in which a claim failed" in done.output


def test_sessions_are_listed_shown_and_compared(folder: Path) -> None:
    Store(folder).save(session_of(requests=3, name="day"), HISTORY)
    listed = json.loads(invoke("session", "list", "--dir", str(folder), "--json").output)
    assert [(row["name"], row["requests"], row["failed"]) for row in listed] == [
        ("day", 3, ["C2.1"]),
        ("night", 40, ["C2.1"]),
    ]
    assert "FAIL C2.1" in invoke("session", "list", "--dir", str(folder)).output
    assert "observed:  a permit leaked" in invoke("session", "show", "night", "--dir", str(folder)).output
    assert json.loads(invoke("session", "show", "night", "--dir", str(folder), "--json").output)["name"] == "night"
    same, other = (invoke("session", "diff", "night", name, "--dir", str(folder)) for name in ("night", "day"))
    assert (same.exit_code, other.exit_code) == (0, 1)
    assert "workload requests: 40 -> 3" in other.output


def test_no_session_says_how_to_get_one(tmp_path: Path) -> None:
    assert "'hardening chaos' makes one" in invoke("session", "list", "--dir", str(tmp_path)).output


def test_a_failure_is_adopted(folder: Path, tmp_path: Path) -> None:
    into = tmp_path / "regressions"
    done = invoke("session", "adopt", "night", "--name", "lost", "--into", str(into), "--dir", str(folder))
    assert done.exit_code == 0, done.output
    assert [path.name for path in into.iterdir()] == ["lost.json"]


def test_what_an_export_cannot_hold_is_said_on_stderr(folder: Path) -> None:
    done = invoke("export", "night", "--format", "chaos-mesh", "--dir", str(folder))
    assert done.exit_code == 0
    assert "kind: Workflow" in done.stdout
    assert done.stderr == ""
    told = json.loads(invoke("export", "night", "--format", "chaostoolkit", "--dir", str(folder)).stdout)
    assert len(told["rollbacks"]) == 5


@pytest.mark.parametrize("command", [["session", "list"], ["session", "prune"]])
def test_a_directory_that_is_not_there_is_named_and_exits_2(command: list[str]) -> None:
    done = invoke(*command, "--dir", "/nosuch")
    assert done.exit_code == 2
    assert "--dir is '/nosuch', allowed: a directory that exists" in done.output


def test_shipped_and_adopted_sessions_are_found_by_name_from_anywhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert "flipped-alert" in invoke("session", "show", "flipped-alert").output
    assert invoke("session", "adopt", "night", "--name", "mine", "--dir", str(folder)).exit_code == 0
    assert (elsewhere / "regressions" / "mine.json").exists()
    assert invoke("session", "show", "mine").exit_code == 0
    taken = invoke("session", "adopt", "night", "--name", "flipped-alert", "--dir", str(folder))
    assert taken.exit_code == 2
    assert "not that of a shipped one" in taken.output


def test_a_certification_replays_the_shipped_sessions_and_those_of_the_working_directory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = {one.session.name for one in adopted()}
    assert "flipped-alert" in shipped
    invoke("session", "adopt", "night", "--name", "mine", "--dir", str(folder))
    assert {one.session.name for one in adopted()} == shipped | {"mine"}
