"""A harness that starts children without end, each with a child of its own, until somebody kills it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hardening.faults.children import tied
from hardening.faults.run_directory import RunDirectory

# A shell whose own child outlives it, and a program that ignores every signal that can be ignored.
FAMILY = ["sh", "-c", "sleep 60 & wait"]
STUBBORN = ["sh", "-c", "trap '' TERM HUP INT; sleep 60"]


def main(root: Path) -> None:
    with RunDirectory(root) as run:
        sys.stdout.write(f"{run.path}\n")
        sys.stdout.flush()
        children: list[subprocess.Popen[bytes]] = []
        while True:
            for argv in (FAMILY, STUBBORN):
                child = subprocess.Popen(argv, **tied(run, "child"), start_new_session=True)
                run.own(child.pid, "child")
                children.append(child)
            if len(children) > 8:
                for child in children[:4]:
                    child.kill()
                    child.wait()
                del children[:4]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
