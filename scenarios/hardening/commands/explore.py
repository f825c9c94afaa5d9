"""``hardening explore FILE.py:function``: search a program for a failing schedule, or replay one."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from hardening.simulator.core.errors import RuleBrokenError
from hardening.simulator.core.plan import Plan, PlanError
from hardening.simulator.core.trace import Trace
from hardening.simulator.search.corpus import Corpus
from hardening.simulator.search.counterexample import Exploration, Recording
from hardening.simulator.search.explore import explore, replay
from hardening.simulator.search.isolated import ProcessDiedError
from hardening.simulator.search.lanes import lanes
from hardening.simulator.search.lives_on import differences, look
from hardening.simulator.search.programs import ProgramError, load_program
from hardening.simulator.search.run import NoProgramError
from hardening.simulator.search.search import Shard
from hardening.simulator.search.supervised import HARNESS_ERROR, supervised
from hardening.simulator.search.workers import WorkerError, explore_with_workers

NOTHING_FOUND = 0
FOUND = 1
USAGE = 2


@click.command("explore", short_help="search an asyncio program for a failing schedule")
@click.argument("program")
@click.option("--runs", type=click.IntRange(min=1), default=1000, show_default=True, help="Schedules at most.")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Everything follows from it; drawn if missing.")
@click.option("--cancel", multiple=True, help="Name pattern of tasks that may be cancelled at any step.")
@click.option("--cancel-until", type=click.FloatRange(min=0), help="Virtual seconds after which nobody is cancelled.")
@click.option("--latency", type=float, nargs=2, default=(0.0005, 0.05), show_default=True, help="Bounds in seconds.")
@click.option("--max-virtual-s", type=float, default=3600.0, show_default=True, help="Virtual seconds a run may take.")
@click.option("--max-steps", type=int, default=100_000, show_default=True, help="Steps a run may take.")
@click.option("--reorder", is_flag=True, help="Let ready callbacks change places (asyncio documents their order).")
@click.option("--leftovers", type=click.Choice(["report", "fail"]), default="report", show_default=True)
@click.option("--lost", type=click.Choice(["report", "fail"]), default="report", show_default=True)
@click.option("--shard", default="1/1", show_default=True, help="Part i/n of the search.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.option("--corpus", type=click.Path(path_type=Path, file_okay=False), help="Directory of plans that failed.")
@click.option("--replay", "plan", default=None, help="Run this plan (text, or @FILE of a recording) once, traced.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the recording found here.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write the lanes of the failure here.")
@click.option("--isolate", is_flag=True, help="Fork a process for each run: nothing lives on between runs.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Begin no further schedule after so long.")
@click.option(
    "--step-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    help="Real seconds that one step of a run may take.",
)
@click.option("--confirm/--no-confirm", default=True, show_default=True, help="Repeat a failure in a fresh process.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explore_command(program: str, **options: Any) -> None:
    """Search PROGRAM (FILE.py:function, an async def without arguments) for a schedule under which it fails.

    Exit codes: 0 nothing found, 1 found, 2 usage, 4 no verdict: the program reached for a subprocess or another thing
    that is not simulated, a step blocked, the process died, or the simulator itself failed.

    \b
    Example:
      hardening explore transfer.py:two_withdrawals --runs 1000 --seed 1
    """
    if sys.stdout is sys.__stdout__ and hasattr(os, "fork"):
        sys.exit(supervised(lambda: _code_of(program, options), options["step_seconds"]))
    sys.exit(_code_of(program, options))


def _code_of(program: str, options: dict[str, Any]) -> int:
    try:
        return _replay(program, options) if options["plan"] else _explore(program, options)
    except (PlanError, ProgramError) as error:
        return _no_verdict(str(error), USAGE)
    except OSError as error:
        if error.filename is None:
            return _no_verdict("internal error:\n" + traceback.format_exc().rstrip())
        return _no_verdict(f"{error.filename!r}: {error.strerror}", USAGE)
    except SystemExit as error:
        return _no_verdict(f"the program broke the simulator's rules: sys.exit({error.code!r})")
    except RuleBrokenError as error:
        return _no_verdict(f"the program broke the simulator's rules: {error}")
    except ProcessDiedError as error:
        return _no_verdict(str(error))
    except WorkerError as error:
        click.echo(error.said, err=True)
        return error.exit_code if error.exit_code in (USAGE, HARNESS_ERROR) else HARNESS_ERROR
    except NoProgramError as error:
        return _no_verdict(str(error), USAGE)
    except Exception:  # noqa: BLE001 - trouble of its own must not look like "found"
        return _no_verdict("internal error:\n" + traceback.format_exc().rstrip())


def _no_verdict(text: str, code: int = HARNESS_ERROR) -> int:
    click.echo(f"explore: {text}", err=True)
    return code


def _explore(reference: str, options: dict[str, Any]) -> int:
    seed = options["seed"] if options["seed"] is not None else int.from_bytes(os.urandom(4), "big")
    load_program(reference)
    before = look() if options["confirm"] else {}
    if options["workers"] > 1:
        report = _with_workers(reference, seed, options)
        if report["found"]:
            plan = Plan.from_json(report["counterexample"]["plan"])
            done = replay(load_program(reference), plan)
            _write(Recording(plan, tuple(done.trace.lines()), report["program"]), done.trace, options)
    else:
        exploration = _alone(reference, seed, options)
        if exploration.counterexample is not None:
            _write(exploration.counterexample.recording(), exploration.counterexample.trace, options)
        if not options["as_json"]:
            _print(reference, exploration)
            if exploration.counterexample is not None and options["confirm"]:
                click.echo(_confirmation(reference, exploration.counterexample.plan, before)[1])
            return FOUND if exploration.found else NOTHING_FOUND
        report = exploration.to_json()
    if report["found"] and options["confirm"]:
        plan = Plan.from_json(report["counterexample"]["plan"])
        report["counterexample"]["confirmed"], _ = _confirmation(reference, plan, before)
    if options["as_json"]:
        click.echo(json.dumps(report, indent=1))
    elif report["found"]:
        return _replay(reference, {**options, "svg": None, "plan": json.dumps(report["counterexample"]["plan"])})
    else:
        click.echo(_counts(report["runs"], report["steps"], report["virtual_s"], report["cpu_s"], seed))
        for line in report["leftovers"]:
            click.echo(f"left behind: {line}")
    return FOUND if report["found"] else NOTHING_FOUND


def _alone(reference: str, seed: int, options: dict[str, Any]) -> Exploration:
    return explore(
        load_program(reference),
        runs=options["runs"],
        seed=seed,
        cancel=options["cancel"],
        latency=tuple(options["latency"]),
        max_virtual_s=options["max_virtual_s"],
        max_steps=options["max_steps"],
        reorder=options["reorder"],
        leftovers=options["leftovers"],
        lost=options["lost"],
        shard=options["shard"],
        cancel_until_s=options["cancel_until"],
        isolate=options["isolate"],
        seconds=options["seconds"],
        corpus=Corpus(options["corpus"]) if options["corpus"] else None,
    )


def _with_workers(reference: str, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    corpus = Corpus(options["corpus"]) if options["corpus"] else None
    if corpus is not None:
        # Known plans and run 0 here, before anybody is started; the workers would only repeat each other.
        known = _alone(reference, seed, {**options, "runs": 1, "shard": "1/1"})
        if known.found:
            return known.to_json()
    report = _asked_of_workers(reference, seed, options)
    if corpus is not None and report["found"]:
        corpus.add(report["program"], Plan.from_json(report["counterexample"]["plan"]))
    return report


def _asked_of_workers(reference: str, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    words = ["--runs", str(options["runs"]), "--seed", str(seed)]
    for pattern in options["cancel"]:
        words += ["--cancel", pattern]
    words += ["--latency", *(str(bound) for bound in options["latency"])]
    for name in ("max_virtual_s", "max_steps", "leftovers", "lost"):
        words += ["--" + name.replace("_", "-"), str(options[name])]
    words += ["--reorder"] if options["reorder"] else []
    words += [] if options["cancel_until"] is None else ["--cancel-until", str(options["cancel_until"])]
    words += ["--isolate"] if options["isolate"] else []
    words += ["--seconds", str(options["seconds"])] if options["seconds"] else []
    words += ["--step-seconds", str(options["step_seconds"]), "--no-confirm"]
    return explore_with_workers(reference, options["workers"], Shard.parse(options["shard"]), words)


def _write(recording: Recording, trace: Trace, options: dict[str, Any]) -> None:
    if options["save"]:
        recording.save(options["save"])
    if options["svg"]:
        options["svg"].write_text(lanes(trace))


def _confirmation(reference: str, plan: Plan, before: dict[str, str]) -> tuple[bool, str]:
    """Whether a fresh process fails in the same schedule, and the line that says so."""
    command = [sys.executable, "-m", "hardening.commands.explore", reference, "--replay", str(plan), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == FOUND:
        same = json.loads(done.stdout)["same_trace"]
        return True, "confirmed: it fails in a fresh process too" + ("" if same else ", with another trace")
    said = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"it ended with {done.returncode}"
    why = "passes there" if done.returncode == NOTHING_FOUND else f"gave no verdict there ({said})"
    lines = [f"NOT confirmed: the same schedule {why}. What this process kept from run to run:"]
    lines += [f"  {line}" for line in differences(before, look())] or ["  nothing that can be seen"]
    return False, "\n".join([*lines, "  --isolate gives each run a process of its own"])


def _print(reference: str, exploration: Exploration) -> None:
    found = exploration.counterexample
    counts = _counts(exploration.runs, exploration.steps, exploration.virtual_s, exploration.cpu_s, exploration.seed)
    if found is None:
        click.echo(counts)
        for line in exploration.leftovers:
            click.echo(f"left behind: {line}")
        return
    click.echo(found.story())
    click.echo(counts)
    click.echo(f"replay: hardening explore {shlex.quote(reference)} --replay {shlex.quote(str(found.plan))}")


def _counts(runs: int, steps: int, virtual_s: float, cpu_s: float, seed: int) -> str:
    return f"{runs} schedules, {steps} steps, {virtual_s:.6g} virtual s in {cpu_s:.3g} CPU s; seed {seed}"


def _replay(reference: str, options: dict[str, Any]) -> int:
    text: str = options["plan"]
    plan = Recording.load(Path(text[1:])) if text.startswith("@") else Plan.parse(text)
    done = replay(load_program(reference), plan)
    if options["svg"]:
        options["svg"].write_text(lanes(done.trace))
    if options["as_json"]:
        error = None
        if done.exception is not None:
            error = {"type": type(done.exception).__name__, "message": str(done.exception)}
        report = {
            "failed": done.failed,
            "exception": error,
            "digest": done.digest,
            "same_trace": done.same_trace,
            "difference": done.difference,
            "trace": done.trace.lines(),
        }
        click.echo(json.dumps(report, indent=1))
    else:
        click.echo("\n".join(done.trace.lines()))
        click.echo(f"{type(done.exception).__name__}: {done.exception}" if done.failed else "passed")
        if done.same_trace is not None:
            click.echo("the same trace as recorded" if done.same_trace else f"another trace: {done.difference}")
        click.echo(f"replay: hardening explore {shlex.quote(reference)} --replay {shlex.quote(_plan_text(plan))}")
    return FOUND if done.failed else NOTHING_FOUND


def _plan_text(plan: Plan | Recording) -> str:
    return str(plan.plan if isinstance(plan, Recording) else plan)


if __name__ == "__main__":
    explore_command()
