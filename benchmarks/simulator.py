# ruff: noqa: ANN001, ANN201, ANN202 - numbers by name, for a person to read
"""The simulator beside its peers: the same planted programs, the same interpreter, in turns.

``python benchmarks/simulator.py [--venv DIR] [--seeds N]`` makes throw-away environments with the peers, runs every
tool in a process of its own, several rounds in turns, and prints medians and ratios. detangle and looptime run on this
interpreter; simloom, simloop and seedloop need Python 3.12 and are measured in a second group, beside this simulator
again, where one is found (``python3.12`` on the PATH, or pyenv's). A peer that cannot be installed is named.

- speed: schedules per CPU second on the correct twins (nothing to find, so only running is measured);
- schedules until found, geometric mean over programs and seeds, shrinking off;
- CPU seconds until found, and size of the shrunk plan, shrinking on;
- alarms on the correct twins.

The simulator runs in one configuration for all of them (``clock="loop"``, everything else default). Peers get the
same waits and draws through their own words, and may cancel the same tasks where they can cancel at all; what needs a
cancellation is not asked of the others. The ratios to a peer are over the programs that both were asked and on whose
correct twin neither raised an alarm: a tool that also "finds" the bug in correct code has found nothing. A tool without
a bound on a run that never ends is stopped, and that program is left out of its figures and named.
"""

import argparse
import contextlib
import glob
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.simulator_tools import TOOLS, programs  # noqa: E402 - the script may be started from anywhere

SEARCH_S_MAX = 40.0
"""Many times what the slowest tool needs for all the schedules that it gets, on a busy machine too."""
SHRINKS = 5
"""Seeds whose failures are shrunk too."""


@dataclass(frozen=True)
class Group:
    """Tools that run on one interpreter, and the schedules after which a search gives up."""

    title: str
    python: str
    peers: tuple[str, ...]
    tools: tuple[str, ...]
    runs_max: int


def python_312():
    """A Python 3.12 that runs: pyenv puts one on the PATH that only says that it is not chosen."""
    own = sorted(glob.glob(str(Path.home() / ".pyenv/versions/3.12.*/bin/python3.12")))
    for path in (shutil.which("python3.12"), *own):
        if path is not None and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None


def groups():
    """The first group always; the second where there is an interpreter for it."""
    yield Group(
        f"CPython {sys.version.split()[0]}",
        sys.executable,
        ("detangle==0.1.0", "looptime==0.9"),
        ("ours", "detangle", "detangle-jitter", "looptime"),
        3000,
    )
    found = python_312()
    if found is None:
        print("simloom, simloop, seedloop: not measured, there is no Python 3.12 here")
        return
    # Fewer schedules: two of them run a few hundred a second.
    yield Group(
        "CPython 3.12",
        found,
        ("simloom==0.5.0", "simloop==0.2.2", "seedloop==0.4.1"),
        ("ours", "simloom", "simloop", "seedloop"),
        500,
    )


class HungError(KeyboardInterrupt):
    """A search went on and on; of this kind because a task keeps any other to itself."""


@contextlib.contextmanager
def at_most(limit_s):
    """Ends what takes more seconds than that, for a tool without a bound of its own.

    Of real time: while a timer of CPU time is set, some kernels count CPU time in ticks of milliseconds.
    """

    def ring(_number, _frame):
        raise HungError

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def measure(name, runs, seeds, runs_max):
    """Everything about one tool, as JSON."""
    chosen = TOOLS[name]()
    result = {"speed": {}, "alarms": [], "hung": [], "found": {}, "cpu_s": {}, "size": {}, "runs_max": runs_max}
    for title, (program, cancel) in programs().items():
        began_s = time.process_time()
        schedules, alarm, _ = chosen.search(program, cancel, False, runs, 1, False)
        if alarm:
            result["alarms"].append(title)
        else:
            result["speed"][title] = schedules / (time.process_time() - began_s)
        if name == "looptime" or (cancel and not chosen.cancels):
            continue
        try:
            tried = hunt(chosen, program, cancel, seeds, runs_max)
        except HungError:
            result["hung"].append(title)
            continue
        result["found"][title], result["cpu_s"][title], result["size"][title] = tried
    return result


def hunt(chosen, program, cancel, seeds, runs_max):
    """Search for the planted bug once for each seed: schedules needed, CPU seconds, sizes.

    Raises:
        HungError: a search took too long for as many schedules.
    """
    needed, cpu_s, sizes = [], [], []
    for seed in range(seeds):
        began_s = time.process_time()
        with at_most(SEARCH_S_MAX):
            schedules, found, _ = chosen.search(program, cancel, True, runs_max, seed, False)
        cpu_s.append(time.process_time() - began_s)
        needed.append(schedules if found else runs_max)
        if found and seed < SHRINKS:
            with at_most(SEARCH_S_MAX):
                sizes.append(chosen.search(program, cancel, True, runs_max, seed, True)[2])
    return needed, cpu_s, [size for size in sizes if size is not None]


def geometric_mean(values):
    """Of positive numbers."""
    return math.exp(statistics.fmean(math.log(max(value, 1e-9)) for value in values))


def environment_of(group, given, scratch):
    """The Python of an environment with the group's peers; names each peer that cannot be installed."""
    place = given or Path(scratch) / group.title.replace(" ", "-")
    if not place.exists():
        subprocess.run([group.python, "-m", "venv", str(place)], check=True)
        for peer in group.peers:
            argv = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", peer]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{peer}: cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
    return str(place / "bin" / "python")


def in_turns(group, python, rounds, runs, seeds):
    """Run each tool ``rounds`` times, in turns; the results by tool."""
    results = {name: [] for name in group.tools}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
    for _ in range(rounds):
        for name in group.tools:
            numbers = ["--runs", str(runs), "--seeds", str(seeds), "--runs-max", str(group.runs_max)]
            argv = [python, __file__, "--tool", name, *numbers]
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{name}: could not run: {done.stderr.strip().splitlines()[-1:]}")
                continue
            results[name].append(json.loads(done.stdout))
    return results


def summary(reports, titles=None):
    """Medians over the rounds of one tool, of ``titles`` or of whatever it was asked."""
    alarms = sorted({title for report in reports for title in report["alarms"]})
    quick = set.intersection(*(set(report["speed"]) for report in reports)) & (titles or set(programs()))
    asked = set.intersection(*(set(report["found"]) for report in reports)) & (titles or set(programs()))
    speed = statistics.median(len(quick) / sum(1 / report["speed"][title] for title in quick) for report in reports)
    row = {"speed": speed, "alarms": alarms, "asked": len(asked)}
    if asked:
        needed = [n for title in sorted(asked) for n in reports[0]["found"][title]]
        sizes = [s for title in sorted(asked) for s in reports[0]["size"][title]]
        row |= {"found": geometric_mean(needed), "missed": sum(n >= reports[0]["runs_max"] for n in needed)}
        row["tries"] = len(needed)
        row["cpu_s"] = statistics.median(
            geometric_mean([s for title in sorted(asked) for s in report["cpu_s"][title]]) for report in reports
        )
        row |= {"size": statistics.fmean(sizes) if sizes else None, "size_max": max(sizes, default=None)}
    return row


def show(results):
    """The table, then each peer's ratios."""
    rows = {name: summary(reports) for name, reports in results.items() if reports}
    print(
        f"{'tool':<16} {'sched/CPU s':>11} {'until found':>11} {'missed':>9} {'CPU s':>9} {'size':>5} {'max':>4} alarms"
    )
    for name, row in rows.items():
        rest = ""
        if "found" in row:
            missed = f"{row['missed']}/{row['tries']}"
            size = f"{row['size']:5.2f} {row['size_max']:4d}" if row["size"] is not None else f"{'-':>5} {'-':>4}"
            rest = f"{row['found']:11.2f} {missed:>9} {row['cpu_s']:9.5f} {size}"
        print(f"{name:<16} {row['speed']:11.0f} {rest:<42} {', '.join(row['alarms']) or 'none'}")
    for name, reports in results.items():
        hung = sorted({title for report in reports for title in report["hung"]})
        if hung:
            print(f"{name}: a search did not end in {SEARCH_S_MAX:g} s, left out: {', '.join(hung)}")
        if name == "ours" or not reports or not results["ours"]:
            continue
        wrong = set(rows["ours"]["alarms"]) | set(rows[name]["alarms"])
        asked = set.intersection(*(set(report["found"]) for report in (*results["ours"], *reports)))
        common = (asked or set(programs())) - wrong
        ours, peer = summary(results["ours"], common), summary(reports, common)
        text = f"ours to {name}, {len(common)} programs: speed {ours['speed'] / peer['speed']:.2f}x"
        if "found" in peer:
            text += f", until found {ours['found'] / peer['found']:.2f}x, CPU {ours['cpu_s'] / peer['cpu_s']:.2f}x"
        print(text)


def judge(results):
    """What this simulator promises beside detangle."""
    rows = {name: summary(reports) for name, reports in results.items() if reports}
    ours, default, late = rows.get("ours"), rows.get("detangle"), rows.get("detangle-jitter")
    if ours and default and late:
        best = min(default["cpu_s"], late["cpu_s"])
        print(f"speed: {ours['speed'] / default['speed']:.2f}x detangle (wanted: 1.5x or more)")
        print(f"until found: {ours['found'] / late['found']:.2f}x detangle with late timers (wanted: 1.0x or less)")
        print(f"CPU until found: {ours['cpu_s'] / best:.2f}x the better of the two (wanted: 0.5x or less)")
        print(f"shrunk size: {ours['size']:.2f} (wanted: 3 or less)")


def main():
    """Measure, or be the process that measures one tool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", type=Path, help="an environment with detangle and looptime")
    parser.add_argument("--venv-312", type=Path, help="one of Python 3.12 with simloom, simloop and seedloop")
    parser.add_argument("--runs", type=int, default=300, help="schedules per twin")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--group", type=int, choices=(1, 2), help="only this group of tools")
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("--runs-max", type=int, default=3000, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.tool:
        print(json.dumps(measure(given.tool, given.runs, given.seeds, given.runs_max)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        for number, (group, place) in enumerate(zip(groups(), (given.venv, given.venv_312), strict=False), 1):
            if given.group not in (None, number):
                continue
            print(f"\n{group.title}, a search gives up after {group.runs_max} schedules")
            python = environment_of(group, place, scratch)
            results = in_turns(group, python, given.rounds, given.runs, given.seeds)
            show(results)
            judge(results)


if __name__ == "__main__":
    main()
