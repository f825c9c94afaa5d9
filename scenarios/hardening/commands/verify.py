"""``hardening verify`` checks a stored certificate; ``hardening keygen`` makes a key to sign with.

In come a certificate's directory and options, out come a line per check and an exit code.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from hardening.certificate.conclude import CERTIFICATE_FILE
from hardening.certificate.provenance import provenance, release
from hardening.certificate.signing import KeyFileError, load_public_key, new_key_pair
from hardening.certificate.verify import Demands, Report, verify
from hardening.claims.verdict import Exit

_DIGEST = re.compile("sha256:[0-9a-f]{64}")


def directory_of(certificate: Path) -> Path:
    """The directory of a certificate, named by itself or by its ``certificate.json``.

    Raises:
        click.UsageError: when there is none.
    """
    directory = certificate if certificate.is_dir() else certificate.parent
    if certificate.is_dir() or (certificate.name == CERTIFICATE_FILE and certificate.exists()):
        return directory
    raise click.UsageError(f"CERTIFICATE is {str(certificate)!r}, allowed: a {CERTIFICATE_FILE}, or its directory")


def demanding(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a verification; it gets them as ``demands``, as of now and of the code here."""

    @click.option("--key", type=click.Path(path_type=Path), help="PEM: it must be signed by this Ed25519 public key.")
    @click.option("--digest", default="", help="It must have this digest of the whole, as certify printed it.")
    @click.option("--require-passed", is_flag=True, help="Only PASSED will do.")
    @click.option("--this-code", is_flag=True, help="It must be about the code that is installed here.")
    @click.option("--code-digest", "about", default="", help="It must be about the code with this digest.")
    @functools.wraps(command)
    def with_demands(
        key: Path | None, digest: str, about: str, *, require_passed: bool, this_code: bool, **others: object
    ) -> None:
        for option, value in (("--digest", digest), ("--code-digest", about)):
            if value and not _DIGEST.fullmatch(value):
                raise click.UsageError(f"{option} is {value!r}, allowed: sha256: and 64 hex digits")
        try:
            public = load_public_key(key, "--key") if key else None
        except KeyFileError as error:
            raise click.UsageError(str(error)) from None
        code = provenance().code_digest
        now = datetime.now(UTC)
        asked = about or (code if this_code else "")
        command(demands=Demands(now, release(), code, public, digest, require_passed, asked), **others)

    return with_demands


def show(report: Report, name: str, *, as_json: bool) -> None:
    """The checks, a line each, then what came of it."""
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2, sort_keys=True))
        return
    for check, said in report.checks:
        click.echo(f"{check:10} holds  {said}")
    for note in report.notes:
        click.echo(f"note: {note}")
    if report.intact:
        click.echo(f"{name}: intact, {report.result}")
    else:
        click.echo(f"{name}: NOT INTACT: {report.first}: {report.broken}")


@click.command("verify")
@click.argument("certificate", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The report on stdout as JSON.")
@demanding
def verify_command(certificate: Path, demands: Demands, *, as_json: bool) -> None:
    """Check a stored certificate without running anything.

    Every file against the digests, the verdicts by judging the stored histories again, the reports by making them
    again, the expiry, and with --key the signature. The first thing that does not hold is named. Exit 0 intact,
    1 not intact (or not PASSED where that is required), 2 bad input.

    \b
    Example:
      hardening verify certificate/certificate.json
    """
    directory = directory_of(certificate)
    report = verify(directory, demands)
    show(report, str(certificate), as_json=as_json)
    sys.exit(Exit.OK if report.intact else Exit.FAILED)


@click.command("keygen")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Files and key id as JSON.")
def keygen_command(file: Path, *, as_json: bool) -> None:
    """Write a private key to FILE (readable by you alone) and its public key to FILE.pub.

    Neither file may exist. Exit 0 written, 2 bad input.

    \b
    Example:
      hardening keygen signing.pem
    """
    public_file = file.with_name(file.name + ".pub")
    private, public, name = new_key_pair()
    for path in (file, public_file):
        if path.exists():
            raise click.UsageError(f"FILE is {str(path)!r}, allowed: a file that is not there yet")
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(private)
        public_file.write_bytes(public)
    except OSError as error:
        raise click.UsageError(
            f"FILE is {str(file)!r}, allowed: a file in a writable place ({error.strerror})"
        ) from None
    if as_json:
        click.echo(json.dumps({"private": str(file), "public": str(public_file), "key_id": name}))
        return
    click.echo(f"{file} (keep it secret), {public_file}; key id {name}")
