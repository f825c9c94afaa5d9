"""How ``hardening --help`` reads: commands by purpose, and the example of each command at the very end.

In come click's commands and the table of commands; out comes the text of their help. Nothing here raises.
"""

from __future__ import annotations

import inspect

import click

from hardening.commands.table import TABLE

EXAMPLE = "\b\nExample:\n"
FURTHER = "Further commands"
"""The section of commands that have no row in the table, so that none is ever hidden."""

FOOTER = """\b
Exit codes, of every command:
  0  done, or PASSED, or WARNED
  1  failed: a claim, a budget, a check
  2  usage or bad input: one line names the option, the value and what is allowed
  3  unknown: nothing showed it either way
  4  the harness itself failed, or was interrupted

\b
Environment:
  TOXIPROXY_URL, TOXIPROXY_SERVER     a Toxiproxy to use: one that runs, or a program; else the embedded one
  REDIS_SERVER                        a Redis or Valkey server program; else the one that was installed with us
  REDIS_URL, TICKER_SERVICE_URL ...   (serve, preflight) dependencies of yours instead of ours

\b
More: hardening COMMAND --help

\b
Example:
  hardening certify --out certificate
"""


def example_last(command: click.Command) -> None:
    """Move the example that ends a command's text to the end of its help, below the options; in a group, of each."""
    text, marked, example = inspect.cleandoc(command.help or "").rpartition(EXAMPLE)
    if marked and not command.epilog:
        command.help, command.epilog = text.rstrip(), marked + example
    if isinstance(command, click.Group):
        for one in command.commands.values():
            example_last(one)


class Manual(click.Group):
    """A group whose help is a manual page. Commands need nothing but a docstring that ends with ``EXAMPLE``."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command; its example goes last."""
        example_last(cmd)
        super().add_command(cmd, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, section by section, in the table's order; none of the table's is imported for it."""
        names = self.list_commands(ctx)
        width = max(map(len, names), default=0)
        sections: dict[str, list[tuple[str, str]]] = {}
        for row in TABLE:
            if row.name in names:
                sections.setdefault(row.section, []).append((f"{row.name:{width}}", row.purpose))
        for name in sorted(set(names) - {row.name for row in TABLE}):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                sections.setdefault(FURTHER, []).append((f"{name:{width}}", command.get_short_help_str(limit=100)))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
