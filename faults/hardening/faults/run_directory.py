"""Left-overs of a killed run, found and removed by the next one.

Every run holds a directory with a lock file. Each process that the run starts is written down there before
anything else happens to it, by pid *and* start time, so that a recycled pid is never mistaken for ours. A
directory whose lock can be taken belongs to nobody alive: its processes are killed, its clean-up actions done,
and it is removed. A live sibling keeps its lock and is never touched.

What outlives processes (a cgroup's limit, a network namespace) is written down as an *undo record* before it is
done: ``{"undo": "write", "path": ..., "text": ...}``, ``{"undo": "netns", "name": ...}`` or, for a Toxiproxy that is
not ours, ``{"undo": "toxiproxy", "url": ..., "pid": ..., "cut": ...}``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from hardening.faults.toxiproxy_undo import is_undo_record, undo_toxics

CONTROL_GROUPS = Path("/sys/fs/cgroup")
NAMESPACE_PREFIX = "hardening-"


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
        # A sweep may meet the directory before its lock is held, and then takes it for a dead run's.
        while not self._is_locked():
            continue
        os.set_inheritable(self._lock.fileno(), False)

    def _is_locked(self) -> bool:
        """Make a directory and lock it; false when a sweep was faster."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self.path = Path(tempfile.mkdtemp(prefix="run-", dir=self._root))
            self._lock = (self.path / "lock").open("w")
        except FileNotFoundError:
            return False
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        if (self.path / "lock").exists():
            return True
        self._lock.close()
        return False

    def own(self, pid: int, name: str) -> OwnedPid:
        """Write a process down as ours."""
        owned = OwnedPid.of(pid, name)
        with (self.path / "processes.jsonl").open("a") as file:
            file.write(json.dumps({"pid": owned.pid, "started_s": owned.started_s, "name": name}) + "\n")
        return owned

    def owned(self) -> list[OwnedPid]:
        """Every process that was ever written down here."""
        return list(_read_owned(self.path))

    def undo_later(self, record: Mapping[str, str]) -> Path:
        """Write an undo record down; delete the returned file once it was undone.

        Raises:
            ValueError: for a record that ``undo`` would refuse.
        """
        check_undo(record)
        handle, name = tempfile.mkstemp(prefix="undo-", suffix=".json", dir=self.path)
        with os.fdopen(handle, "w") as file:
            json.dump(dict(record), file)
            file.flush()
            os.fsync(file.fileno())
        return Path(name)

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


def check_undo(record: Mapping[str, str]) -> None:
    """Refuse a record that would touch anything but what faults change; raises ValueError."""
    kind = record.get("undo")
    if kind == "write" and Path(record.get("path", "")).resolve().is_relative_to(CONTROL_GROUPS):
        return
    if kind == "netns" and record.get("name", "").startswith(NAMESPACE_PREFIX):
        return
    if kind == "toxiproxy" and is_undo_record(record):
        return
    ways = (f"write (below {CONTROL_GROUPS})", f"netns (a name that begins with {NAMESPACE_PREFIX})")
    allowed = ", ".join((*ways, "toxiproxy (with url and pid)"))
    raise ValueError(f"undo is {dict(record)!r}, allowed: {allowed}")


def undo(record: Mapping[str, str]) -> bool:
    """Do what the record says; false when there was nothing left to undo. Raises ValueError, OSError."""
    check_undo(record)
    if record["undo"] == "toxiproxy":
        return undo_toxics(record)
    if record["undo"] == "write":
        path = Path(record["path"])
        if not path.exists():
            return False
        path.write_text(record["text"])
        return True
    done = subprocess.run(["ip", "netns", "delete", record["name"]], capture_output=True, check=False)
    return done.returncode == 0


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a sweep found: directories of dead runs, the processes it had to kill, and what it undid or could not."""

    directories: tuple[str, ...]
    killed: tuple[OwnedPid, ...]
    undone: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def sweep(root: Path | None = None) -> Cleaned:
    """Find what killed runs left behind and remove it; live siblings are left alone.

    A directory with an undo record that could not be done is kept, for the next sweep.
    """
    directories: list[str] = []
    killed: list[OwnedPid] = []
    undone: list[str] = []
    failed: list[str] = []
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
            killed += _kill_owned(path)
            done, not_done = _undo_all(path)
            undone += done
            failed += not_done
            if not not_done:
                directories.append(path.name)
                shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):  # not empty: somebody runs, or something could not be undone
        base.rmdir()
    return Cleaned(tuple(directories), tuple(killed), tuple(undone), tuple(failed))


def _kill_owned(path: Path) -> list[OwnedPid]:
    killed = []
    for owned in _read_owned(path):
        if owned.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(owned.pid, signal.SIGKILL)
            killed.append(owned)
    return killed


def _undo_all(path: Path) -> tuple[list[str], list[str]]:
    done: list[str] = []
    failed: list[str] = []
    for file in sorted(path.glob("undo-*.json")):
        try:
            record = json.loads(file.read_text())
            if undo(record):
                done.append(json.dumps(record, sort_keys=True))
        except (ValueError, TypeError, AttributeError):
            # Cut short by the end of its writer: it was written before the deed, so nothing was done.
            continue
        except OSError as error:
            failed.append(f"{file.name}: {error}")
    return done, failed
