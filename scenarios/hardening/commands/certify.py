"""``hardening certify``: shows progress while it runs, a table when it is done, and exits as the *Result* table says.

In come options, checked before anything is started; out come the certificate's directory and an exit code.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.table import Table

from hardening.catalogue.scenario_json import SessionError
from hardening.catalogue.selection import live_names, simulated_scenarios
from hardening.certificate.baseline import Baseline, BaselineError
from hardening.certificate.conclude import Outcome, foreign
from hardening.certificate.provenance import provenance
from hardening.certificate.signing import KeyFileError, load_private_key
from hardening.certificate.verify import UNSIGNED
from hardening.certify.job import BUDGET_S, CertifyOptions, World, certify
from hardening.certify.load_evidence import LoadEvidenceError, read_load
from hardening.claims.verdict import Exit
from hardening.commands.board import Board
from hardening.commands.faults import Duration
from hardening.commands.terms import claims_named, read_allow_list, read_waivers
from hardening.runs.interrupt import InterruptedRunError, run
from hardening.runs.load import USUAL
from hardening.sessions.regressions import adopted
from hardening.sessions.store import Stored
from hardening.worlds.live.launcher import SabotageError, checked_sabotage
from hardening.worlds.shared.market import CsvError, CsvMarket
from hardening.worlds.spec import RunContext

_STYLE = {"PASS": "green", "FAIL": "bold red", "UNKNOWN": "yellow"}


def table_of(certificate: dict[str, Any]) -> Table:
    """The verdicts, a row a claim."""
    table = Table(title=f"Certificate: {certificate['predicate']['result']}", title_justify="left")
    table.add_column("claim")
    table.add_column("what")
    table.add_column("verdict")
    table.add_column("premise", justify="right")
    table.add_column("why")
    for claim in certificate["predicate"]["claims"]:
        verdict = f"[{_STYLE[claim['verdict']]}]{claim['verdict']}[/]{_excused(claim)}"
        table.add_row(claim["id"], claim["title"], verdict, str(claim["premise_count"]), claim["reason"][:160])
    return table


def plain_lines(certificate: dict[str, Any]) -> list[str]:
    """The verdicts without any drawing, a line a claim: for pipes, logs and grep."""
    claims = certificate["predicate"]["claims"]
    width = max(len(claim["title"]) for claim in claims)
    lines = []
    for claim in claims:
        verdict = f"{claim['verdict']}{_excused(claim)}"
        text = f"{claim['id']:5} {verdict:17} {claim['premise_count']:5}  {claim['title']:{width}}  {claim['reason']}"
        lines.append(text.rstrip())
    return lines


def _excused(claim: dict[str, Any]) -> str:
    """Why a claim that does not pass stops nothing, in brackets; empty for all others."""
    return f" ({claim['standing']})" if claim["standing"] in {"allowed", "waived"} else ""


def _check_files(sabotage: str, candles: Path | None) -> str:
    """Load both before anything is started; returns the sabotage as other processes can read it.

    Raises:
        click.UsageError: naming the option, the value and what is allowed.
    """
    try:
        if candles:
            CsvMarket.load(candles)
        return checked_sabotage(sabotage)
    except (SabotageError, CsvError) as error:
        raise click.UsageError(str(error)) from None


def _check_only(only: tuple[str, ...], seed: int, world: World) -> None:
    live = live_names() if world != "simulated" else []
    simulated = list(simulated_scenarios(seed)) if world != "live" else []
    for name in only:
        if name not in {*live, *simulated}:
            raise click.UsageError(f"--only is {name!r}, allowed: {', '.join(sorted({*live, *simulated}))}")


def _with_terms(
    options: CertifyOptions, waivers: Path | None, sign_key: Path | None, baseline: Path | None
) -> CertifyOptions:
    """Add the files with the terms of the result, each checked before anything is started.

    Raises:
        click.UsageError: naming the option or the waiver, the value and what is allowed.
    """
    try:
        return replace(
            options,
            waivers=read_waivers(waivers),
            sign_key=load_private_key(sign_key, "--sign-key") if sign_key else None,
            baseline=Baseline.load(baseline) if baseline else None,
        )
    except (KeyFileError, BaselineError) as error:
        raise click.UsageError(str(error)) from None


def _regressions(directory: Path | None) -> tuple[Stored, ...]:
    """Read them all before anything is started; one that cannot be read must not be passed over.

    Raises:
        click.UsageError: naming the file or the option, the value and what is allowed.
    """
    if directory is not None and not directory.is_dir():
        raise click.UsageError(f"--regressions is {str(directory)!r}, allowed: a directory")
    try:
        return tuple(adopted(*([directory] if directory else [])))
    except SessionError as error:
        raise click.UsageError(f"--regressions: {error}") from None


def _check_load(options: CertifyOptions) -> None:
    """What is asked about load, checked before anything is started.

    Raises:
        click.UsageError: naming the option, the value and what is allowed.
    """
    if options.load and options.load_dir:
        raise click.UsageError(f"--load-dir is {str(options.load_dir)!r}, allowed: only without --load")
    if options.load and options.world == "simulated":
        raise click.UsageError(f"--load is {options.load!r}, allowed: only with --world both or live")
    if options.load_duration_s is not None and not options.load:
        raise click.UsageError(f"--load-duration is {options.load_duration_s:g} s, allowed: only with --load")
    if options.load_duration_s is not None and options.load_duration_s < 1:
        raise click.UsageError(f"--load-duration is {options.load_duration_s:g} s, allowed: 1 s or more")
    if options.load_dir:
        try:
            read_load(options.load_dir, provenance())
        except LoadEvidenceError as error:
            raise click.UsageError(f"--load-dir: {error}") from None


@click.command("certify")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory of the certificate.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Everything is drawn from it."
)
@click.option(
    "--world",
    type=click.Choice(["both", "simulated", "live"]),
    default="both",
    show_default=True,
    help="Virtual time, real processes, or both (only both can be PASSED).",
)
@click.option(
    "--budget-s",
    type=click.FloatRange(1, 86_400),
    default=BUDGET_S,
    show_default=True,
    help="Wall seconds: more schedules and more live confirmations with more of them.",
)
@click.option(
    "--prove",
    type=click.Choice(["all", "sample"]),
    is_flag=False,
    flag_value="all",
    help="Try the shipped mutants as well: all, or (--prove=sample) a seeded fifth.",
)
@click.option("--allow-unknown", "allow", type=click.Path(path_type=Path), help="File of claims that may be UNKNOWN.")
@click.option("--claims", default="", help="Only these claims or components, such as C2,C5.3 (never PASSED).")
@click.option("--only", multiple=True, help="Only this scenario (repeatable; never PASSED).")
@click.option(
    "--sabotage",
    default="",
    metavar="MUTANT",
    help="NAME or FILE.py:NAME breaks the service; the run must turn red.",
)
@click.option("--candles", type=click.Path(path_type=Path), help="CSV of candles for the fake ticker.")
@click.option("--load", "load", type=click.Choice(tuple(USUAL)), help="Load the service as well; its budgets count.")
@click.option("--load-duration", type=Duration(), help="How long --load starts requests; default: the shape's own.")
@click.option("--load-dir", type=click.Path(path_type=Path), help="Take a run of `hardening load` as evidence instead.")
@click.option("--waivers", type=click.Path(path_type=Path), help="TOML of claims excused: owner, reason, expiry.")
@click.option("--sign-key", type=click.Path(path_type=Path), help="PEM: sign with this Ed25519 private key.")
@click.option("--baseline", type=click.Path(path_type=Path), help="An older certificate.json: say what changed.")
@click.option(
    "--regressions",
    type=click.Path(path_type=Path),
    help="Directory of adopted sessions that are replayed first  [default: the shipped ones and ./regressions]",
)
@click.option("--json", "as_json", is_flag=True, help="The certificate on stdout, nothing else.")
def certify_command(*, as_json: bool, **given: Any) -> None:
    """Run the service through faults, judge what was recorded, write the certificate.

    The whole service runs in virtual time under many schedules, and as real processes on loopback (a real Valkey,
    fake downstreams, the service). It needs neither root nor Docker, and leaves nothing running. Exit 0 PASSED or
    WARNED, 1 a claim failed or a sabotage went undetected, 3 a claim is unknown that may not be, 2 bad input, 4 the
    harness itself failed.

    \b
    Example:
      hardening certify --out certificate --budget-s 60
    """
    options = _options(**given)
    console = Console(stderr=True, soft_wrap=True) if as_json else Console()
    try:
        with _reserved(options.out), Board(Console(stderr=True)) as board:
            outcome = run(certify(options, board))
    except InterruptedRunError as error:
        click.echo(f"certify: {error}", err=True)
        sys.exit(Exit.HARNESS)
    _show(outcome, options.out, console, as_json=as_json)
    sys.exit(outcome.exit_code)


def _options(
    *,
    out: Path,
    seed: int,
    world: World,
    budget_s: float,
    prove: Literal["all", "sample"] | None,
    allow: Path | None,
    claims: str,
    only: tuple[str, ...],
    sabotage: str,
    candles: Path | None,
    load: str | None,
    load_duration: float | None,
    load_dir: Path | None,
    regressions: Path | None,
    **terms: Path | None,
) -> CertifyOptions:
    """What is to be run, everything checked before anything is started.

    Raises:
        click.UsageError: naming the option, the value and what is allowed.
    """
    _check_out(out)
    allowed, sabotage = read_allow_list(allow), _check_files(sabotage, candles)
    _check_only(only, seed, world)
    options = CertifyOptions(
        out=out,
        context=RunContext(seed, sabotage=sabotage, candles=str(candles.resolve()) if candles else ""),
        allowed_unknown=allowed,
        claims=claims_named(claims),
        only=only,
        world=world,
        budget_s=budget_s,
        prove=prove or "none",
        regressions=_regressions(regressions),
        load=load or "",
        load_duration_s=load_duration,
        load_dir=load_dir,
    )
    _check_load(options)
    return _with_terms(options, **terms)


def _check_out(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise click.UsageError(f"--out is {str(out)!r}, allowed: a directory")
    if found := foreign(out):
        raise click.UsageError(f"--out is {str(out)!r}, which holds {found[0]!r}, allowed: a new or empty directory")


@contextmanager
def _reserved(out: Path) -> Iterator[None]:
    """Inside, the directory is there and belongs to this process alone; children do not inherit the lock."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        lock = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise click.UsageError(
            f"--out is {str(out)!r}, allowed: a directory that can be written ({error.strerror})"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = f"--out is {str(out)!r}, where another certify is at work, allowed: another directory"
            raise click.UsageError(said) from None
        yield
    finally:
        os.close(lock)


def _show(outcome: Outcome, out: Path, console: Console, *, as_json: bool) -> None:
    certificate = dict(outcome.certificate)
    if as_json:
        click.echo(json.dumps(certificate, indent=2, sort_keys=True))
        return
    counts = certificate["predicate"]["counts"]
    if console.is_terminal:
        console.print(table_of(certificate))
    else:
        for line in plain_lines(certificate):
            click.echo(line)
    for problem in certificate["predicate"]["problems"]:
        console.print(f"problem: {problem}", style="red", highlight=False)
    for line in (certificate["predicate"]["since"] or {}).get("changes", []):
        console.print(f"changed: {line}", highlight=False, soft_wrap=True)
    for why in certificate["predicate"]["warnings"]:
        console.print(f"warning: {why}", highlight=False, soft_wrap=True)
    settled = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    line = f"{certificate['predicate']['result']}: {settled}"
    console.print(f"{line}; {out / 'certificate.json'}, {out / 'certificate.md'}", highlight=False, soft_wrap=True)
    console.print(f"digest of the whole: {outcome.digest}", highlight=False, soft_wrap=True)
    signed = f"signed by key {outcome.key_id}" if outcome.key_id else UNSIGNED
    console.print(signed, highlight=False, soft_wrap=True)
