"""``python -m loadtests.judge_command DIR``: judge what a load run recorded, anew whenever it is asked.

Reads ``spec.json``, ``requests-*.jsonl`` and, from the embedded world, ``world.jsonl``; writes ``load.json``,
``load.jsonl`` (the history), ``junit.xml``, ``requests.csv`` and ``load.html``. A line a budget; exit 0, 1 or 3.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from loadtests.budgets import load_budgets
from loadtests.figures import knee, over_time
from loadtests.history import LOAD_FILE, load_history
from loadtests.judge import judge
from loadtests.records import read_records
from loadtests.report_files import summary, write_files
from loadtests.report_html import render
from loadtests.spec import LoadError, LoadSpec
from loadtests.verdicts import exit_of
from scenarios.judge.history import HistoryError
from scenarios.judge.verdict import Exit

OBEYED_FILE = "obeyed.json"


def judge_folder(folder: Path, budgets_file: Path | None = None, *, as_json: bool = False) -> Exit:
    """Judge one directory and write the reports into it.

    Raises:
        LoadError: when the directory is no load run's, or the budgets cannot be.
        HistoryError: when the world's history cannot be read.
    """
    budgets = load_budgets(budgets_file)
    spec = LoadSpec.read(folder / "spec.json") if (folder / "spec.json").is_file() else LoadSpec(out=str(folder))
    run = read_records(folder)
    history = load_history(folder, run)
    obeyed = folder / OBEYED_FILE
    asked = json.loads(obeyed.read_text(encoding="utf-8")) if obeyed.is_file() else None
    held = judge(spec, run, budgets, history, asked)
    code = exit_of(held)
    aborted = folder / "aborted.txt"
    why = aborted.read_text(encoding="utf-8").strip() if aborted.is_file() else ""
    if why:
        code = max(code, Exit.FAILED) if code is not Exit.UNKNOWN else Exit.FAILED
    said = summary(spec, run, held, code, {"knee": knee(run), "aborted": why})
    write_files(folder, said, run, held)
    if history is not None:
        history.write(folder / LOAD_FILE)
    page = render(said, held, over_time(run, history), history)
    (folder / "load.html").write_text(page, encoding="utf-8")
    if as_json:
        sys.stdout.write(json.dumps(said, indent=1) + "\n")
    else:
        for one in held:
            sys.stdout.write(one.line() + "\n")
        if why:
            sys.stdout.write(f"the run was ended early: {why}\n")
        text = ", ".join(f"{number} {verdict}" for verdict, number in said["counts"].items())
        files = f"{folder / 'load.html'}, {folder / 'load.json'}"
        sys.stdout.write(f"{said['requests']} requests: {text}; {files}\n")
    return code


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="hardening load judge", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budgets", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        return int(judge_folder(given.folder, given.budgets, as_json=given.json))
    except (LoadError, HistoryError) as error:
        sys.stderr.write(f"load: {error}\n")
        return int(Exit.USAGE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
