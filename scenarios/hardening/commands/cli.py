"""The ``hardening`` command: in come its words, out comes an exit code; each subcommand has a row in ``table``.

Exit codes, everywhere: 0 done (or PASSED, WARNED), 1 failed, 2 usage or bad input, 3 unknown, 4 harness error.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator, MutableMapping, Sequence

import click

from hardening.certificate.extras import what_to_install
from hardening.claims.verdict import Exit
from hardening.commands.manual import FOOTER, Manual, example_last
from hardening.commands.table import TABLE, Row


class _Commands(MutableMapping[str, click.Command]):
    """The commands by name, each imported at its first use."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = {row.name: row for row in rows}
        self._imported: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._imported:
            row = self._rows[name]
            module = importlib.import_module(f"hardening.commands.{row.module}")
            found = (one for one in vars(module).values() if isinstance(one, click.Command) and one.name == name)
            self._imported[name] = command = next(found)
            command.short_help = row.purpose
            example_last(command)
        return self._imported[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._imported[name] = command

    def __delitem__(self, name: str) -> None:
        self._rows.pop(name, None)
        self._imported.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._rows, **self._imported})

    def __len__(self) -> int:
        return len({**self._rows, **self._imported})


def _show_version(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from hardening.certificate.provenance import provenance, release  # noqa: PLC0415 - git is run for this alone

        click.echo(f"hardening {release()}, commit {provenance().commit}")
        context.exit()


@click.group(
    cls=Manual,
    commands=_Commands(TABLE),
    epilog=FOOTER,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="The version and the commit that is installed.",
)
def hardening() -> None:
    """Prove by behaviour that a service is production hardened: run it, break everything around it, record what
    happens, and let a judge that knows nothing of the service decide what it is worth.
    """  # noqa: D205 - one sentence


def main() -> None:
    """Entry point; turns every outcome into an exit code of the table above."""
    try:
        code = hardening.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        code = done.exit_code
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        code = Exit.HARNESS
    except click.ClickException as error:
        error.show()
        code = Exit.USAGE
    except KeyboardInterrupt:
        code = Exit.HARNESS
    except Exception as error:  # noqa: BLE001 - the last line of defence
        code = _failed(error)
    sys.exit(int(code or 0))


def _failed(error: Exception) -> Exit:
    """Say what an exception means: a library of an extra is missing (one line), or the harness failed."""
    if isinstance(error, ModuleNotFoundError) and (install := what_to_install(error)):
        command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
        click.echo(f"hardening {command} {install}", err=True)
        return Exit.USAGE
    traceback.print_exc()
    click.echo(f"harness error: {type(error).__name__}: {error}", err=True)
    return Exit.HARNESS


if __name__ == "__main__":
    main()
