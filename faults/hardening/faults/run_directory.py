"""The directory of one run: what it started and changed, so that the next run can end and undo it after a kill.

A run holds its directory by a lock. Before it starts a process it writes an intent (``intend``), then the process's
pid *and* start time (``own``), so that a recycled pid is never mistaken for ours. Changes that outlive processes (a
cgroup's limit, toxics of a Toxiproxy that is not ours) are written as *undo records* before they are made:
``{"undo": "write", "path": ..., "text": ...}``, ``{"undo": "toxiproxy", "url": ..., "pid": ..., "cut": ...}``.
``sweep`` takes each directory whose lock is free: it kills the processes, undoes the records and removes the
directory; the directory of a run that is alive keeps its lock and is never touched. Times are seconds since the epoch.
A record that would touch anything else is a ``ValueError``.

From the first intent on a *guard* process (Linux) waits for the end of this one and then kills whatever carries
``RUN_VARIABLE``: children of children too, at once and without a sweep.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from hardening.faults.toxiproxy_undo import is_undo_record, undo_toxics

CONTROL_GROUPS = Path("/sys/fs/cgroup")
RUN_VARIABLE = "HARDENING_RUN_DIRECTORY"
"""Every child that was intended carries its run directory in this variable, and hands it to its own children."""

# Waits until its standard input closes (the run has ended or was killed), then kills until two looks find nobody.
_GUARD = """
import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
sys.stdin.buffer.read()
mark, calm = os.fsencode(sys.argv[1]), 0
while calm < 2:
    calm += 1
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if mark in environ.read().split(b"\\0"):
                    os.kill(int(pid), signal.SIGKILL)
                    calm = 0
        except OSError:
            pass
"""


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
        self._guard: subprocess.Popen[bytes] | None = None
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
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        if (self.path / "lock").exists():
            return True
        self._lock.close()
        return False

    def intend(self, name: str) -> None:
        """Write down that a process is about to be started; ``children.tied`` does it."""
        self._write({"intended": name})
        if self._guard is None and sys.platform == "linux":
            argv = [sys.executable, "-I", "-S", "-c", _GUARD, f"{RUN_VARIABLE}={self.path}"]
            self._guard = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def own(self, pid: int, name: str) -> OwnedPid:
        """Write down a process that was started."""
        owned = OwnedPid.of(pid, name)
        self._write({"pid": owned.pid, "started_s": owned.started_s, "name": name})
        return owned

    def _write(self, record: Mapping[str, object]) -> None:
        with (self.path / "processes.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")

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
        if self._guard is not None:
            self._guard.communicate()
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()
        with contextlib.suppress(OSError):
            self._root.rmdir()


def described(path: Path) -> str:
    """A run directory for a person: its path, and the pid and command line of the process that holds it."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        pid = int((path / "lock").read_text())
        return f"{path} (pid {pid}: {' '.join(psutil.Process(pid).cmdline()[1:])[:80]})"
    return str(path)


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
    if kind == "toxiproxy" and is_undo_record(record):
        return
    allowed = f"write (below {CONTROL_GROUPS}), toxiproxy (with url and pid)"
    raise ValueError(f"undo is {dict(record)!r}, allowed: {allowed}")


def undo(record: Mapping[str, str]) -> bool:
    """Do what the record says; false when there was nothing left to undo. Raises ValueError, OSError."""
    check_undo(record)
    if record["undo"] == "toxiproxy":
        return undo_toxics(record)
    path = Path(record["path"])
    if not path.exists():
        return False
    path.write_text(record["text"])
    return True


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
    for owned in (*_read_owned(path), *_carrying(path)):
        if owned.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(owned.pid, signal.SIGKILL)
            killed.append(owned)
    return killed


def _carrying(path: Path) -> Iterator[OwnedPid]:
    """Processes whose environment names the directory: started but not written down, or started by one that was."""
    if not (path / "processes.jsonl").exists():
        return
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(RUN_VARIABLE) == str(path):
                yield OwnedPid(process.pid, process.create_time(), process.name())


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
