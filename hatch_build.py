"""Build hook: writes the commit that a wheel or sdist is built from into it, where git knows it.

In a wheel it is ``hardening/certificate/commit.txt``, which ``hardening --version`` and certificates read; in an sdist
it is ``commit.txt``, from which a wheel that is built of the sdist takes it. Without git and without that file
nothing is written, and the commit is ``unknown``. Editable installs get no file: their commit is asked of git.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

IN_THE_WHEEL = "hardening/certificate/commit.txt"
IN_THE_SDIST = "commit.txt"


class CommitHook(BuildHookInterface[Any]):
    """Hatchling's ``custom`` hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file to what is built."""
        commit = self._commit()
        if not commit or version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "commit.txt"
        file.write_text(commit + "\n", encoding="ascii")
        build_data["force_include"][str(file)] = IN_THE_WHEEL if self.target_name == "wheel" else IN_THE_SDIST

    def _commit(self) -> str:
        stated = Path(self.root) / IN_THE_SDIST
        if stated.is_file():
            return stated.read_text(encoding="ascii").strip()
        if not (Path(self.root) / ".git").exists():  # a stranger's repository around ours would answer
            return ""
        try:
            commit, status = self._git("rev-parse", "HEAD"), self._git("status", "--porcelain")
        except (OSError, subprocess.SubprocessError):
            return ""
        return commit + ("-dirty" if status else "")

    def _git(self, *words: str) -> str:
        argv = ["git", "-C", self.root, *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
