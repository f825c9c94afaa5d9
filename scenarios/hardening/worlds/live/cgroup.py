"""The control group of a process: its memory and processor limits, lowered and set back, v2 or v1.

Only a group that holds nothing but the process and its children is touched. A group shared with anybody else
(the harness, a shell, a whole container) is refused: its limit would hit them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from hardening.faults.base import UnsupportedTargetError
from hardening.faults.run_directory import CONTROL_GROUPS, RunDirectory

_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class Files:
    """Names of the control files of one controller in one version."""

    limit: str
    usage: str
    hits: str


_MEMORY = {2: Files("memory.max", "memory.current", "memory.events"), 1: Files("", "", "")}
_MEMORY[1] = Files("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.failcnt")
_CPU = {2: Files("cpu.max", "", "cpu.stat"), 1: Files("cpu.cfs_quota_us", "", "cpu.stat")}


@dataclass(slots=True)
class Lowered:
    """A lowered limit: ``release`` sets it back and says how often it was hit."""

    path: Path
    before: str
    hits_path: Path
    hits_before: int
    record: Path

    def release(self) -> int:
        """Set it back, verify, forget the undo record; returns the hits meanwhile."""
        self.path.write_text(self.before)
        hits = count_hits(self.hits_path) - self.hits_before
        self.record.unlink(missing_ok=True)
        return max(0, hits)


def count_hits(path: Path) -> int:
    """How often the limit was felt: ``max``/``oom`` of memory.events, failcnt, or ``nr_throttled``."""
    text = path.read_text().split() if path.exists() else []
    if len(text) == 1:
        return int(text[0])
    pairs = dict(zip(text[::2], text[1::2], strict=False))
    return sum(int(pairs.get(name, 0)) for name in ("max", "oom", "nr_throttled"))


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """One controller's group of one process."""

    directory: Path
    version: int
    pid: int

    @classmethod
    def of(cls, pid: int, controller: str, root: Path = CONTROL_GROUPS, proc: Path = Path("/proc")) -> Self:
        """Find it.

        Raises:
            UnsupportedTargetError: when there is none of its own, or it cannot be written.
        """
        for line in (proc / str(pid) / "cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if controller in names.split(","):
                group = cls(root / controller / path.lstrip("/"), 1, pid)
            elif not names and (root / path.lstrip("/") / "cgroup.procs").exists():
                group = cls(root / path.lstrip("/"), 2, pid)
            else:
                continue
            if group.file(controller, "limit").exists():
                group.check(controller)
                return group
        raise _refused(f"a process in a control group with the {controller} controller")

    def file(self, controller: str, which: str) -> Path:
        """Path of its ``limit``, ``usage`` or ``hits`` file."""
        names = (_MEMORY if controller == "memory" else _CPU)[self.version]
        return self.directory / str(getattr(names, which))

    def check(self, controller: str) -> None:
        """Refuse a group shared with others, or not ours to write; raises UnsupportedTargetError."""
        members = {int(number) for number in (self.directory / "cgroup.procs").read_text().split()}
        try:
            process = psutil.Process(self.pid)
            ours = {self.pid, *(child.pid for child in process.children(recursive=True))}
        except psutil.NoSuchProcess as error:
            raise _refused("a process that runs") from error
        if members - ours or not members:
            raise _refused("a process alone in its control group (this one shares it)")
        try:
            with self.file(controller, "limit").open("r+"):
                pass
        except OSError as error:
            raise _refused(f"a control group that can be written ({error.strerror})") from error

    def lower_memory(self, headroom_bytes: int, run: RunDirectory) -> Lowered:
        """Limit it to what is in use plus ``headroom_bytes``."""
        usage = int(self.file("memory", "usage").read_text())
        return self._lower("memory", str(usage + headroom_bytes), run)

    def lower_cpu(self, cores: float, run: RunDirectory) -> Lowered:
        """Leave it ``cores`` of processor time."""
        quota_us = int(cores * _PERIOD_US)
        return self._lower("cpu", f"{quota_us} {_PERIOD_US}" if self.version == 2 else str(quota_us), run)

    def _lower(self, controller: str, text: str, run: RunDirectory) -> Lowered:
        limit, hits = self.file(controller, "limit"), self.file(controller, "hits")
        before = limit.read_text().strip()
        # Down on disk before it is done: a harness killed right after is healed by the next one.
        record = run.undo_later({"undo": "write", "path": str(limit), "text": before})
        lowered = Lowered(limit, before, hits, count_hits(hits), record)
        try:
            limit.write_text(text)
        except OSError as error:
            record.unlink(missing_ok=True)
            raise _refused(f"a control group that can be written ({error.strerror})") from error
        return lowered


def _refused(allowed: str) -> UnsupportedTargetError:
    return UnsupportedTargetError("fault.means", "cgroup", allowed)
