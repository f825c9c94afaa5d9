"""What stands in a shell script, and whether each ``hardening`` command in it exists with the options it is given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from hardening.commands.cli import hardening

SEPARATORS = {"|", "||", "&", "&&", ";", ";;", "(", ")", "{", "}"}
REDIRECTIONS = {">", ">>", "<", "2>", "&>"}
VARIABLE = re.compile(r"\$(\{\w+\}|\w+)")


def simple_commands(script: str) -> Iterator[list[str]]:
    """The words of each simple command; redirections, comments and assignments before a command left out."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;()<>")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words: list[str] = []
        skip = False
        for token in [*lexer, ";"]:
            if skip:
                skip = False
            elif token in SEPARATORS:
                while words and re.fullmatch(r"\w+=.*", words[0]):
                    words.pop(0)
                if words:
                    yield words
                words = []
            elif token in REDIRECTIONS or token.endswith(">&"):
                skip = True
            else:
                words.append(token)


def parse(words: list[str]) -> click.Context:
    """Let click parse ``hardening ...`` down to the last subcommand, running nothing; variables stand for 1.

    Raises:
        click.UsageError: for a command or an option that does not exist, or a value that is refused.
    """
    if words[0] != "hardening":
        raise AssertionError(f"not ours: {words}")
    arguments = [VARIABLE.sub("1", word) for word in words[1:]]
    command: click.Command = hardening
    context: click.Context | None = None
    name = "hardening"
    while True:
        context = command.make_context(name, arguments, parent=context)
        if not isinstance(command, click.Group):
            return context
        rest = [*context._protected_args, *context.args]
        if not rest:
            return context
        name, found, arguments = command.resolve_command(context, rest)
        if found is None:
            raise click.UsageError(f"no such command: {name}")
        command = found


def walk(
    command: click.Command = hardening, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below, groups included, with its path: ``("faults", "inject")``."""
    if path:
        yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from walk(command.commands[name], (*path, name))
