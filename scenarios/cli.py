"""The ``hardening`` command: one door to everything; each subcommand lives in a file of its own.

Exit codes, everywhere: 0 done (or PASSED, WARNED), 1 failed, 2 usage or bad input, 3 unknown, 4 harness error.
"""

from __future__ import annotations

import sys
import traceback

import click

from scenarios.certify_command import certify_command
from scenarios.chaos_command import chaos_command
from scenarios.completion_command import completion_command
from scenarios.export_command import export_command
from scenarios.faults_command import faults_group
from scenarios.gate_command import gate_command
from scenarios.judge.verdict import Exit
from scenarios.manual import FOOTER, Manual
from scenarios.proxy_command import proxy_command
from scenarios.serve_command import preflight_command, serve_command
from scenarios.session_command import replay_command, session_group, shrink_command
from scenarios.simulator.command import explore_command
from scenarios.verify_command import keygen_command, verify_command


@click.group(
    cls=Manual, epilog=FOOTER, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="signal-hardening", prog_name="hardening")
def hardening() -> None:
    """Prove by behaviour that a service is production hardened: run it, break everything around it, record what
    happens, and let a judge that knows nothing of the service decide what it is worth.
    """  # noqa: D205 - one sentence


_COMMANDS = (
    *(certify_command, verify_command, gate_command, keygen_command, serve_command, preflight_command),
    *(faults_group, proxy_command, explore_command, completion_command),
    *(chaos_command, replay_command, shrink_command, session_group, export_command),
)
for _command in _COMMANDS:
    hardening.add_command(_command)


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
