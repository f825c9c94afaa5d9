#!/usr/bin/env python3
"""Thin front of ``hardening preflight``: same options, same exit codes."""

from __future__ import annotations

import subprocess
import sys


def main() -> int:
    """Hand every argument on; a single word that is no option is the configuration file."""
    arguments = sys.argv[1:]
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        arguments = ["--config", *arguments]
    return subprocess.run(
        [sys.executable, "-m", "hardening.commands.cli", "preflight", *arguments], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
