"""The ``hardening`` command: one door to everything; each subcommand lives in a file of its own.

Exit codes, everywhere: 0 done (or PASSED, WARNED), 1 failed, 2 usage or bad input, 3 unknown, 4 harness error.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping

import click

from hardening.claims.verdict import Exit
from hardening.commands.manual import FOOTER, Manual, example_last

_WHERE = {
    "certify": "hardening.commands.certify:certify_command",
    "verify": "hardening.commands.verify:verify_command",
    "report": "hardening.commands.report:report_command",
    "gate": "hardening.commands.gate:gate_command",
    "keygen": "hardening.commands.verify:keygen_command",
    "serve": "hardening.commands.serve:serve_command",
    "preflight": "hardening.commands.serve:preflight_command",
    "load": "hardening.commands.load:load_command",
    "faults": "hardening.commands.faults:faults_group",
    "proxy": "hardening.commands.proxy:proxy_command",
    "explore": "hardening.commands.explore:explore_command",
    "completion": "hardening.commands.completion:completion_command",
    "chaos": "hardening.commands.chaos:chaos_command",
    "replay": "hardening.commands.session:replay_command",
    "shrink": "hardening.commands.session:shrink_command",
    "session": "hardening.commands.session:session_group",
    "export": "hardening.commands.export:export_command",
}
"""Each command by name. It is imported when it is asked for: a gate need not wait for a whole simulator."""


class _Commands(MutableMapping[str, click.Command]):
    """The commands, each imported at its first use."""

    def __init__(self, where: Mapping[str, str]) -> None:
        self._where = dict(where)
        self._imported: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._imported:
            module, _, attribute = self._where[name].partition(":")
            self._imported[name] = command = getattr(importlib.import_module(module), attribute)
            example_last(command)
        return self._imported[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._imported[name] = command

    def __delitem__(self, name: str) -> None:
        self._where.pop(name, None)
        self._imported.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._where, **self._imported})

    def __len__(self) -> int:
        return len({**self._where, **self._imported})


@click.group(
    cls=Manual,
    commands=_Commands(_WHERE),
    epilog=FOOTER,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="signal-hardening", prog_name="hardening")
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
    except Exception as error:  # noqa: BLE001 - the last line of defence: a harness error is exit 4, said in a line
        traceback.print_exc()
        click.echo(f"harness error: {type(error).__name__}: {error}", err=True)
        code = Exit.HARNESS
    sys.exit(int(code or 0))


if __name__ == "__main__":
    main()
