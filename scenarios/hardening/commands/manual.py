"""How ``hardening --help`` reads: commands by what one wants of them, and each command's example at the very end."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import click

EXAMPLE = "\b\nExample:\n"

PURPOSES: Mapping[str, Sequence[str]] = {
    "Prove a service": ("certify", "load"),
    "Trust a certificate": ("verify", "gate", "report", "keygen"),
    "Go live": ("preflight", "serve"),
    "Break it and learn why": ("chaos", "replay", "shrink", "session", "export"),
    "Tools on their own": ("faults", "proxy", "explore", "completion"),
}
"""Section to commands, in the order they are met. A command that stands nowhere is shown under ``FURTHER``."""
FURTHER = "Further commands"

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
More: hardening COMMAND --help, and the guides in docs/ (local and CI, staging load, chaos sessions).

\b
Example:
  hardening certify --out certificate
"""


def example_last(command: click.Command) -> None:
    """Move the example that ends a command's text to the end of its help, behind the options; and below, if a group."""
    text, marked, example = inspect.cleandoc(command.help or "").rpartition(EXAMPLE)
    if marked and not command.epilog:
        command.help, command.epilog = text.rstrip(), marked + example
    if isinstance(command, click.Group):
        for one in command.commands.values():
            example_last(one)


class Manual(click.Group):
    """A group whose help is a manual page. Commands need nothing but a docstring that ends with ``EXAMPLE``."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Take a command in; its example goes last."""
        example_last(cmd)
        super().add_command(cmd, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands by purpose; those that no purpose names come last, so that none is ever hidden."""
        names = self.list_commands(ctx)
        placed = {name for names_of_one in PURPOSES.values() for name in names_of_one}
        sections = {title: [name for name in wanted if name in names] for title, wanted in PURPOSES.items()}
        sections[FURTHER] = [name for name in names if name not in placed]
        width = max(map(len, names), default=0)
        for title, found in sections.items():
            rows = [
                (f"{name:{width}}", command.get_short_help_str(limit=100))
                for name in found
                if (command := self.get_command(ctx, name)) is not None and not command.hidden
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
