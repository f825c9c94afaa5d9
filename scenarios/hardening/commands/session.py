"""``hardening session``, ``replay`` and ``shrink``: show, compare, repeat, reduce and adopt stored sessions.

In come names or files of sessions, out come lines or JSON, new sessions, and an exit code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from hardening.catalogue.scenario_json import SessionError
from hardening.claims.verdict import Exit
from hardening.faults.run_directory import sweep
from hardening.runs.interrupt import InterruptedRunError
from hardening.sessions.compare import differences
from hardening.sessions.compare import lines as difference_lines
from hardening.sessions.regressions import Pruned, adopt, prune
from hardening.sessions.replay import replay
from hardening.sessions.runners import Runner, Tried, World, in_world, runner_of
from hardening.sessions.session import Session
from hardening.sessions.smaller import NotFailingError, shrink
from hardening.sessions.store import DEFAULT, OWN_REGRESSIONS, Store, Stored
from hardening.sessions.story import story

RUNS_MAX: Mapping[str, int] = {"simulated": 300, "live": 40, "target": 40}
LIVE_TRIES = 2

_DIR = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT,
    show_default=True,
    help="Sessions directory.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")
_WORLD = click.option("--world", type=click.Choice(["simulated", "live"]), help="Carry it into this world.")
_REDIS = click.option("--redis", default="", help="URL of a staging stack's Redis; sessions hold no password.")


def _existing(directory: Path, default: Path) -> Path:
    """A directory that the user names must be there; the default one is made when it is first written."""
    if directory != default and not directory.is_dir():
        raise click.UsageError(f"--dir is {str(directory)!r}, allowed: a directory that exists")
    return directory


def _found(directory: Path, name: str) -> Stored:
    try:
        return Store(directory).find(name)
    except SessionError as error:
        raise click.UsageError(str(error)) from None


def _carried(stored: Stored, world: World | None) -> Session:
    try:
        return in_world(stored.session, world or stored.session.world)
    except SessionError as error:
        raise click.UsageError(str(error)) from None


def _guarded(command: str, work: Callable[[], Exit]) -> None:
    """Run it; what a world refuses and what a signal ends is one line."""
    sweep()
    try:
        code = work()
    except SessionError as error:
        click.echo(f"{command}: {error}", err=True)
        code = Exit.UNKNOWN
    except InterruptedRunError as error:
        click.echo(f"{command}: {error}", err=True)
        code = Exit.HARNESS
    sys.exit(code)


@click.command("replay")
@click.argument("session")
@click.option("--times", type=click.IntRange(1, 1000), default=1, show_default=True, help="How often.")
@_WORLD
@_REDIS
@_DIR
@_JSON
def replay_command(
    session: str, times: int, world: World | None, redis: str, directory: Path, *, as_json: bool
) -> None:
    """Run SESSION (a name or a file) again, and say in how many runs it failed as it did then.

    In the simulated world a run repeats exactly: its trace has the digest that the session holds. In the live world
    k of N reproduce, with the spread of when it failed, latencies and errors.

    Exit codes: 0 nothing failed any more, 1 it still fails, 2 bad input, 3 this world cannot run it, 4 trouble.

    \b
    Example:
      hardening replay flipped-alert --times 3
    """
    stored = _found(directory, session)
    again = _carried(stored, world)

    def said(number: int, tried: Tried) -> None:
        failed = ", ".join(sorted(tried.failed)) or "nothing failed"
        click.echo(f"run {number} of {times}: {tried.problem or failed}", err=True)

    def work() -> Exit:
        with runner_of(again.world, redis) as runner:
            done = replay(again, runner, times, said)
        click.echo(json.dumps(done.to_json(), indent=1) if as_json else "\n".join(done.lines()))
        return done.exit_code

    _guarded("replay", work)


@click.command("shrink")
@click.argument("session")
@click.option("--runs", type=click.IntRange(1, 100_000), help="Runs at most; default: 300 simulated, 40 live.")
@_WORLD
@_REDIS
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File; default: NAME-shrunk beside it.")
@_DIR
@_JSON
def shrink_command(
    session: str,
    runs: int | None,
    world: World | None,
    redis: str,
    out: Path | None,
    directory: Path,
    *,
    as_json: bool,
) -> None:
    """Leave out of SESSION what its failure does not need, and write the story of the rest.

    Faults, reloads, requests and (simulated) decisions go by delta debugging; then everything moves to the beginning.

    Exit codes: 0 shrunk, 1 it does not fail (any more), 2 bad input, 3 this world cannot run it, 4 trouble.

    \b
    Example:
      hardening shrink flipped-alert --world simulated
    """
    stored = _found(directory, session)
    again = _carried(stored, world)
    if not again.failures:
        raise click.UsageError(f"session is {session!r}, allowed: one in which a claim failed")

    def said(number: int, sizes: Mapping[str, int], failed: bool) -> None:
        parts = ", ".join(f"{count} {kind}" for kind, count in sizes.items() if count)
        click.echo(f"run {number}: {parts or 'nothing'}: {'still fails' if failed else 'does not fail'}", err=True)

    def work() -> Exit:
        tries = 1 if again.world == "simulated" else LIVE_TRIES
        try:
            with runner_of(again.world, redis) as runner:
                done = shrink(again, runner, runs_max=runs or RUNS_MAX[again.world], tries=tries, on_run=said)
        except NotFailingError as error:
            click.echo(f"shrink: {error}", err=True)
            return Exit.FAILED
        place = Store(out.parent if out else stored.path.parent)
        name = out.stem if out else done.session.name
        kept = place.save(_named(done.session, name), done.tried.history)
        said_json = {"session": str(kept.path), "runs": done.runs, "before": done.before, "after": done.after}
        if as_json:
            click.echo(json.dumps({**said_json, "story": story(kept.session)}, indent=1))
        else:
            click.echo("\n".join([*done.lines(), "", *story(kept.session), "", f"hardening replay {kept.path}"]))
        return Exit.OK

    _guarded("shrink", work)


def _named(session: Session, name: str) -> Session:
    data: dict[str, Any] = session.to_json() | {"name": name}
    return Session.from_json(data)


@click.group("session")
def session_group() -> None:
    """What ``hardening chaos`` kept, and what was adopted of it.

    \b
    Example:
      hardening session list
    """


@session_group.command("list")
@_DIR
@_JSON
def list_command(directory: Path, *, as_json: bool) -> None:
    """One line for each session, oldest first.

    \b
    Example:
      hardening session list --dir regressions
    """
    found = list(Store(_existing(directory, DEFAULT)).all())
    if as_json:
        click.echo(json.dumps([_row(one) for one in found], indent=1))
        return
    if not found:
        click.echo(f"no session in {directory}: 'hardening chaos' makes one")
    for one in found:
        row = _row(one)
        if "error" in row:
            click.echo(f"not a session: {row['error']}", err=True)
            continue
        outcome = f"FAIL {', '.join(row['failed'])}" if row["failed"] else row["problem"] or row["aborted"] or "ok"
        click.echo(
            f"{row['name']:44} {row['world']:9} {row['faults']:3} faults {row['requests']:5} requests  {outcome}"
        )


def _row(one: Stored | SessionError) -> dict[str, Any]:
    if isinstance(one, SessionError):
        return {"error": str(one)}
    session = one.session
    return {
        "name": session.name,
        "file": str(one.path),
        "world": session.world,
        "seed": session.seed,
        "created_at": session.created_at,
        "faults": len(session.scenario.schedule.faults),
        "requests": len(session.scenario.workload.operations),
        "failed": [judged.claim for judged in session.failures],
        "problem": session.problem,
        "aborted": session.aborted,
    }


@session_group.command("show")
@click.argument("session")
@_DIR
@_JSON
def show_command(session: str, directory: Path, *, as_json: bool) -> None:
    """What was asked in SESSION, what broke, what was observed, which claim.

    \b
    Example:
      hardening session show flipped-alert
    """
    found = _found(directory, session).session
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
        return
    click.echo("\n".join(story(found)))
    for phase, figures in found.figures.get("phases", {}).items():
        shown = ", ".join(f"{name} {value}" for name, value in figures.items() if value is not None)
        click.echo(f"{phase + ':':10} {shown}")


@session_group.command("diff")
@click.argument("one")
@click.argument("other")
@_DIR
@_JSON
def diff_command(one: str, other: str, directory: Path, *, as_json: bool) -> None:
    """What differs between ONE session and the OTHER. Exit 0 when nothing does, else 1.

    \b
    Example:
      hardening session diff flipped-alert lost-reply
    """
    found = differences(_found(directory, one).session, _found(directory, other).session)
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(difference_lines(found)))
    sys.exit(Exit.FAILED if found else Exit.OK)


@session_group.command("adopt")
@click.argument("session")
@click.option("--name", default="", help="Of the regression; default: the session's.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=OWN_REGRESSIONS,
    show_default=True,
    help="Directory; made when it is missing.",
)
@_DIR
@_JSON
def adopt_command(session: str, name: str, into: Path, directory: Path, *, as_json: bool) -> None:
    """Make the failing SESSION a regression test: it is replayed first from now on.

    \b
    Example:
      hardening session adopt 20261125-173000-redis-storm-s7-shrunk --name lost-alert
    """
    try:
        kept = adopt(_found(directory, session), into, name)
    except SessionError as error:
        raise click.UsageError(str(error)) from None
    said = {"session": str(kept.path), "failed": [judged.claim for judged in kept.session.failures]}
    click.echo(
        json.dumps(said)
        if as_json
        else f"adopted as {kept.path}; it fails {', '.join(said['failed'])} until it is fixed"
    )


@session_group.command("prune")
@click.option("--times", type=click.IntRange(1, 100), default=3, show_default=True, help="Runs that must pass.")
@click.option("--keep", is_flag=True, help="Say what would go, remove nothing.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=OWN_REGRESSIONS,
    show_default=True,
    help="Directory of adopted sessions.",
)
@_JSON
def prune_command(times: int, directory: Path, *, keep: bool, as_json: bool) -> None:
    """Replay every failing session of a directory; remove those that pass every time. Exit 1 while any still fails.

    \b
    Example:
      hardening session prune --times 3 --keep
    """
    _existing(directory, OWN_REGRESSIONS)

    def said(one: Pruned) -> None:
        if one.removed:
            text = f"passes {one.runs} of {one.runs} times: {'would go' if keep else 'removed'}"
        else:
            text = f"problem: {one.problem}" if one.problem else f"still fails (run {one.runs})"
        click.echo(f"{one.stored.session.name}: {text}", err=as_json)

    def work() -> Exit:
        with ExitStack() as stack:
            runners: dict[str, Runner] = {}

            def runner_for(session: Session) -> Runner:
                if session.world not in runners:
                    runners[session.world] = stack.enter_context(runner_of(session.world))
                return runners[session.world]

            done = prune(Store(directory), runner_for, times, keep=keep, on_one=said)
        if as_json:
            rows = [
                {
                    "session": str(one.stored.path),
                    "failed": one.failed,
                    "runs": one.runs,
                    "removed": one.removed and not keep,
                    "problem": one.problem,
                }
                for one in done
            ]
            click.echo(json.dumps(rows, indent=1))
        elif not done:
            click.echo(f"no failing session in {directory}")
        if any(one.failed for one in done):
            return Exit.FAILED
        return Exit.HARNESS if any(one.problem for one in done) else Exit.OK

    _guarded("session prune", work)
