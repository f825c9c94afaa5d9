"""``hardening completion``: prints the script with which a shell completes commands and options; its name comes in."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

VARIABLE = "_HARDENING_COMPLETE"
"""What the script sets when it asks us; click answers to it by the program's name."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and their values in SHELL.

    \b
    bash: eval "$(hardening completion bash)"       in ~/.bashrc
    zsh:  eval "$(hardening completion zsh)"        in ~/.zshrc, after compinit
    fish: hardening completion fish > ~/.config/fish/completions/hardening.fish

    \b
    Example:
      hardening completion bash > hardening-completion.bash
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"SHELL is {shell!r}, allowed: a shell that click completes")
    script = found(context.find_root().command, {}, "hardening", VARIABLE)
    # Not script.source(): for bash it first runs the bash of this machine to learn whether it is recent.
    click.echo(script.source_template % script.source_vars())
