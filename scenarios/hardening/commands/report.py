"""``hardening report``: the page of a certificate, rendered again from what is stored beside it.

In comes the certificate's directory, out comes ``certificate.html``; a directory that is none is a usage error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hardening.certificate.manifest import ManifestError, check_sizes
from hardening.certificate.reports.html import render_html
from hardening.history.events import History, HistoryError, read

PAGE_FILE = "certificate.html"


@click.command("report")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write the page here, not beside the certificate.")
@click.option("--json", "as_json", is_flag=True, help="What was written, as JSON on stdout.")
def report_command(directory: Path, out: Path | None, *, as_json: bool) -> None:
    """Render certificate.html from DIRECTORY's certificate.json and histories/.

    Runs nothing and judges nothing. The page that `certify` wrote is digested with the rest of its directory: one
    that reads differently, made by other code, shows in `hardening verify`; --out keeps it elsewhere.

    \b
    Example:
      hardening report certificate --out page.html
    """
    try:
        check_sizes(directory)
    except ManifestError as error:
        raise click.UsageError(f"DIRECTORY is {str(directory)!r}: {error}") from None
    certificate = _certificate(directory)
    histories = _histories(directory)
    target = out or directory / PAGE_FILE
    page = render_html(certificate, histories)
    _write(target, page)
    if as_json:
        written = {"path": str(target), "bytes": len(page.encode()), "histories": sorted(histories)}
        click.echo(json.dumps(written, indent=2, sort_keys=True))
    else:
        click.echo(f"{target}: {len(page.encode()) / 1000:,.0f} kB, {len(histories)} histories")


def _certificate(directory: Path) -> Mapping[str, Any]:
    path = directory / "certificate.json"
    allowed = "allowed: a directory that `hardening certify --out` wrote"
    try:
        certificate = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"DIRECTORY is {str(directory)!r}, {allowed} ({path.name}: {error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"DIRECTORY is {str(directory)!r}, {allowed} ({path.name}: {error})") from None
    if not isinstance(certificate, dict) or not isinstance(certificate.get("predicate"), dict):
        raise click.UsageError(f"DIRECTORY is {str(directory)!r}, {allowed} ({path.name}: it has no predicate)")
    return certificate


def _histories(directory: Path) -> dict[str, History]:
    found: dict[str, History] = {}
    for path in sorted((directory / "histories").glob("*.jsonl")):
        try:
            found[path.stem] = read(path)
        except (HistoryError, UnicodeDecodeError, OSError, RecursionError) as error:
            raise click.UsageError(f"{path} is no history: {error}") from None
    return found


def _write(target: Path, page: str) -> None:
    """Whole or not at all: a page that was there stays until the new one is complete."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.write_text(page, encoding="utf-8")
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise click.UsageError(
            f"--out is {str(target)!r}, allowed: a file that can be written ({error.strerror})"
        ) from None
