"""The guides do what they say: every command in them is executed, and its output compared."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_lines import parse, simple_commands
from guide_commands import Command, GuideError, commands, execute, missing

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs").glob("GUIDE_*.md"))
NEEDED = ("allow-unknown.txt", "deploy", "faults", "loadtests", "pyproject.toml", "scenarios", "scripts", "service")


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A directory with a short name that looks like a checkout; what commands write there is thrown away."""
    directory = Path(tempfile.mkdtemp(prefix="guide-"))
    for name in NEEDED:
        (directory / name).symlink_to(ROOT / name)
    yield directory
    shutil.rmtree(directory)


def environment(directory: Path) -> dict[str, str]:
    """Of a user's shell: the installed command on the PATH, and a temporary directory where no other world runs."""
    (directory / "tmp").mkdir(exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SIGNAL_"))}
    return {**kept, "PATH": path, "TMPDIR": str(directory / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.mark.live
@pytest.mark.timeout(420)
@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_command_of_the_guide_does_what_the_guide_says(guide: Path, checkout: Path) -> None:
    wrong = execute(commands(guide.read_text()), checkout, environment(checkout), limit_s=400)
    assert not wrong, "\n\n".join(wrong)


def test_there_is_a_guide_for_each_of_the_three_uses() -> None:
    assert [path.stem for path in GUIDES] == ["GUIDE_CHAOS_SESSION", "GUIDE_LOCAL_AND_CI", "GUIDE_STAGING_LOAD"]
    assert all(len(commands(path.read_text())) >= 5 for path in GUIDES)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_commands_that_are_shown_and_cannot_be_executed_here_exist_all_the_same(guide: Path) -> None:
    shown = re.findall(r"^    (hardening [^\n]+)$|^```sh\n(.*?)^```$", guide.read_text(), re.MULTILINE | re.DOTALL)
    for script in ("".join(pair) for pair in shown):
        for words in simple_commands(script):
            if words[0] == "hardening":
                parse(words)


# --- the checker itself


def run(text: str, directory: Path) -> list[str]:
    return execute(commands(text), directory, dict(os.environ), limit_s=10)


def test_a_wrong_exit_code_and_a_missing_line_are_found(tmp_path: Path) -> None:
    right = "```console\n$ echo one; echo two\none\n$ cat <<E\n>\n> three\n> E\nth...\n```\n\n"
    right += "```console exit=3\n$ (exit 3)\n```\n"
    assert run(right, tmp_path) == []
    (code,) = run("```console\n$ (exit 3)\n$ true\n```\n", tmp_path)
    assert code.startswith("line 2: $ (exit 3)\nexit 3, not 0")
    (line,) = run("```console\n$ echo two; echo one\none\ntwo\n```\n", tmp_path)
    assert "never said 'two'" in line


def test_commands_share_a_shell_and_nothing_of_it_stays(tmp_path: Path) -> None:
    text = "```console\n$ cd /; X=1\n$ echo $X $PWD\n1 /\n$ sleep 600 & echo $!\n...\n```\n"
    assert run(text, tmp_path) == []
    (output,) = (path.read_text() for path in tmp_path.glob(".*"))
    pid = int(re.findall(r"^\d+$", output, re.MULTILINE)[-1])
    assert not Path(f"/proc/{pid}").exists()


def test_a_command_that_hangs_is_told_with_its_line(tmp_path: Path) -> None:
    hanging = [Command("true", 1), Command("sleep 600", 2), Command("true", 3)]
    first, second = execute(hanging, tmp_path, dict(os.environ), limit_s=0.5)
    assert first.startswith("line 2: $ sleep 600\ndid not end")
    assert second.endswith("never reached")


@pytest.mark.parametrize(
    ("text", "said"),
    [("```console\nout\n$ x\n```\n", "line 2: output before"), ("```console ext=1\n$ x\n```\n", "allowed: exit=N")],
)
def test_a_block_that_cannot_be_read_is_named(text: str, said: str) -> None:
    with pytest.raises(GuideError, match=said):
        commands(text)


def test_dots_stand_for_any_text_and_nothing_else_does() -> None:
    assert missing(["a...c", "d.f"], "abc\nd.f\n") == ""
    assert missing(["d.f"], "dxf\n") == "d.f"
