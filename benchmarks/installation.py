"""What an installation costs: packages and MB on top of a small FastAPI project, and what the plugin adds to a run.

``python -m benchmarks.installation [--python PYTHON]`` makes virtual environments below a temporary directory with the
wheel of this checkout and each extra, and prints one row for each: packages, MB, and the processor time that the plugin
adds to ``pytest`` on one empty test (medians of 15 runs each, alternating). It needs a package index and takes minutes.
"""

from __future__ import annotations

import argparse
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = ("fastapi", "uvicorn", "httpx", "redis", "pytest", "pytest-asyncio")
"""What a small service with tests has already."""
EXTRAS = ("", "[certify]", "[certify,service]", "[load]", "[all]")
PAIRS = 15


def run(*argv: str, cwd: Path = ROOT) -> str:
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=True).stdout


def size(python: Path) -> tuple[int, float]:
    """Packages, and MB of the environment's site-packages without byte code."""
    where = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    files = [path for path in where.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return len(list(where.glob("*.dist-info"))), sum(path.stat().st_size for path in files) / 1e6


def children_s() -> float:
    """Processor seconds of every child process that has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plugin_ms(python: Path, folder: Path) -> float:
    """What the plugin adds to a run that uses none of it: medians of runs that alternate."""
    (folder / "test_empty.py").write_text("def test_nothing():\n    pass\n")
    took: dict[str, list[float]] = {"without": [], "with": []}
    for number in range(PAIRS):
        for which in sorted(took, reverse=number % 2 == 0):  # neither is always the first of its pair
            words = ["-p", "no:signal_hardening"] if which == "without" else []
            before = children_s()
            run(str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, "test_empty.py", cwd=folder)
            took[which].append(children_s() - before)
    return 1000 * (statistics.median(took["with"]) - statistics.median(took["without"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(work / "dist"))
        (wheel,) = (work / "dist").iterdir()
        base: tuple[int, float] | None = None
        print(f"{'installed':32} {'packages':>8} {'MB':>6} {'added':>6} {'MB added':>8} {'plugin CPU ms':>13}")
        for extra in (None, *EXTRAS):
            place = work / re.sub(r"\W", "_", f"env{extra}")
            run(chosen.python, "-m", "venv", str(place))
            python = place / "bin" / "python"
            wanted = [] if extra is None else [f"signal-hardening{extra} @ {wheel.as_uri()}"]
            run(str(python), "-m", "pip", "install", "-q", *PROJECT, *wanted)
            packages, mb = size(python)
            base = base or (packages, mb)
            plugin = "" if extra is None else f"{plugin_ms(python, work):13.1f}"
            label = "the project alone" if extra is None else f"signal-hardening{extra}"
            print(f"{label:32} {packages:8} {mb:6.1f} {packages - base[0]:6} {mb - base[1]:8.1f} {plugin}", flush=True)


if __name__ == "__main__":
    main()
