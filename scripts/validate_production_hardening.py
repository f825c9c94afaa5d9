#!/usr/bin/env python3
"""Thin front of ``hardening certify``: same options, same exit codes."""

from __future__ import annotations

import subprocess
import sys


def main() -> int:
    """Hand every argument on; without ``--out`` the certificate goes to ``certificate/``."""
    arguments = sys.argv[1:]
    if "--out" not in arguments and not {"-h", "--help"} & set(arguments):
        arguments = ["--out", "certificate", *arguments]
    return subprocess.run(
        [sys.executable, "-m", "hardening.commands.cli", "certify", *arguments], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
