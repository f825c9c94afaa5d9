"""Left-overs of a killed run, found and removed by the next one.

Every run holds a directory with a lock file. Each process that the run starts is written down there before
anything else happens to it, by pid *and* start time, so that a recycled pid is never mistaken for ours. A
directory whose lock can be taken belongs to nobody alive: its processes are killed, its clean-up actions done,
and it is removed. A live sibling keeps its lock and is never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil


def default_root() -> Path:
    """Where run directories live: one folder per user below the temporary directory."""
    return Path(tempfile.gettempdir()) / f"signal-hardening-{os.getuid()}"


@dataclass(frozen=True, slots=True)
class OwnedPid:
    """A process that a run started: its pid, its start time (seconds since the epoch) and its name."""

    pid: int
    started_s: float
    name: str

    @classmethod
    def of(cls, pid: int, name: str) -> Self:
        """Read the start time of a running process; raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time(), name)

    def is_running(self) -> bool:
        """True when the very same process (not a recycled pid) still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_s) < 0.05
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class RunDirectory:
    """The directory of one run; a context manager that removes it at the end."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or default_root()
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = Path(tempfile.mkdtemp(prefix="run-", dir=self._root))
        self._lock = (self.path / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.set_inheritable(self._lock.fileno(), False)

    def own(self, pid: int, name: str) -> OwnedPid:
        """Write a process down as ours."""
        owned = OwnedPid.of(pid, name)
        with (self.path / "processes.jsonl").open("a") as file:
            file.write(json.dumps({"pid": owned.pid, "started_s": owned.started_s, "name": name}) + "\n")
        return owned

    def owned(self) -> list[OwnedPid]:
        """Every process that was ever written down here."""
        return list(_read_owned(self.path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()
        with contextlib.suppress(OSError):
            self._root.rmdir()


def _read_owned(path: Path) -> Iterator[OwnedPid]:
    with contextlib.suppress(OSError):
        for line in (path / "processes.jsonl").read_text().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                record = json.loads(line)
                yield OwnedPid(int(record["pid"]), float(record["started_s"]), str(record["name"]))


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a sweep found: directories of dead runs and the processes that it had to kill."""

    directories: tuple[str, ...]
    killed: tuple[OwnedPid, ...]


def sweep(root: Path | None = None) -> Cleaned:
    """Find what killed runs left behind and remove it; live siblings are left alone."""
    directories: list[str] = []
    killed: list[OwnedPid] = []
    base = root or default_root()
    for path in sorted(base.glob("run-*")) if base.is_dir() else []:
        try:
            lock = (path / "lock").open("a")
        except OSError:
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            for owned in _read_owned(path):
                if owned.is_running():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(owned.pid, signal.SIGKILL)
                    killed.append(owned)
            directories.append(path.name)
            shutil.rmtree(path, ignore_errors=True)
    return Cleaned(tuple(directories), tuple(killed))
