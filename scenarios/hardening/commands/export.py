"""``hardening export``: writes a session as an experiment of the Chaos Toolkit or as manifests of Chaos Mesh.

In come a session's name or file and options, out come text in a file or on stdout, and an exit code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from hardening.catalogue.scenario_json import SessionError
from hardening.claims.verdict import Exit
from hardening.faults.network import LINKS
from hardening.sessions.export import chaos_mesh, chaostoolkit
from hardening.sessions.export.chaostoolkit import Exported
from hardening.sessions.session import Session
from hardening.sessions.store import DEFAULT, Store


@click.command("export")
@click.argument("session")
@click.option(
    "--format", "form", type=click.Choice(["chaostoolkit", "chaos-mesh"]), required=True, help="For which tool."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File; default: standard output.")
@click.option("--link", "links", multiple=True, metavar="LINK=PROXY", help="Chaos Toolkit: the proxy of a link.")
@click.option("--namespace", default="default", show_default=True, help="Chaos Mesh: of the pods.")
@click.option(
    "--label",
    default="app.kubernetes.io/name",
    show_default=True,
    help="Chaos Mesh: label of the pods; its value is service, redis, ticker, user, alert or comms.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=80, show_default=True, help="Chaos Mesh: of HTTP.")
@click.option("--apart", is_flag=True, help="Chaos Mesh: a manifest for each fault instead of one Workflow.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT,
    show_default=True,
    help="Sessions directory.",
)
@click.option("--json", "as_json", is_flag=True, help="What was written and what is missing, as JSON.")
def export_command(
    session: str,
    form: str,
    out: Path | None,
    links: tuple[str, ...],
    namespace: str,
    label: str,
    port: int,
    directory: Path,
    *,
    apart: bool,
    as_json: bool,
) -> None:
    """Write SESSION as an experiment of the Chaos Toolkit, or as manifests of Chaos Mesh.

    The experiment needs chaostoolkit and chaostoolkit-toxiproxy, and takes SERVICE_URL, TOXIPROXY_URL and
    SERVICE_API_KEY from the environment; faults of processes go through 'hardening faults inject' into a running
    'hardening serve'. Faults that a cluster has no counterpart for are named on stderr and in the file.

    Exit codes: 0 everything was exported, 2 bad input, 3 nothing could be.

    \b
    Example:
      hardening export flipped-alert --format chaos-mesh --out flipped-alert.yaml
    """
    try:
        found = Store(directory).find(session).session
    except SessionError as error:
        raise click.UsageError(str(error)) from None
    cluster = chaos_mesh.Cluster(namespace, label, port)
    named = _links(links)
    done = (
        chaostoolkit.export(found, named) if form == "chaostoolkit" else chaos_mesh.export(found, cluster, apart=apart)
    )
    _write(done, found, out, as_json=as_json)
    for line in done.missing:
        click.echo(f"export: {line}", err=True)
    faults = len(found.scenario.schedule.faults)
    sys.exit(Exit.UNKNOWN if faults and len(done.missing) == faults else Exit.OK)


def _write(done: Exported, session: Session, out: Path | None, *, as_json: bool) -> None:
    if out is not None:
        try:
            out.write_text(done.text, encoding="utf-8")
        except OSError as error:
            raise click.UsageError(
                f"--out is {str(out)!r}, allowed: a file that can be written ({error.strerror})"
            ) from None
    if as_json:
        said = {"session": session.name, "out": str(out or ""), "missing": list(done.missing)}
        click.echo(json.dumps(said if out else {**said, "text": done.text}, indent=1))
    elif out is None:
        click.echo(done.text, nl=False)


def _links(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for link in given:
        name, equals, proxy = link.partition("=")
        if not equals or name not in LINKS or not proxy:
            raise click.UsageError(f"--link is {link!r}, allowed: {', '.join(f'{one}=PROXY' for one in LINKS)}")
        found[name] = proxy
    return found
