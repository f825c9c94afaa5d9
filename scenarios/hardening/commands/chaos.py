"""``hardening chaos``: runs a session of faults under load, heals it, judges it and stores it.

In come options or a schedule (seconds), out come lines or a board, the stored session, and an exit code.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from hardening.certificate.provenance import provenance
from hardening.claims.verdict import Exit, Outcome
from hardening.commands.chaos_view import LineView, ScreenView
from hardening.commands.faults import Duration
from hardening.faults.base import FaultError
from hardening.faults.run_directory import sweep
from hardening.faults.schedule import Schedule
from hardening.faults.toxiproxy import ToxiproxyError, find_toxiproxy
from hardening.runs.interrupt import InterruptedRunError, run
from hardening.sessions.chaos.conduct import Done, Facts, conduct
from hardening.sessions.chaos.draw import SHORTEST_S, TAIL_S, NothingToDrawError, draw
from hardening.sessions.chaos.ingredients import PROFILES
from hardening.sessions.chaos.session_plan import SessionPlan, scenario_of
from hardening.sessions.chaos.support import Support, live_support, staging_support
from hardening.sessions.chaos.watch import Limits, Watch
from hardening.sessions.store import DEFAULT, Store
from hardening.worlds.live.launcher import SabotageError, checked_sabotage
from hardening.worlds.spec import RunContext
from hardening.worlds.staging.world import StagingError, StagingSpec, StagingWorld

DURATION_S = 120.0
_SIGNAL_NAMES: Mapping[int, str] = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


@click.command("chaos")
@click.option("--schedule", "schedule_file", type=click.Path(path_type=Path), help="JSON list of {at_s, for_s, fault}.")
@click.option("--profile", type=click.Choice(sorted(PROFILES)), help="Draw from this one; default: everything.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Everything is drawn from it."
)
@click.option(
    "--duration", "duration_s", type=Duration(), help="Of the phase with faults; default 2m, or the schedule's."
)
@click.option("--rate", type=click.FloatRange(0.2, 50), default=4.0, show_default=True, help="Requests a second.")
@click.option(
    "--abort-errors", type=click.FloatRange(0, 1), default=0.9, show_default=True, help="Share of errors in 10 s."
)
@click.option("--abort-latency", type=Duration(), default="8s", show_default=True, help="Of the p95 in 10 s.")
@click.option("--target", help="URL of a staging service instead of our own.")
@click.option("--toxiproxy", help="URL of the Toxiproxy in front of the target's dependencies.")
@click.option("--redis", "redis_url", default="", help="URL of the target's Redis, past the proxy, for Redis faults.")
@click.option("--api-key-env", default="", help="Variable that holds the target's API key.")
@click.option(
    "--link", "links", multiple=True, metavar="LINK=PROXY", help="Which proxy is redis, ticker, user, alert, comms."
)
@click.option("--ask", multiple=True, metavar="PATH", help="GET this instead of our own routes (repeatable).")
@click.option(
    "--sabotage",
    default="",
    metavar="MUTANT",
    help="NAME or FILE.py:NAME breaks the service; the session must turn red.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and touch nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT,
    show_default=True,
    help="Sessions directory.",
)
@click.option("--json", "as_json", is_flag=True, help="Plan or outcome as one JSON object on stdout.")
def chaos_command(**given: Any) -> None:
    """Measure the steady state, break things under load, heal them, await recovery, judge what was recorded.

    On our own service and all it needs (the default), or on a staging stack behind a Toxiproxy: then only the
    links, abusive clients and (with --redis) Redis by commands can be hurt, and no process is touched.
    Too many errors, too much latency, the key q, Ctrl-C and SIGTERM heal everything and end it.

    Exit codes: 0 nothing failed, 1 a claim failed or a limit was exceeded, 2 bad input, 3 nothing was shown (no
    steady state, no fault had an effect, or the world cannot do a fault), 4 stopped by a signal, or a harness error.

    \b
    Profiles: redis-storm, flaky-network, slow-downstreams, process-signals, pressure, clock, everything.

    \b
    Example:
      hardening chaos --profile redis-storm --seed 7 --duration 30s
    """
    as_json, dry_run = bool(given.pop("as_json")), bool(given.pop("dry_run"))
    store = Store(given.pop("out"))
    try:
        order = order_of(**given)
        if dry_run:
            click.echo(json.dumps(order.to_json(), indent=1) if as_json else "\n".join(order.lines()))
            return
        sweep()
        done = _conducted(order, store, as_json=as_json)
    except StagingError as error:
        raise click.UsageError(str(error)) from None
    except ToxiproxyError as error:
        click.echo(f"chaos: --toxiproxy is {given['toxiproxy']!r}, allowed: one that answers ({error})", err=True)
        sys.exit(Exit.USAGE)
    except InterruptedRunError as error:
        click.echo(f"chaos: {error}", err=True)
        sys.exit(Exit.HARNESS)
    _show(done, as_json=as_json)
    sys.exit(done.exit_code)


def order_of(
    *,
    schedule_file: Path | None,
    profile: str | None,
    seed: int,
    duration_s: float | None,
    rate: float,
    abort_errors: float,
    abort_latency: float,
    target: str | None,
    toxiproxy: str | None,
    redis_url: str,
    api_key_env: str,
    links: tuple[str, ...],
    ask: tuple[str, ...],
    sabotage: str,
) -> SessionPlan:
    """The order that the options give; whatever is wrong with them is said here.

    Raises:
        click.UsageError, StagingError: naming the option, the value and what is allowed.
        ToxiproxyError: when the target's does not answer.
    """
    staging = _staging(target, toxiproxy, redis_url, api_key_env, links, ask)
    if target and sabotage:
        raise click.UsageError(f"--sabotage is {sabotage!r}, allowed: only without --target")
    support = _support(staging)
    schedule, name, for_s = _schedule(schedule_file, profile, seed, duration_s, support)
    scenario = scenario_of(
        name, schedule, seed=seed, duration_s=for_s, per_s=rate, ask=ask, settings={} if staging else None
    )
    if staging is not None:
        cut = tuple(timed.fault.target for timed in schedule.faults if timed.fault.kind == "net_down")
        staging = dataclasses.replace(staging, cut=cut, scenario=name, context=RunContext(seed))
    limits = Limits(abort_errors, abort_latency)
    return SessionPlan(scenario, seed, for_s, limits, staging, api_key_env, _sabotage(sabotage))


def _sabotage(given: str) -> str:
    try:
        return checked_sabotage(given)
    except SabotageError as error:
        raise click.UsageError(str(error)) from None


def _staging(
    target: str | None,
    toxiproxy: str | None,
    redis_url: str,
    key_env: str,
    links: tuple[str, ...],
    ask: tuple[str, ...],
) -> StagingSpec | None:
    if target is None:
        given = {
            "--toxiproxy": toxiproxy,
            "--redis": redis_url,
            "--api-key-env": key_env,
            "--link": links,
            "--ask": ask,
        }
        for option, value in given.items():
            if value:
                raise click.UsageError(f"{option} is {value!r}, allowed: only with --target URL")
        return None
    if not toxiproxy:
        raise click.UsageError(
            "--toxiproxy is missing, allowed: URL of the Toxiproxy in front of the target's dependencies"
        )
    if key_env and key_env not in os.environ:
        raise click.UsageError(f"--api-key-env is {key_env!r}, allowed: the name of a variable that is set")
    for path in ask:
        if not path.startswith("/") or any(sign.isspace() for sign in path):
            raise click.UsageError(f"--ask is {path!r}, allowed: a path that begins with / and has no space")
    named: dict[str, str] = {}
    for link in links:
        name, equals, proxy = link.partition("=")
        if not equals or name not in {"redis", "ticker", "user", "alert", "comms"}:
            raise click.UsageError(f"--link is {link!r}, allowed: redis=PROXY, ticker=PROXY, user=, alert=, comms=")
        named[name] = proxy
    return StagingSpec(target, toxiproxy, redis_url, os.environ.get(key_env, "") if key_env else "", named)


def _support(staging: StagingSpec | None) -> Support:
    """What the world can be hurt by; of a staging stack's Toxiproxy only the proxies' names are read."""
    if staging is None:
        try:
            found = find_toxiproxy(os.environ)
        except FileNotFoundError as error:
            raise click.UsageError(str(error)) from None
        return live_support(own_toxics=found.how == "embedded")
    kind, links = asyncio.run(StagingWorld(staging).look())
    return staging_support(links, own_toxics=kind.startswith("embedded"), redis=bool(staging.redis))


def _schedule(
    file: Path | None, profile: str | None, seed: int, duration_s: float | None, support: Support
) -> tuple[Schedule, str, float]:
    """The schedule, the session's name, and how long faults and load last, in seconds."""
    if file is None:
        for_s = DURATION_S if duration_s is None else duration_s
        if for_s < SHORTEST_S:
            raise click.UsageError(f"--duration is {for_s:g} s, allowed: {SHORTEST_S:g}s or more")
        chosen = PROFILES[profile or "everything"]
        try:
            return draw(chosen, support, seed, for_s), chosen.name, for_s
        except NothingToDrawError as error:
            _refuse(f"--profile is {chosen.name!r}, but {error}")
    if profile is not None:
        raise click.UsageError("--profile and --schedule exclude each other")
    assert file is not None
    try:
        schedule = Schedule.load(file)
    except FaultError as error:
        raise click.UsageError(str(error)) from None
    for number, timed in enumerate(schedule.faults):
        missing = support.refusal(timed.fault)
        if missing:
            _refuse(f"schedule[{number}].fault.kind is {timed.fault.kind!r}, but it needs {missing}")
    needed_s = schedule.last_heal_s + TAIL_S
    if duration_s is not None and duration_s < schedule.last_heal_s:
        raise click.UsageError(
            f"--duration is {duration_s:g} s, allowed: {schedule.last_heal_s:g} s (the last heal) or more"
        )
    return schedule, file.stem, max(needed_s, SHORTEST_S) if duration_s is None else duration_s


def _refuse(text: str) -> None:
    """The world cannot: as ``hardening faults inject`` says it."""
    click.echo(f"chaos: {text}", err=True)
    sys.exit(Exit.UNKNOWN)


def _conducted(order: SessionPlan, store: Store, *, as_json: bool) -> Done:
    watch = Watch(limits=order.limits)
    world = order.staging.url if order.staging else "the live world"
    facts = Facts(order.scenario.name, world, order.duration_s, order.scenario.schedule)
    console = Console(stderr=True)
    drawn = console.is_terminal and not as_json
    view = (
        ScreenView(facts, watch, console) if drawn else LineView(facts, watch, lambda line: click.echo(line, err=True))
    )

    def gently(number: int) -> None:
        click.echo(f"{_SIGNAL_NAMES[number]}: healing, then the end (once more: at once)", err=True)
        watch.stop(_SIGNAL_NAMES[number])

    commit = "unknown" if order.staging else provenance().commit
    at = datetime.now(UTC)
    return run(conduct(order, watch, facts, view, store, commit=commit, at=at), gently)


def _show(done: Done, *, as_json: bool) -> None:
    session, stored = done.stored.session, done.stored
    if as_json:
        said = {"session": str(stored.path), "exit_code": int(done.exit_code), "why": done.why}
        click.echo(json.dumps({**said, **session.to_json()}, indent=1))
        return
    for judged in session.verdicts:
        if judged.verdict != Outcome.UNKNOWN:
            click.echo(f"{judged.claim:5} {judged.verdict:8} {judged.reason}".rstrip())
    for bite, bit in session.figures["bites"].items():
        if not bit:
            click.echo(f"no effect: {bite}")
    for phase, figures in session.figures["phases"].items():
        if figures["latency_s_p50"] is not None:
            times = f"p50 {figures['latency_s_p50'] * 1000:.0f} ms, p99 {figures['latency_s_p99'] * 1000:.0f} ms"
            click.echo(f"{phase:9} {figures['requests']:5} requests, {figures['error_share']:.0%} errors, {times}")
    click.echo(f"{done.exit_code.name}: {done.why}")
    click.echo(f"session: {stored.path} (hardening session show {session.name}, hardening replay {session.name})")
