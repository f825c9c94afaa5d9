"""``hardening gate``: the one command that a workflow calls to let a deployment through or not.

In come a certificate and the terms of the caller; out comes one line and an exit code. Nothing in the
certificate can change the terms.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import click

from hardening.certificate.policy import Policy
from hardening.certificate.statement import VALID_FOR
from hardening.certificate.verify import Demands, Report, verify
from hardening.claims.verdict import Exit
from hardening.commands.terms import claims_named, read_allow_list, read_waivers
from hardening.commands.verify import demanding, directory_of


@click.command("gate")
@click.argument("certificate", type=click.Path(path_type=Path))
@click.option("--waivers", type=click.Path(path_type=Path), help="TOML of claims that are excused here.")
@click.option("--allow-unknown", "allow", type=click.Path(path_type=Path), help="File of claims that may be UNKNOWN.")
@click.option("--claims", default="", help="Claims or components that must have been judged; default: all.")
@click.option(
    "--max-age-days",
    type=click.FloatRange(0, VALID_FOR.days, min_open=True),
    default=VALID_FOR.days,
    show_default=True,
    help="A certificate older than this has expired.",
)
@click.option("--json", "as_json", is_flag=True, help="The decision on stdout as JSON.")
@demanding
def gate_command(
    certificate: Path,
    demands: Demands,
    waivers: Path | None,
    allow: Path | None,
    claims: str,
    max_age_days: float,
    *,
    as_json: bool,
) -> None:
    """Verify a certificate and act on its result: nothing is let through on a certificate that does not hold.

    The terms are those given here: waivers and allowances that stand in the certificate do not count. Without --key
    nobody knows who made it. Exit 0 the certificate is intact, and PASSED or (without --require-passed) WARNED; 1 it
    is FAILED, or not intact, or expired; 3 a claim is unknown that may not be; 2 bad input.

    \b
    Example:
      hardening gate certificate/certificate.json --require-passed --this-code
    """
    directory = directory_of(certificate)
    policy = Policy(
        read_waivers(waivers), read_allow_list(allow), frozenset(claims_named(claims)), timedelta(days=max_age_days)
    )
    report = verify(directory, demands.at_a_gate(policy))
    code = report.gate_exit()
    if as_json:
        click.echo(json.dumps({"open": code is Exit.OK, **report.to_json(), "exit_code": int(code)}, indent=2))
    else:
        for note in report.notes:
            click.echo(f"note: {note}")
        click.echo(f"gate {'open' if code is Exit.OK else 'SHUT'}: {certificate}: {_why(report)}")
    sys.exit(code)


def _why(report: Report) -> str:
    if report.intact:
        return "; ".join([report.result, *report.broken_gates])
    return report.broken if report.first == "result" else f"not intact: {report.first}: {report.broken}"
