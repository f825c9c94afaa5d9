"""``hardening faults``: list and describe faults, inject one into a running ``hardening serve``, clean up after kills.

In: a kind, its parameters, a duration; out: lines for a person, or JSON. Exit codes: 0 the fault had an effect and is
healed, 1 it could not be healed, 2 bad input, 3 no effect or not possible in this world, 4 the world or harness
failed.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import click

from hardening.claims.verdict import Exit
from hardening.faults.base import Fault, FaultError
from hardening.faults.catalogue import CATALOGUE, build
from hardening.faults.run_directory import default_root, described, sweep
from hardening.runs.interrupt import InterruptedRunError, run
from hardening.worlds.live.control import CLEAN_UP, SOCKET, inject_into
from hardening.worlds.rpc import RefusedError

_EXITS: Mapping[str, Exit] = {"usage": Exit.USAGE, "unsupported": Exit.UNKNOWN, "heal": Exit.FAILED}
_UNITS_S: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType):  # type: ignore[type-arg]
    """``10s``, ``500ms``, ``2m``; a bare number is seconds. The value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds; anything else is a usage error."""
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)?", str(value))
        if found is None:
            self.fail(f"{value!r} is no duration, allowed: 500ms, 10s, 2m, 1h", param, ctx)
        return float(found[1]) * _UNITS_S[found[2] or "s"]


@click.group("faults", short_help="list, describe and inject faults; clean up after killed runs")
def faults_group() -> None:
    """Every fault there is, for a person at a terminal.

    \b
    Example:
      hardening serve --port 8080 &
      hardening faults inject redis_killed --for 10s
    """


@faults_group.command("list", short_help="every kind of fault, a line each")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_command(*, as_json: bool) -> None:
    """One line for each kind of fault.

    \b
    Example:
      hardening faults list
    """
    if as_json:
        click.echo(json.dumps([_described(fault) for fault in CATALOGUE.values()], indent=1))
        return
    width = max(map(len, CATALOGUE))
    for kind, fault in sorted(CATALOGUE.items()):
        click.echo(f"{kind:{width}}  {fault.summary}")


@faults_group.command("describe", short_help="what a kind does, on what, with which parameters")
@click.argument("kind")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def describe_command(kind: str, *, as_json: bool) -> None:
    """What KIND does, on what, with which parameters.

    \b
    Example:
      hardening faults describe redis_killed
    """
    said = _described(_kind(kind))
    if as_json:
        click.echo(json.dumps(said, indent=1))
        return
    click.echo(f"{kind}: {said['summary']}\n\n{said['text']}\n")
    click.echo(f"targets: {', '.join(said['targets'])} (default {said['targets'][0]})")
    for name, field in said["parameters"].items():
        click.echo(f"  {name} = {json.dumps(field['default'])}  ({field['type']})")
    click.echo(f"\nin a schedule: {json.dumps(said['example'])}")


@faults_group.command("inject", short_help="break a running serve, hold it, heal it, say what effect it had")
@click.argument("kind")
@click.option("--target", default="", help="Which one of the kind's targets; default: its first.")
@click.option("--for", "for_s", type=Duration(), default="10s", show_default=True, help="How long until it heals.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter; may be given several times.")
@click.option("--world", type=click.Path(path_type=Path), help="Run directory of the world; needed where several run.")
@click.option("--json", "as_json", is_flag=True, help="Each answer as one line of JSON.")
def inject_command(
    kind: str, target: str, for_s: float, settings: tuple[str, ...], world: Path | None, *, as_json: bool
) -> None:
    """Inject KIND into a running ``hardening serve``, hold it, heal it, and say what effect it had.

    Ctrl-C heals at once. Exit codes: 0 it had an effect and is healed, 1 it could not be healed,
    3 it had no effect, or this world cannot do it.

    \b
    Example:
      hardening faults inject memory_pressure --set held_mb=200 --for 30s
    """
    _kind(kind)
    data = {"kind": kind, **({"target": target} if target else {}), **_parameters(settings)}
    try:
        fault = build(data)
    except FaultError as error:
        raise click.UsageError(str(error)) from None
    try:
        sys.exit(run(_inject(_world(world), fault, for_s, as_json=as_json)))
    except OSError as error:
        click.echo(f"faults inject: no world listens any more ({error}); {CLEAN_UP}", err=True)
        sys.exit(Exit.HARNESS)
    except RefusedError as error:
        click.echo(f"faults inject: {error}", err=True)
        sys.exit(_EXITS.get(error.kind, Exit.HARNESS))
    except InterruptedRunError:
        click.echo("interrupted; the fault is healed", err=True)
        sys.exit(Exit.HARNESS)


async def _inject(world: Path, fault: Fault, for_s: float, *, as_json: bool) -> Exit:
    effective = False
    async for answer in inject_into(world, fault, for_s):
        effective = bool(answer.get("bit", False))
        if as_json:
            click.echo(json.dumps({**answer, "world": str(world)}))
        elif answer["state"] == "injected":
            click.echo(f"injected {fault.kind} into {fault.target} of {described(world)} for {for_s:g} s")
        else:
            counts = ", ".join(f"{name} {count:g}" for name, count in answer["bite"].items()) or "nothing counted"
            click.echo(f"healed; {'effect' if effective else 'no effect'}: {counts}")
    return Exit.OK if effective else Exit.UNKNOWN


@faults_group.command("clean", short_help="remove what killed runs left behind")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def clean_command(*, as_json: bool) -> None:
    """Remove what killed runs left behind: processes, limits, directories. Live runs are not touched.

    \b
    Example:
      hardening faults clean
    """
    cleaned = sweep()
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(cleaned)))
    else:
        for name in cleaned.directories:
            click.echo(f"removed {name}")
        for owned in cleaned.killed:
            click.echo(f"killed {owned.name} ({owned.pid})")
        for line in cleaned.undone:
            click.echo(f"undone {line}")
        for line in cleaned.failed:
            click.echo(f"could not undo {line}", err=True)
        if not cleaned.directories and not cleaned.failed:
            click.echo("nothing was left behind")
    sys.exit(Exit.FAILED if cleaned.failed else Exit.OK)


def _kind(kind: str) -> type[Fault]:
    if kind not in CATALOGUE:
        raise click.UsageError(f"fault.kind is {kind!r}, allowed: {', '.join(sorted(CATALOGUE))}")
    return CATALOGUE[kind]


def _parameters(settings: tuple[str, ...]) -> dict[str, Any]:
    """``NAME=VALUE`` pairs; a value is JSON where it is, else text."""
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.isidentifier() or name in {"kind", "target"}:
            raise click.UsageError(f"--set is {setting!r}, allowed: NAME=VALUE (a parameter of the fault)")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _world(given: Path | None) -> Path:
    """The run directory to act on.

    Raises:
        click.UsageError: when there is none, or more than one to choose from.
    """
    if given is not None:
        if not (given / SOCKET).exists():
            raise click.UsageError(
                f"--world is {str(given)!r}, allowed: the run directory of a running hardening serve"
            )
        return given
    found = [path.parent for path in sorted(default_root().glob(f"run-*/{SOCKET}")) if _listens(path)]
    if not found:
        raise click.UsageError("no world runs: start one with 'hardening serve'")
    if len(found) > 1:
        raise click.UsageError("\n  ".join(["several worlds run, choose one by --world:", *map(described, found)]))
    return found[0]


def _listens(path: Path) -> bool:
    """False for the socket that a killed world left."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _described(fault: type[Fault]) -> dict[str, Any]:
    hints = get_type_hints(fault)
    parameters = {
        spec.name: {"type": getattr(hints[spec.name], "__name__", str(hints[spec.name])), "default": _default(spec)}
        for spec in dataclasses.fields(fault)
        if spec.name != "target"
    }
    example = {"kind": fault.kind, "target": fault.targets[0]}
    example |= {name: field["default"] for name, field in parameters.items() if field["default"] is not None}
    return {
        "kind": fault.kind,
        "summary": fault.summary,
        "text": inspect.getdoc(fault) or "",
        "acts_on": fault.protocol,
        "targets": list(fault.targets),
        "parameters": parameters,
        "example": {"at_s": 1, "for_s": 10, "fault": example},
    }


def _default(spec: dataclasses.Field[Any]) -> Any:
    if spec.default is not dataclasses.MISSING:
        return spec.default
    return None if spec.default_factory is dataclasses.MISSING else spec.default_factory()
