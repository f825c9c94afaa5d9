"""Runs ``hardening`` in this process after a mutant was applied: for mutants of the harness, not of the service.

``python -m hardening.commands.sabotaged NAME WORDS OF HARDENING...``
"""

from __future__ import annotations

import sys

from hardening.commands.cli import main as hardening
from hardening.worlds.live.launcher import USAGE, SabotageError, load_sabotage


def main() -> None:
    """Apply the first argument, then run ``hardening`` on the others; ends with its exit code."""
    try:
        load_sabotage(sys.argv[1] if len(sys.argv) > 1 else "")()
    except SabotageError as error:
        print(error, file=sys.stderr)  # noqa: T201 - stderr is where usage errors go
        sys.exit(USAGE)
    del sys.argv[1]
    hardening()


if __name__ == "__main__":
    main()
