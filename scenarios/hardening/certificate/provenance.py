"""Finds out what code runs: the digest of the installed packages, and the git commit when it provably is that code.

In come the installed files and the checkout around them, out comes ``Provenance``; where git or the installation says
nothing, the commit is ``unknown``. Nothing is raised.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from hardening.certificate.statement import digest_files, is_clean

PACKAGES = ("signal_service", "hardening")
SOURCE_ROOTS = ("service", "faults", "scenarios", "loadtests")
"""The folders of a checkout that hold them; an installation has one folder for all."""

_ONE_OF_EACH_ROOT = ("signal_service", "hardening.faults", "hardening.certificate", "hardening.load")
_SUFFIXES = {".py", ".json", ".yml", ".toml", ".typed"}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Digest of the code that runs; its commit (``unknown``; ``-dirty`` appended when the tree is not clean)."""

    code_digest: str
    commit: str

    @property
    def clean(self) -> bool:
        """True when the commit is known and the tree holds nothing else."""
        return is_clean(self.commit)


def code_files(roots: Iterable[Path]) -> dict[str, bytes]:
    """The packages' files below the roots, by their path relative to their root."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for root in roots
        for package in PACKAGES
        for path in sorted((root / package).rglob("*"))
        if path.suffix in _SUFFIXES and "__pycache__" not in path.parts
    }


def running_roots() -> frozenset[Path]:
    """Where the code that runs lies. A stranger's folder of the same name on ``sys.path`` does not count."""
    roots = set()
    for name in _ONE_OF_EACH_ROOT:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            roots.add(Path(spec.origin).parents[name.count(".") + 1])
    return frozenset(roots)


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def provenance(checkout: Path | None = None) -> Provenance:
    """Look at the code that runs, and at the checkout that it may come from.

    The commit of a checkout counts only when its packages are byte for byte the code that runs; the one that a wheel
    was built from counts only while no installed file was altered.

    Args:
        checkout: a folder inside it; by default the working directory, then the folder of the code itself.
    """
    roots = running_roots()
    running = digest_files(code_files(roots))
    tops = {top: None for place in ([checkout] if checkout else [Path.cwd(), *roots]) if (top := _top(place))}
    for top in tops:
        if digest_files(code_files(top / name for name in SOURCE_ROOTS)) == running:
            return Provenance(running, _commit_of(top))
    return Provenance(running, built_commit())


def _top(place: Path) -> Path | None:
    found = _git(place, "rev-parse", "--show-toplevel")
    return Path(found) if found else None


def _commit_of(top: Path) -> str:
    commit, status = _git(top, "rev-parse", "HEAD"), _git(top, "status", "--porcelain")
    if commit is None or status is None:
        return "unknown"
    return commit + ("-dirty" if status else "")


def built_commit() -> str:
    """The commit that the installed wheel was built from; ``unknown`` where it states none or was altered since."""
    stated = Path(__file__).with_name("commit.txt")
    if not stated.is_file():
        return "unknown"
    for file in metadata.files("signal-hardening") or ():
        if file.hash is not None and file.suffix in _SUFFIXES | {".txt"}:
            digest = hashlib.new(file.hash.mode, Path(str(file.locate())).read_bytes()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                return "unknown"
    return stated.read_text(encoding="ascii").strip()


def release() -> str:
    """The version of the installed package."""
    return metadata.version("signal-hardening")


def environment(versions: Mapping[str, str], toxiproxy: str) -> dict[str, Any]:
    """Where it ran: Python, operating system, processors, libraries, which Redis and Toxiproxy were real.

    Args:
        versions: ``python`` and ``redis_server`` among the libraries, as the live world names them.
        toxiproxy: what the histories say of it.
    """
    apart = {"python", "redis_server", "toxiproxy"}
    return {
        "python": versions.get("python", platform.python_version()),
        "implementation": platform.python_implementation(),
        "os": platform.platform(terse=True),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "redis_server": versions.get("redis_server", "none"),
        "toxiproxy": toxiproxy,
        "libraries": {name: version for name, version in versions.items() if name not in apart},
        "run_url": _run_url(os.environ),
    }


def _run_url(variables: Mapping[str, str]) -> str:
    """The page of the workflow's run, where one says so; empty elsewhere."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (variables.get(name, "") for name in names)
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""
