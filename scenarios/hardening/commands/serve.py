"""``hardening serve`` runs the Signal Service and its dependencies; ``hardening preflight`` checks a configuration.

In come options and variables of the environment, out come addresses and keys as lines or JSON, and an exit code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from hardening.claims.verdict import Exit
from hardening.faults.run_directory import sweep
from hardening.history.events import EventType, Recorder
from hardening.runs.interrupt import InterruptedRunError, run
from hardening.worlds.live.control import WorldControl
from hardening.worlds.live.launcher import SabotageError, checked_sabotage
from hardening.worlds.live.processes import ProcessError, clean_environment
from hardening.worlds.live.world import LiveWorld
from hardening.worlds.shared.downstreams import NAMES
from hardening.worlds.shared.market import CsvError, CsvMarket
from hardening.worlds.spec import RunContext, WorldSpec


class Forgetful(Recorder):
    """Keeps nothing: a service that runs for days must not fill our memory with its history."""

    def add(
        self,
        t: float,
        process: str,
        type: EventType,  # noqa: A002 - the format's own word
        f: str,
        value: Mapping[str, Any],
        id: str = "",  # noqa: A002 - the format's own word
    ) -> None:
        """Drop it."""


def _describe(world: LiveWorld) -> dict[str, Any]:
    assert world.service.address is not None
    host, port = world.service.address
    urls = {name: service["url"] for name, service in world.settings["downstreams"].items()}
    redis = urlsplit(world.settings["redis_url"])
    key = world.secrets.keys["demo"].key
    url = f"http://{host}:{port}"
    return {
        "service": url,
        "redis": f"{redis.hostname}:{redis.port}",
        **urls,
        "demo_key": key,
        "operator_key": world.secrets.keys["operator"].key,
        "curl": f"curl -s -H 'X-API-Key: {key}' '{url}/v2/signals/AAPL?timeframe=1m'",
        "run_directory": str(world.run.path),
    }


def _write_environment(path: Path, world: LiveWorld) -> None:
    """Variables with which another service, or preflight, uses the same dependencies; whole at once, for us alone."""
    lines = {"REDIS_URL": world.settings["redis_url"], "SERVICE_TOKEN": world.settings["service_token"]}
    lines |= {f"{name.upper()}_SERVICE_URL": one["url"] for name, one in world.settings["downstreams"].items()}
    lines |= {
        "SIGNAL_API_KEYS": json.dumps(world.settings["api_keys"], separators=(",", ":")),
        "SIGNAL_AUDIT_PATH": str(world.run.path / "audit-of-another.jsonl"),
    }
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.writelines(f"{name}={value}\n" for name, value in lines.items())
    new.replace(path)


async def _serve(spec: WorldSpec, env_file: Path | None, *, as_json: bool) -> int:
    world = LiveWorld(spec)
    world.recorder = Forgetful(world.recorder.header)
    for part in (world.downstreams, world.service, world.client):
        part.recorder = world.recorder
    async with world:
        facts = _describe(world)
        if env_file:
            _write_environment(env_file, world)
        if as_json:
            click.echo(json.dumps(facts))
        else:
            for name in ("service", "redis", *NAMES, "demo_key", "operator_key"):
                click.echo(f"{name.replace('_', ' '):13} {facts[name]}")
            click.echo(f"\ntry it:\n  {facts['curl']}\n\nCtrl-C stops everything.")
        async with WorldControl(world, world.run) as control:
            return await control.until_ended(world.service)


@click.command("serve")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free port.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Keys and candles.")
@click.option("--candles", type=click.Path(path_type=Path), help="CSV: time,open,high,low,close,volume[,symbol].")
@click.option("--sabotage", default="", metavar="MUTANT", help="Break the service first: NAME or FILE.py:NAME.")
@click.option("--logs", is_flag=True, help="Show the service's log lines on stderr.")
@click.option("--env-file", type=click.Path(path_type=Path), help="Write variables for another service to this file.")
@click.option("--json", "as_json", is_flag=True, help="Addresses and keys as one line of JSON.")
def serve_command(
    port: int, seed: int, candles: Path | None, sabotage: str, env_file: Path | None, *, logs: bool, as_json: bool
) -> None:
    """Start the service with a real Valkey and fake downstreams; print how to use it.

    REDIS_URL, TICKER_SERVICE_URL, USER_SERVICE_URL, ALERT_SERVICE_URL and COMMS_SERVICE_URL name real ones to use
    instead. No root, no Docker; Ctrl-C stops all, in order, and leaves nothing. While it runs, another terminal
    can break it: hardening faults inject redis_killed --for 10s.

    \b
    Example:
      hardening serve --port 8080
    """
    try:
        if candles:
            CsvMarket.load(candles)
        sabotage = checked_sabotage(sabotage)
    except (CsvError, SabotageError) as error:
        raise click.UsageError(str(error)) from None
    if env_file and (env_file.is_dir() or not os.access(env_file.absolute().parent, os.W_OK)):
        raise click.UsageError(f"--env-file is {str(env_file)!r}, allowed: a file in a directory that can be written")
    sweep()
    urls = {
        name: os.environ[f"{name.upper()}_SERVICE_URL"] for name in NAMES if f"{name.upper()}_SERVICE_URL" in os.environ
    }
    spec = WorldSpec(
        settings={"log_events": "summary"},
        context=RunContext(seed, sabotage=sabotage, candles=str(candles or "")),
        redis_url=os.environ.get("REDIS_URL", ""),
        service_urls=urls,
        port=port,
        scenario="serve",
        echo=(lambda line: click.echo(line, err=True)) if logs else None,
    )
    try:
        code = run(_serve(spec, env_file, as_json=as_json))
    except InterruptedRunError:
        click.echo("stopped; nothing is left running", err=True)
        sys.exit(Exit.OK)
    except ProcessError as error:
        click.echo(f"serve: {error}", err=True)
        sys.exit(Exit.FAILED)
    click.echo(f"serve: the service ended by itself with exit code {code}", err=True)
    sys.exit(Exit.FAILED if code else Exit.OK)


@click.command("preflight")
@click.option("--config", type=click.Path(path_type=Path), required=True, help="JSON or TOML, as the service takes it.")
@click.option("--json", "as_json", is_flag=True, help="ok, problems and notes as JSON.")
def preflight_command(config: Path, *, as_json: bool) -> None:
    """Check a deployment before it serves: its configuration, this machine or container, its dependencies.

    REDIS_URL, SERVICE_TOKEN, TICKER_SERVICE_URL (USER_, ALERT_, COMMS_) and SIGNAL_<FIELD> override the file, as they
    do for the service. One line per fault, all of them at once; notes forbid nothing. Refused are a missing or default
    secret, debug, wildcard CORS, the environment "development", a critical dependency that does not answer, a store
    that forgets what it acknowledged, budgets beyond what the container or machine has, malformed or unknown fields.
    Exit 0 sound, 1 refused, 2 no readable configuration.

    \b
    Example:
      hardening preflight --config service.json
    """
    argv = [
        sys.executable,
        "-m",
        "signal_service",
        "preflight",
        "--config",
        str(config),
        *(["--json"] if as_json else []),
    ]
    passed_on = {
        name: value for name, value in os.environ.items() if name.startswith("SIGNAL_") or name.endswith("_URL")
    }
    passed_on |= {name: os.environ[name] for name in ("SERVICE_TOKEN",) if name in os.environ}
    sys.exit(subprocess.run(argv, check=False, env=clean_environment(passed_on)).returncode)
