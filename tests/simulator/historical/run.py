# ruff: noqa: T201 - programs under test are written as anybody would write them
"""Historical bugs in unmodified libraries, found again: ``python tests/simulator/historical/run.py``.

Each library is installed in a throw-away environment under a temporary directory (``--venvs`` keeps them), its
program is searched with ``hardening explore``'s own code, and the plan found is replayed in a fresh process. The
twin, the same workload on a fixed version or a sound implementation, must raise no alarm. Not part of the default
test run: it installs packages.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CLIENTS = ("--cancel", "client-*")


@dataclass(frozen=True)
class Case:
    """A library with its bug, the program that finds it, and the twin that must pass."""

    bug: str
    package: str
    program: str
    invariant: str
    options: tuple[str, ...] = ()
    twin_package: str = ""
    twin: str = ""


CASES = (
    Case(
        "CVE-2023-28859: a cancelled command leaves its reply to the next one",
        "redis==4.5.3",
        "redis_replies.py:program",
        "a client gets the answers to its own questions",
        CLIENTS,
        "redis==8.1.0",
    ),
    Case(
        "a CapacityLimiter loses a token when a waiter is cancelled",
        "anyio==4.9.0",
        "anyio_limiter.py:program",
        "tokens come back whatever happens to their borrowers",
        CLIENTS,
        "anyio==4.16.0",
    ),
    Case(
        "a pool slot is lost on a timeout",
        "httpcore[asyncio]==0.17.2",
        "httpcore_pool.py:program",
        "after any mix of timeouts the pool still serves",
        (),
        "httpcore[asyncio]==1.0.9",
    ),
    Case(
        "encode/httpcore#1093: a pool slot is lost when a waiter is cancelled (open)",
        "httpcore[asyncio]==1.0.9",
        "httpcore_pool.py:program",
        "after any mix of timeouts and cancellations the pool still serves",
        CLIENTS,
        "httpcore[asyncio]==1.0.9",
        "httpcore_pool.py:twin",
    ),
    Case(
        "asyncio.wait_for swallows a cancellation (until 3.12)",
        "",
        "wait_for.py:program",
        "a worker that is cancelled ends",
        (),
        "",
        "wait_for.py:twin",
    ),
    Case(
        "a cancelled probe closes the circuit",
        "circuitbreaker==2.1.3",
        "circuitbreaker_probe.py:program",
        "a circuit does not close without a success",
        CLIENTS,
        "",
        "circuitbreaker_probe.py:twin",
    ),
    Case(
        "clients' cancellations open the circuit",
        "purgatory==3.0.1",
        "purgatory_cancelled.py:program",
        "a circuit does not open while nothing fails",
        CLIENTS,
        "",
        "purgatory_cancelled.py:twin",
    ),
    Case(
        "half-open lets a herd through",
        "aiobreaker==1.2.0",
        "aiobreaker_half_open.py:program",
        "a downstream that was down is tried by one caller at a time",
        (),
        "",
        "aiobreaker_half_open.py:twin",
    ),
    Case(
        "a cancelled leader cancels every follower",
        "cashews==7.6.0",
        "cashews_followers.py:program",
        "whoever is not cancelled gets the value",
        CLIENTS,
        "",
        "cashews_followers.py:twin",
    ),
)


class Environments:
    """One environment for each requirement, made at first use."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def python(self, package: str) -> Path:
        """The interpreter of the environment that has ``package``."""
        name = "".join(c if c.isalnum() or c in ".-" else "_" for c in package) or "bare"
        python = self.directory / name / "bin" / "python"
        if not python.exists():
            venv.create(self.directory / name, with_pip=True)
            wanted = ["freezegun", "click", *([package] if package else [])]
            subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
        return python


def explore(python: Path, program: str, words: list[str]) -> tuple[int, dict]:
    """Run the command in an environment; exit code and its JSON."""
    command = [python, "-m", "hardening.commands.explore", str(HERE / "programs" / program), "--json", *words]
    roots = os.pathsep.join(str(ROOT / root) for root in ("scenarios", "faults"))
    environment = {**os.environ, "PYTHONPATH": roots, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{program}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.returncode, json.loads(done.stdout)


def run(case: Case, environments: Environments, runs: int, twin_runs: int, seeds: int) -> dict:
    """Find it under several seeds, replay it, and try the twin."""
    python = environments.python(case.package)
    needed, found = [], None
    for seed in range(1, seeds + 1):
        words = ["--runs", str(runs), "--seed", str(seed), *case.options]
        code, report = explore(python, case.program, words)
        needed.append(report["counterexample"]["schedules"] if code else None)
        found = found or report["counterexample"]
    row = {"bug": case.bug, "package": case.package or f"CPython {sys.version.split()[0]}", "schedules": needed}
    if found is not None:
        _, again = explore(python, case.program, ["--replay", json.dumps(found["plan"])])
        row["replayed"] = again["failed"] and again["same_trace"]
        row["decisions"] = len(found["plan"]["decisions"])
        row["plan"] = json.dumps(found["plan"], separators=(",", ":"))
        row["exception"] = found["exception"]["type"]
    twin_words = ["--runs", str(twin_runs), "--seed", "1", *case.options]
    code, report = explore(environments.python(case.twin_package), case.twin or case.program, twin_words)
    row["twin"] = case.twin_package or (case.twin or "").partition(":")[2]
    row["twin_alarm"] = bool(code)
    row["twin_runs"] = report["runs"]
    return row


def main() -> int:
    """Run all cases; exit 1 when one was not found, not replayed, or a twin raised an alarm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venvs", type=Path, help="keep the environments here")
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--twin-runs", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", help="part of a package's name")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    cases = [case for case in CASES if not given.only or given.only in case.package]
    with tempfile.TemporaryDirectory() as scratch:
        environments = Environments(given.venvs or Path(scratch))
        rows = [run(case, environments, given.runs, given.twin_runs, given.seeds) for case in cases]
    if given.json:
        print(json.dumps(rows, indent=1))
    else:
        for row in rows:
            twin = "ALARM" if row["twin_alarm"] else f"silent in {row['twin_runs']}"
            tail = f"{row.get('decisions')} decisions, replayed {row.get('replayed')}, twin {row['twin']} {twin}"
            print(f"{row['package']}: {row['bug']}: schedules {row['schedules']}, {tail}")
    good = all(row.get("replayed") and not row["twin_alarm"] and None not in row["schedules"] for row in rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
