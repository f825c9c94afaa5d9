"""Audit logs to write, to read and to break."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from signal_service.security.audit import AuditLog, DiskFiles, verify_audit

KEY = "audit-key-0123456789"


WALL_S = 1763900000.25


class Events:
    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def __call__(self, event: str, /, *, id: str = "", **fields: Any) -> None:  # noqa: A002
        assert event == "audit"
        self.heard.append(fields)


class FailingFiles(DiskFiles):
    """A disk that is full, or tears, when told."""

    def __init__(self) -> None:
        self.full = False

    def append(self, path: Path, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(path, data)


class PlainFiles:
    """No more than ``seams.FileStore``: in memory, one writer."""

    def __init__(self) -> None:
        self.content: dict[Path, bytes] = {}

    def append(self, path: Path, data: bytes) -> None:
        self.content[path] = self.content.get(path, b"") + data

    def read(self, path: Path) -> bytes:
        if path not in self.content:
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return self.content[path]


def opened(path: Path, files: Any = None, events: Events | None = None, **options: Any) -> AuditLog:
    return AuditLog(path, files or DiskFiles(), lambda: WALL_S, events or Events(), KEY, **options)


def write(path: Path, count: int, first: int = 0) -> None:
    log = opened(path)
    for number in range(first, first + count):
        assert log.record("reload", "admin:ops", "applied", f"r{number}", number=number)
    assert log.close()


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def kinds(path: Path, key: str = KEY) -> list[str]:
    return [problem.kind for problem in verify_audit(path, key)]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)
