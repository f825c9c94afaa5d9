"""``hardening gate``: the one command that a workflow calls to let a deployment through or not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from hardening.certificate.verify import Demands, verify
from hardening.claims.verdict import Exit
from hardening.commands.verify import demanding, directory_of


@click.command("gate")
@click.argument("certificate", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The decision on stdout as JSON.")
@demanding
def gate_command(certificate: Path, demands: Demands, *, as_json: bool) -> None:
    """Verify a certificate and act on its result: nothing is let through on a certificate that does not hold.

    Exit 0 the certificate is intact, and PASSED or WARNED; 1 it is FAILED, or not intact, or expired; 3 a claim is
    unknown that may not be; 2 bad input.

    \b
    Example:
      hardening gate certificate/certificate.json
    """
    directory = directory_of(certificate)
    report = verify(directory, demands)
    code = report.gate_exit()
    if as_json:
        click.echo(json.dumps({"open": code is Exit.OK, **report.to_json(), "exit_code": int(code)}, indent=2))
    else:
        for note in report.notes:
            click.echo(f"note: {note}")
        why = "; ".join([report.result, *report.broken_gates])
        if not report.intact:
            why = f"not intact: {report.first}: {report.broken}"
        click.echo(f"gate {'open' if code is Exit.OK else 'SHUT'}: {certificate}: {why}")
    sys.exit(code)
