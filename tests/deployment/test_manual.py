"""``hardening --help`` and what every command has in common: an example at the end, JSON, plain text in pipes."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_lines import parse, simple_commands, walk

from hardening.commands.cli import hardening
from hardening.commands.manual import FURTHER, Manual
from hardening.commands.table import TABLE

COMMANDS = {" ".join(path): command for path, command in walk()}
LEAVES = {
    name: command
    for name, command in COMMANDS.items()
    if not isinstance(command, click.Group) or command.invoke_without_command
}
ROOT = Path(__file__).parents[2]
WITHOUT_JSON = {
    "proxy": "a server: its answers are the JSON of Toxiproxy's API",
    "completion": "prints a script, for a shell to read",
}


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [str(Path(sys.executable).with_name("hardening")), *words]
    env = {**os.environ, **environment}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_the_help_names_every_command_once_under_what_it_is_for() -> None:
    said = run("--help").stdout
    for name in hardening.commands:
        assert len([line for line in said.splitlines() if line.startswith(f"  {name} ")]) == 1, name
    assert len(TABLE) == len({row.name for row in TABLE})
    assert FURTHER not in said, "a command has no row in scenarios/hardening/commands/table.py"


def test_a_command_that_no_purpose_names_is_shown_all_the_same() -> None:
    group = Manual("group")
    group.add_command(click.Command("unheard-of", help="Something new."))
    group.add_command(click.Command("certify", help="Known."))
    said = CliRunner().invoke(group, ["--help"]).output
    assert said.index("Prove a service:\n  certify") < said.index(f"{FURTHER}:\n  unheard-of")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_ends_with_one_example_whose_options_parse(name: str) -> None:
    said = CliRunner().invoke(hardening, [*name.split(), "--help"], prog_name="hardening").output
    text, found, example = said.rpartition("\n  Example:\n")
    assert found, "its docstring does not end with an example: see scenarios/hardening/commands/manual.py"
    assert "Example:" not in text
    commands = list(simple_commands(inspect.cleandoc(example)))
    assert any(" ".join(words).startswith(f"hardening {name}") for words in commands)
    for words in commands:
        parse(words)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_no_help_names_a_path_that_only_a_checkout_has(name: str) -> None:
    said = CliRunner().invoke(hardening, [*name.split(), "--help"], prog_name="hardening").output
    assert not re.findall(r"\b(?:docs|tests|scenarios|faults|service|loadtests|deploy|benchmarks|scripts)/\S*", said)


def test_the_help_of_all_commands_imports_none_of_them() -> None:
    script = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from hardening.commands.cli import hardening\n"
        "assert CliRunner().invoke(hardening, ['--help']).exit_code == 0\n"
        "print([row.name for row in hardening.commands._rows.values()"
        " if f'hardening.commands.{row.module}' in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", LEAVES)
def test_what_a_machine_would_read_comes_as_json_too(name: str) -> None:
    has = any("--json" in option.opts for option in LEAVES[name].params)
    assert has != (name in WITHOUT_JSON)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_help_is_plain_in_a_pipe_and_says_what_the_command_is_for(name: str) -> None:
    done = CliRunner().invoke(hardening, [*name.split(), "--help"], prog_name="hardening")
    assert done.exit_code == 0
    assert "\x1b" not in done.output
    if name:
        assert COMMANDS[name].get_short_help_str(limit=100)


@pytest.mark.parametrize(
    "words",
    [
        ["faults", "list"],
        ["faults", "describe", "redis_killed"],
        ["chaos", "--dry-run", "--profile", "redis-storm"],
        ["preflight", "--config", "missing.json"],
        ["completion", "zsh"],
    ],
)
def test_output_is_plain_in_a_pipe_whatever_the_terminal_is_called(words: list[str]) -> None:
    done = run(*words, TERM="xterm-256color", COLORTERM="truecolor")
    assert done.stdout
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("words", [["faults", "list"], ["faults", "describe", "redis_killed"], ["faults", "clean"]])
def test_json_is_json_and_nothing_else(words: list[str]) -> None:
    done = run(*words, "--json")
    assert json.loads(done.stdout)
    assert done.stderr == ""


def test_a_new_key_is_told_as_json(tmp_path: Path) -> None:
    told = json.loads(run("keygen", str(tmp_path / "key.pem"), "--json").stdout)
    assert Path(told["private"]).exists()
    assert Path(told["public"]).exists()
    assert told["key_id"]


def test_a_misspelt_command_is_one_clear_line() -> None:
    done = run("certfy")
    assert done.returncode == 2
    assert "No such command 'certfy'" in done.stderr


# --- completion


def in_shell(shell: str, script: str, *words: str) -> str:
    program = shutil.which(shell)
    if program is None:
        assert not os.environ.get("REQUIRE_SHELLS"), f"REQUIRE_SHELLS is set and there is no {shell}"
        pytest.skip(f"no {shell} on this machine")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    argv = [program, *words, "-c", script]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


ASK = """
eval "$(hardening completion bash)"
complete -p hardening
COMP_WORDS=(hardening {words}) COMP_CWORD={at}
_hardening_completion hardening
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("pre", ["preflight"]),
        ("faults in", ["inject"]),
        ("completion f", ["fish"]),
        ("gate --requ", ["--require-passed"]),
    ],
)
def test_bash_completes_commands_options_and_values(words: str, completed: list[str]) -> None:
    first, *rest = in_shell("bash", ASK.format(words=words, at=len(words.split())), "--norc").splitlines()
    assert first.startswith("complete ")
    assert rest == completed


def test_fish_completes_a_command() -> None:
    asked = in_shell("fish", "hardening completion fish | source; complete -C 'hardening pre'", "--no-config")
    assert asked.split()[0] == "preflight"


def test_zsh_reads_its_script() -> None:
    load = "autoload -Uz compinit; compinit -u -D; "
    script = load + 'eval "$(hardening completion zsh)"; print ${_comps[hardening]}'
    assert in_shell("zsh", script, "-f").strip() == "_hardening_completion"


def test_a_shell_that_nobody_knows_is_refused() -> None:
    done = run("completion", "tcsh")
    assert done.returncode == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr
