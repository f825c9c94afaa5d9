"""``hardening load``: runs Locust as a subprocess with progress, then judges the run.

In come options and files, out come a line per budget and an exit code. Locust and the judge are never imported here.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from hardening.certificate.extras import needs
from hardening.certificate.provenance import provenance
from hardening.claims.verdict import Exit
from hardening.commands.faults import Duration
from hardening.commands.load_view import LoadView
from hardening.faults.base import FaultError
from hardening.faults.run_directory import sweep
from hardening.faults.schedule import Schedule
from hardening.runs.interrupt import InterruptedRunError, run
from hardening.runs.load import (
    USUAL,
    LoadOptions,
    LocustRun,
    live_spec,
    load_plan,
    locustfile,
    run_embedded,
    run_remote,
    worker_argv,
)
from hardening.worlds.live.launcher import SabotageError, checked_sabotage
from hardening.worlds.spec import WorldSpec, wrong_settings

SHAPES = tuple(USUAL)
PEAKS: Mapping[str, float] = {"burst": 10.0, "spike": 20.0, "ramp": 10.0}
"""How many times its rate a shape offers at its peak; a test holds them to the shapes."""
RATE_CAP_PER_S, DURATION_CAP_S = 60.0, 600.0
"""Against somebody's real system, unless ``--lift-caps`` says otherwise."""
USER_KEYS, OPERATOR_KEYS = ("demo", "high", "low", "reader"), ("operator", "scraper")


def _print_locustfile(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        click.echo(locustfile())
        context.exit()


@click.group("load", invoke_without_command=True)
@click.option("--shape", type=click.Choice(SHAPES), help="How the rate changes over time.")
@click.option("--host", default="", help="URL of a running service; without it one is booted here.")
@click.option("--api-key-env", default="", metavar="NAME", help="Variable that holds the users' API key (with --host).")
@click.option("--operator-key-env", default="", metavar="NAME", help="Variable that holds a key for /metrics.")
@click.option("--duration", type=Duration(), help="How long requests are started; default: the shape's own.")
@click.option("--rate", type=click.FloatRange(0.01, 100_000), help="Product requests a second to draw it around.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Every request is drawn from it."
)
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Locust processes here.")
@click.option("--master", is_flag=True, help="Wait for --workers on other machines instead of starting them.")
@click.option("--worker", is_flag=True, help="Work for a master elsewhere.")
@click.option("--master-host", default="127.0.0.1", show_default=True, help="Where the master is (with --worker).")
@click.option("--master-port", type=click.IntRange(1, 65535), default=5557, show_default=True, help="Its port.")
@click.option(
    "--schedule", type=click.Path(path_type=Path), help="JSON list of timed faults (the booted service only)."
)
@click.option("--settings", type=click.Path(path_type=Path), help="JSON laid over the booted service's settings.")
@click.option(
    "--sabotage",
    default="",
    help="NAME or FILE.py:NAME: break the booted service by this mutant; the run must turn red.",
)
@click.option("--budgets", type=click.Path(path_type=Path), help="TOML laid over the default budgets.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("load-results"), show_default=True)
@click.option("--abort-errors", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Share that ends it.")
@click.option("--no-lone-client", is_flag=True, help="Do not wait, alone, for the slot that a last 429 named.")
@click.option("--lift-caps", is_flag=True, help=f"Allow more than {RATE_CAP_PER_S:g}/s or {DURATION_CAP_S:g} s.")
@click.option(
    "--print-locustfile",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_locustfile,
    help="Print the path of the file for plain Locust's -f, and end.",
)
@click.option("--json", "as_json", is_flag=True, help="load.json on stdout, nothing else.")
@click.pass_context
def load_command(context: click.Context, /, **given: Any) -> None:
    """Load the service with Locust, watch it, and judge what was recorded against its budgets.

    Without --host a service with all it needs is booted on loopback for the run. Against a running service (--host)
    rate and duration are capped, and no fault is ever injected. On a terminal, q ends a run early. Exit 0 every
    budget held, 1 one did not, 2 bad input, 3 one that the shape exists for was not exercised, 4 harness error.

    \b
    Example:
      hardening load --shape burst --out load-results
    """
    if context.invoked_subcommand is not None:
        return
    needs("locust")
    if given["worker"]:
        sys.exit(_work(given))
    if not given["shape"]:
        raise click.UsageError(f"--shape is missing, allowed: {', '.join(SHAPES)}")
    options = _options(given)
    _check_budgets(given["budgets"])
    problem = _run(options, as_json=given["as_json"])
    if problem:
        click.echo(f"load: {problem}", err=True)
        if not list(options.out.glob("requests-*.jsonl")):
            sys.exit(Exit.HARNESS)
    code = _judge(options.out, given["budgets"], as_json=given["as_json"])
    sys.exit(code if not problem or code == Exit.FAILED else Exit.HARNESS)


@load_command.command("judge")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--budgets", type=click.Path(path_type=Path), help="TOML laid over the default budgets.")
@click.option("--json", "as_json", is_flag=True, help="load.json on stdout, nothing else.")
def judge_command(directory: Path, budgets: Path | None, *, as_json: bool) -> None:
    """Judge the raw files that a run, or plain Locust, left in DIRECTORY; write the reports again.

    \b
    Example:
      hardening load judge load-results
    """
    sys.exit(_judge(directory, budgets, as_json=as_json))


def _load_module(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hardening.load", *arguments]


def _judge(directory: Path, budgets: Path | None, *, as_json: bool) -> int:
    argv = _load_module("judge", str(directory), *(["--budgets", str(budgets)] if budgets else []))
    return subprocess.run([*argv, *(["--json"] if as_json else [])], check=False).returncode


def _check_budgets(budgets: Path | None) -> None:
    """Bad budgets are refused before anything is booted."""
    if budgets is None:
        return
    done = subprocess.run(_load_module("check", "--budgets", str(budgets)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.UsageError(done.stderr.strip() or f"--budgets is {str(budgets)!r}")


def _key(name: str, option: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise click.UsageError(f"{option} is {name!r}, allowed: the name of a variable that holds a key")
    return value


def _keys(given: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    if not given["api_key_env"]:
        raise click.UsageError("--api-key-env is missing, allowed: the name of a variable that holds a key")
    user = _key(given["api_key_env"], "--api-key-env")
    keys = {name: {"key": user, "user": "", "priority": "normal"} for name in USER_KEYS}
    if given["operator_key_env"]:
        operator = _key(given["operator_key_env"], "--operator-key-env")
        keys |= {name: {"key": operator, "user": "", "priority": "high"} for name in OPERATOR_KEYS}
    return keys


def _check_host(given: Mapping[str, Any], rate: float, duration_s: float) -> None:
    """What is allowed against somebody's own system."""
    parts = urlsplit(given["host"])
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise click.UsageError(f"--host is {given['host']!r}, allowed: http://HOST[:PORT] or https://HOST[:PORT]")
    for name in ("schedule", "settings", "sabotage"):
        if given[name]:
            raise click.UsageError(
                f"--{name} is {str(given[name])!r}, allowed: only without --host, on our own service"
            )
    peak = rate * PEAKS.get(given["shape"], 1.0)
    if not given["lift_caps"] and peak > RATE_CAP_PER_S:
        raise click.UsageError(f"the peak is {peak:g} requests/s, allowed: {RATE_CAP_PER_S:g} without --lift-caps")
    if not given["lift_caps"] and duration_s > DURATION_CAP_S:
        raise click.UsageError(f"--duration is {duration_s:g} s, allowed: {DURATION_CAP_S:g} s without --lift-caps")


def _options(given: Mapping[str, Any]) -> LoadOptions:
    """Check everything before anything is started.

    Raises:
        click.UsageError: naming the option, the value and what is allowed.
    """
    shape, host = given["shape"], given["host"].rstrip("/")
    plan = load_plan(
        shape,
        given["rate"],
        given["duration"],
        seed=given["seed"],
        workers=given["workers"],
        embedded=not host,
        abort_error_share=given["abort_errors"],
        lone_client=not given["no_lone_client"],
        tag=f"{int(time.time())}-" if host else "",
    )
    rate, duration_s = plan["rate_per_s"], plan["duration_s"]
    if duration_s < 1:
        raise click.UsageError(f"--duration is {duration_s:g} s, allowed: 1 s or more")
    if given["out"].exists() and not given["out"].is_dir():
        raise click.UsageError(f"--out is {str(given['out'])!r}, allowed: a directory")
    if not math.isfinite(rate):
        raise click.UsageError(f"--rate is {rate:g}, allowed: a number from 0.01 to 100000")
    if given["master"] and not host:
        raise click.UsageError("--master is given, allowed: only with --host")
    for name in ("api_key_env", "operator_key_env"):
        if given[name] and not host:
            raise click.UsageError(f"--{name.replace('_', '-')} is {given[name]!r}, allowed: only with --host")
    if host:
        _check_host(given, rate, duration_s)
    code = provenance()
    return LoadOptions(
        plan,
        given["out"],
        host,
        _keys(given) if host else {},
        _schedule(given["schedule"]),
        _spec(given, plan, code.commit) if not host else WorldSpec(),
        given["workers"] if given["master"] else 0,
        given["master_port"] if given["master"] else 0,
        None if host else code,
    )


def _schedule(path: Path | None) -> Schedule:
    try:
        return Schedule.load(path) if path else Schedule()
    except FaultError as error:
        raise click.UsageError(f"--schedule: {error}") from None


def _spec(given: Mapping[str, Any], plan: Mapping[str, Any], commit: str) -> WorldSpec:
    settings: dict[str, Any] = {}
    if given["settings"]:
        try:
            settings = json.loads(given["settings"].read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise click.UsageError(
                f"--settings is {str(given['settings'])!r}, allowed: a JSON file ({error})"
            ) from None
        if not isinstance(settings, dict):
            raise click.UsageError(f"--settings is {str(given['settings'])!r}, allowed: a file with one JSON object")
        if problems := wrong_settings(settings):
            raise click.UsageError(f"--settings: {'; '.join(problems)}")
    try:
        sabotage = checked_sabotage(given["sabotage"])
    except SabotageError as error:
        raise click.UsageError(str(error)) from None
    return live_spec(plan, settings=settings, sabotage=sabotage, commit=commit)


def _run(options: LoadOptions, *, as_json: bool) -> str:
    """Run it; the problem that cut it short, empty for none."""
    sweep()
    options.out.mkdir(parents=True, exist_ok=True)
    for old in ("world.jsonl", "plan.json", "requests-*.jsonl", "observed*.jsonl"):
        for path in options.out.glob(old):
            path.unlink()
    with LoadView(options.plan, quiet=as_json) as view:

        async def work() -> str:
            with ExitStack() as keys:

                def begun(locust: LocustRun) -> None:
                    keys.enter_context(view.stop_on_key(locust.stop_early))

                one = run_remote if options.host else run_embedded
                return await one(options, view.show, begun)

        try:
            return run(work())
        except InterruptedRunError as error:
            return str(error)


def _work(given: Mapping[str, Any]) -> int:
    """Be a worker of a master elsewhere: the plan comes from there as far as rates go, keys are our own."""
    if not given["host"]:
        raise click.UsageError("--host is missing, allowed: the same as the master's")
    options = _options({**given, "shape": given["shape"] or "steady", "master": False})
    environment = {
        **os.environ,
        "LOAD_PLAN": json.dumps({**options.plan, "host": options.host}),
        "LOAD_KEYS": json.dumps(options.keys),
    }
    argv = worker_argv(options.host, given["master_host"], given["master_port"])
    with suppress(KeyboardInterrupt):
        return subprocess.run(argv, check=False, env=environment).returncode
    return Exit.HARNESS
