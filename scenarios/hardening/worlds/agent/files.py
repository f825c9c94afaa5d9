"""A full disk and a log that nobody reads, made by the kernel and not by a patch: what the writer sees is real."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import resource
import select
import termios
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_STREAMS = (1, 2)
_FULL = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
_ROOM_BYTES = 4096


class _RefusedWrites:
    """Counts refused ``os.write`` calls; buffered files of Python that bypass it are not counted."""

    def __init__(self) -> None:
        self.count = 0
        self._real: Callable[..., int] = os.write
        os.write = self._write

    def _write(self, fd: int, data: Any, /) -> int:
        try:
            return self._real(fd, data)
        except OSError as error:
            self.count += error.errno in _FULL
            raise

    def end(self) -> None:
        # Another count may have been put on top of ours; then ours stays below it, harmless.
        if os.write == self._write:
            os.write = self._real


class FullAudit:
    """No file of this process grows beyond the audit log's present size (``RLIMIT_FSIZE``, EFBIG).

    Smaller files can still grow to that size; a larger one cannot grow at all.
    """

    def __init__(self, path: str) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        file = Path(path)
        size = file.stat().st_size if file.exists() else 0
        self._writes = _RefusedWrites()
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self._before[1]))
        self._size = size
        self._in_force = resource.getrlimit(resource.RLIMIT_FSIZE)[0] == size

    def says(self) -> Mapping[str, Any]:
        """The size that cannot be passed."""
        return {"means": "rlimit_fsize", "size_bytes": self._size, "in_force": self._in_force}

    def reading(self) -> Mapping[str, float]:
        """Writes refused."""
        return {"writes_refused": self._writes.count}

    def release(self) -> Mapping[str, float]:
        """Let files grow again."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
        self._writes.end()
        return self.reading()


class FullLogs:
    """stdout and stderr lead to ``/dev/full``: each write fails with ENOSPC."""

    def __init__(self) -> None:
        self._kept = [os.dup(stream) for stream in _STREAMS]
        full = os.open("/dev/full", os.O_WRONLY)
        self._writes = _RefusedWrites()
        for stream in _STREAMS:
            os.dup2(full, stream)
        os.close(full)

    def says(self) -> Mapping[str, Any]:
        """What took the place of the log."""
        return {"means": "/dev/full"}

    def reading(self) -> Mapping[str, float]:
        """Writes refused."""
        return {"writes_refused": self._writes.count}

    def release(self) -> Mapping[str, float]:
        """Put the streams back."""
        _put_back(self._kept)
        self._writes.end()
        return self.reading()


class SilentReader:
    """stdout and stderr lead to a pipe that is as good as full and that nobody reads; healing hands it all on."""

    def __init__(self) -> None:
        self._kept = [os.dup(stream) for stream in _STREAMS]
        self._read, self._write = os.pipe()
        room = fcntl.fcntl(self._write, fcntl.F_GETPIPE_SZ) - _ROOM_BYTES
        os.set_blocking(self._read, False)
        # Filled but for one page, so that what the process still gets rid of shows that it tried.
        self._filler = os.write(self._write, b"\0" * room)
        for stream in _STREAMS:
            os.dup2(self._write, stream)

    def _held_bytes(self) -> int:
        waiting = array.array("i", [0])
        fcntl.ioctl(self._read, termios.FIONREAD, waiting)
        return max(0, waiting[0] - self._filler)

    def says(self) -> Mapping[str, Any]:
        """What took the place of the log."""
        return {"means": "an unread pipe", "room_bytes": _ROOM_BYTES}

    def reading(self) -> Mapping[str, float]:
        """Bytes that wait, and whether the pipe takes no more."""
        writable = select.select([], [self._write], [], 0)[1]
        return {"bytes_held": self._held_bytes(), "blocked": float(not writable)}

    def release(self) -> Mapping[str, float]:
        """Put the streams back and hand on what waited, so that no line is lost."""
        counts = self.reading()
        out = os.dup(self._kept[0])
        skip = self._drain(out, self._filler)
        _put_back(self._kept)
        self._drain(out, skip)
        for number in (self._read, self._write, out):
            os.close(number)
        return counts

    def _drain(self, out: int, skip: int) -> int:
        """Copy all that waits to ``out``, without the first ``skip`` bytes; returns what is still to be skipped."""
        while True:
            try:
                data = os.read(self._read, 65536)
            except BlockingIOError:
                return skip
            ours = min(skip, len(data))
            skip -= ours
            view = memoryview(data)[ours:]
            while view:
                view = view[os.write(out, view) :]


def _put_back(kept: list[int]) -> None:
    for stream, number in zip(_STREAMS, kept, strict=True):
        os.dup2(number, stream)
        os.close(number)
