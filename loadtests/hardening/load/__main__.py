"""``python -m hardening.load judge DIR | check``: the subprocess of ``hardening load``. Locust is not imported."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from hardening.claims.verdict import Exit
from hardening.history.events import HistoryError
from hardening.load import budgets as budget_files
from hardening.load.budget import Limits
from hardening.load.judge import judge_directory, to_json
from hardening.load.merging import MergeError
from hardening.load.plan import PlanError
from hardening.load.raw_rows import RecordError
from hardening.load.report import lines_of, write_reports

_BUDGETS = click.option("--budgets", type=click.Path(path_type=Path), help="TOML laid over the defaults.")


@click.group()
def main() -> None:
    """Judge load runs."""


@main.command("check")
@_BUDGETS
def check(budgets: Path | None) -> None:
    """Check budgets; exit 2 with one line when they cannot be."""
    _budgets(budgets)


@main.command("judge")
@click.argument("directory", type=click.Path(path_type=Path))
@_BUDGETS
@click.option("--json", "as_json", is_flag=True)
def judge(directory: Path, budgets: Path | None, *, as_json: bool) -> None:
    """Judge DIRECTORY and write load.jsonl, load.json, load.xml, load.csv and load.html into it."""
    known = _budgets(budgets)
    try:
        judgement = judge_directory(directory, known)
        write_reports(judgement, directory)
    except (MergeError, RecordError, HistoryError, PlanError) as error:
        click.echo(f"load judge: {error}", err=True)
        sys.exit(Exit.USAGE)
    except OSError as error:
        click.echo(f"load judge: DIRECTORY is {str(directory)!r}, allowed: one that can be written ({error})", err=True)
        sys.exit(Exit.USAGE)
    except Exception as error:  # noqa: BLE001 - Python's own exit code would be that of a missed budget
        click.echo(f"load judge: trouble of the harness: {type(error).__name__}: {error}", err=True)
        sys.exit(Exit.HARNESS)
    if as_json:
        click.echo(json.dumps(to_json(judgement), indent=1))
    else:
        for line in lines_of(judgement):
            click.echo(line)
        click.echo(f"{judgement.result}: {directory / 'load.html'}, {directory / 'load.json'}")
    sys.exit(judgement.exit_code)


def _budgets(path: Path | None) -> Limits:
    try:
        return budget_files.load(path)
    except budget_files.BudgetError as error:
        click.echo(str(error), err=True)
        sys.exit(Exit.USAGE)


if __name__ == "__main__":
    main()
