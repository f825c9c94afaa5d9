"""``hardening load``: Locust holds a service to its budgets; ``hardening load judge`` judges what it recorded."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from faults.base import FaultError
from faults.schedule import Schedule
from scenarios.chaos.keyboard import stop_key
from scenarios.faults_command import Duration
from scenarios.interrupt import InterruptedRunError, run
from scenarios.judge.verdict import Exit
from scenarios.load_runner import LoadOrder, LoadProblemError, judge_load, run_load
from scenarios.worlds.launcher import SabotageError, load_sabotage

SHAPES = ("steady", "burst", "ramp", "spike", "soak", "open")
RATE_PER_S = 4.9
STAGING_RATE_MAX, STAGING_DURATION_S_MAX = 20.0, 600.0
"""What somebody's real system is spared unless ``--lift-caps`` says otherwise."""

PEAK = {"burst": 10.0, "spike": 10.0, "ramp": 40.0}


class _Shown:
    """Progress on a terminal; nothing elsewhere."""

    def __init__(self, duration_s: float) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("load", total=duration_s)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def on_time(self, seconds: float, what: str) -> None:
        """See ``load_runner.OnTime``."""
        self._bar.update(self._task, completed=seconds, description=what)


def _keys(api_key_env: str, operator_key_env: str) -> dict[str, str]:
    """Keys for somebody's service, by the names of their variables.

    Raises:
        click.UsageError: when a variable is not set.
    """
    found = {}
    for option, variable in (("--api-key-env", api_key_env), ("--operator-key-env", operator_key_env)):
        if variable and not os.environ.get(variable):
            raise click.UsageError(f"{option} is {variable!r}, allowed: a variable that is set and not empty")
        found[option] = os.environ.get(variable, "") if variable else ""
    product = found["--api-key-env"]
    return {"demo": product, "high": product, "low": product, "operator": found["--operator-key-env"]}


def _spare(host: str, shape: str, rate: float, duration_s: float, *, lifted: bool) -> None:
    """Refuse more than a stranger's system should get.

    Raises:
        click.UsageError: naming the option, the value and what is allowed.
    """
    if not host or lifted:
        return
    peak = rate * PEAK.get(shape, 1.0)
    if peak > STAGING_RATE_MAX:
        allowed = f"a peak of at most {STAGING_RATE_MAX:g} requests a second with --host, or --lift-caps"
        raise click.UsageError(f"--rate is {rate:g}, which {shape} drives to {peak:g}, allowed: {allowed}")
    if duration_s > STAGING_DURATION_S_MAX:
        allowed = f"at most {STAGING_DURATION_S_MAX:g} s with --host, or --lift-caps"
        raise click.UsageError(f"--duration is {duration_s:g} s, allowed: {allowed}")


def _check_host(host: str) -> None:
    if host and not host.startswith(("http://", "https://")):
        raise click.UsageError(f"--host is {host!r}, allowed: a URL such as http://127.0.0.1:8080")


def _schedule(path: Path | None, host: str) -> Schedule:
    if path is None:
        return Schedule()
    if host:
        raise click.UsageError(f"--schedule is {str(path)!r}, allowed: only on the embedded service (without --host)")
    try:
        return Schedule.load(path)
    except FaultError as error:
        raise click.UsageError(f"--schedule: {error}") from None


def _check_sabotage(sabotage: str, host: str) -> str:
    if not sabotage:
        return ""
    if host:
        raise click.UsageError(f"--sabotage is {sabotage!r}, allowed: only on the embedded service (without --host)")
    try:
        load_sabotage(sabotage)
    except SabotageError as error:
        raise click.UsageError(str(error)) from None
    file, _, function = sabotage.rpartition(":")
    return f"{Path(file).resolve()}:{function}"


@click.group("load", invoke_without_command=True, short_help="hold a service to its budgets under load")
@click.option("--shape", type=click.Choice(SHAPES), default="steady", show_default=True, help="How load goes.")
@click.option("--duration", "duration_s", type=Duration(), default="60s", show_default=True, help="Such as 90s or 2m.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=RATE_PER_S,
    show_default=True,
    help="Product requests a second at the shape's base.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="All is drawn from it.")
@click.option("--host", default="", help="Somebody's service instead of the embedded one.")
@click.option("--api-key-env", default="", help="NAME of the variable that holds an API key for --host.")
@click.option("--operator-key-env", default="", help="NAME of the variable that holds a metrics key for --host.")
@click.option("--workers", type=click.IntRange(0, 64), default=0, show_default=True, help="Locust workers.")
@click.option("--master", "listen", type=click.IntRange(1, 1000), help="Be a master and wait for so many workers.")
@click.option("--worker", "join", default="", help="HOST:PORT of a master: be a worker of it.")
@click.option("--schedule", type=click.Path(path_type=Path), help="Faults during the run (JSON), embedded only.")
@click.option("--budgets", type=click.Path(path_type=Path), help="TOML laid over the default budgets.")
@click.option("--settings", type=click.Path(path_type=Path), help="JSON laid over the embedded service's settings.")
@click.option("--sabotage", default="", help="FILE.py:NAME: break the embedded service first.")
@click.option("--abort-error-share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="0: never.")
@click.option("--lift-caps", is_flag=True, help="With --host: more than 20 requests a second or ten minutes.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("load"), show_default=True, help="Directory.")
@click.option("--json", "as_json", is_flag=True, help="The verdicts as JSON on stdout.")
@click.pass_context
def load_group(context: click.Context, /, **given: Any) -> None:
    """Ask a service the way its users do, at a chosen shape of load, and judge the budgets.

    Without --host the embedded service is booted (a real Valkey, stand-ins for its downstreams). Users are Locust's,
    drawn from the scenarios' workload model; latencies are raw, and in --shape open measured from the intended
    start. Ctrl-C or q ends it early. Exit 0 all held, 1 one did not, 3 one is unknown that must not be, 2 bad
    input, 4 the harness failed.

    \b
    Example:
      hardening load --shape burst --duration 30s --out load
    """
    if context.invoked_subcommand is None:
        sys.exit(_run(**given))


def _run(
    *,
    shape: str,
    duration_s: float,
    rate: float,
    seed: int,
    host: str,
    api_key_env: str,
    operator_key_env: str,
    workers: int,
    listen: int | None,
    join: str,
    schedule: Path | None,
    budgets: Path | None,
    settings: Path | None,
    sabotage: str,
    abort_error_share: float,
    lift_caps: bool,
    out: Path,
    as_json: bool,
) -> int:
    _check_host(host)
    _spare(host, shape, rate, duration_s, lifted=lift_caps)
    if out.exists() and not out.is_dir():
        raise click.UsageError(f"--out is {str(out)!r}, allowed: a directory")
    if join and not host:
        raise click.UsageError(f"--worker is {join!r}, allowed: only with --host, which every worker must know")
    spec = {
        "shape": shape,
        "duration_s": duration_s,
        "rate_per_s": rate,
        "seed": seed,
        "error_share_max": abort_error_share,
        "workers": max(1, workers or listen or 1),
    }
    order = LoadOrder(
        spec=spec,
        out=out,
        host=host,
        keys=_keys(api_key_env, operator_key_env) if host else {},
        workers=workers,
        join=join,
        listen=listen or 0,
        schedule=_schedule(schedule, host),
        budgets=budgets,
        sabotage=_check_sabotage(sabotage, host),
        settings=_settings(settings),
        as_json=as_json,
    )
    try:
        with _Shown(duration_s) as shown:
            return int(run(_watched(order, shown)))
    except LoadProblemError as error:
        click.echo(f"load: {error}", err=True)
    except InterruptedRunError as error:
        click.echo(f"load: {error}", err=True)
    return int(Exit.HARNESS)


def _settings(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--settings is {str(path)!r}, allowed: a readable JSON file ({error})") from None
    if not isinstance(data, dict):
        raise click.UsageError(f"--settings is {str(path)!r}, allowed: a JSON object")
    return data


async def _watched(order: LoadOrder, shown: _Shown) -> Exit:
    stop = asyncio.Event()
    with stop_key(stop.set):
        return await run_load(order, shown.on_time, stop)


@load_group.command("judge", short_help="judge what a load run recorded, anew")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--budgets", type=click.Path(path_type=Path), help="TOML laid over the default budgets.")
@click.option("--json", "as_json", is_flag=True, help="The verdicts as JSON on stdout.")
def judge_command(folder: Path, budgets: Path | None, *, as_json: bool) -> None:
    """Judge the recorded files of a load run: of this command, or of plain Locust with this project's locustfile.

    \b
    Example:
      hardening load judge load
    """
    sys.exit(int(asyncio.run(judge_load(folder, budgets, as_json=as_json))))
