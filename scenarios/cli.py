"""The ``hardening`` command: one door to everything; each subcommand lives in a file of its own.

Exit codes, everywhere: 0 done (or PASSED, WARNED), 1 failed, 2 usage or bad input, 3 unknown, 4 harness error.
"""

from __future__ import annotations

import sys
import traceback

import click

from scenarios.certify_command import certify_command
from scenarios.faults_command import faults_group
from scenarios.judge.verdict import Exit
from scenarios.load_command import load_command
from scenarios.proxy_command import proxy_command
from scenarios.serve_command import preflight_command, serve_command
from scenarios.simulator.command import explore_command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="signal-hardening", prog_name="hardening")
def hardening() -> None:
    """Proves by behaviour that a service is production hardened.

    \b
    hardening certify --out certificate     run the scenarios, judge, write the certificate
    hardening serve                         the Signal Service on embedded defaults, until Ctrl-C
    hardening load --shape burst            Locust holds the service to its budgets
    hardening faults inject KIND            break a running serve, and heal it
    hardening proxy --port 8474             a Toxiproxy with more toxics and a seed
    hardening explore FILE.py:function      search an asyncio program for a failing schedule
    hardening preflight --config FILE       refuse a misconfigured deployment

    Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 unknown, 4 harness error.
    """


for _command in (
    certify_command,
    serve_command,
    preflight_command,
    load_command,
    faults_group,
    proxy_command,
    explore_command,
):
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
