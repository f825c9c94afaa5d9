"""The disk below the audit log: appends that are whole or not at all, shared between processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from signal_service.seams import FileStore

_MODE = 0o640


@runtime_checkable
class AuditFiles(FileStore, Protocol):
    """A file store that several processes can share and that can anchor a file's end."""

    def tail(self, path: Path, length: int) -> bytes:
        """The last ``length`` bytes; empty when there is no file. Raises OSError."""

    def replace(self, path: Path, data: bytes) -> None:
        """Put a whole new content in place of the old one; raises OSError and then keeps the old one."""

    def locked(self, path: Path) -> AbstractContextManager[None]:
        """Keep every other process that asks for the same lock out; raises OSError."""


class DiskFiles:
    """The real disk, as ``seams.FileStore`` and ``AuditFiles``."""

    def append(self, path: Path, data: bytes) -> None:
        """Append ``data`` whole and flush it to the disk; raises OSError and leaves no half record."""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # nobody may write between a half write and its removal
            before = os.fstat(descriptor).st_size
            try:
                written = os.write(descriptor, data)
                if written != len(data):
                    raise OSError(28, "no space left for the whole record", str(path))
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)

    def read(self, path: Path) -> bytes:
        """The whole file; raises OSError."""
        return path.read_bytes()

    def tail(self, path: Path, length: int) -> bytes:
        """The last ``length`` bytes; empty when there is no file. Raises OSError."""
        try:
            with path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - length))
                return file.read(length)  # bounded: a device has no end
        except FileNotFoundError:
            return b""

    def replace(self, path: Path, data: bytes) -> None:
        """Put a whole new content in place of the old one; raises OSError and then keeps the old one."""
        new = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            new.write_bytes(data)
            new.replace(path)
        except OSError:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise

    @contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """Keep every other process that asks for the same lock out; raises OSError."""
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
