"""The thread that writes log lines: it serialises, redacts and writes, so that the event loop does none of it.

The loop's side is one append to a bounded queue. A consumer that does not read fills the pipe, then the queue; then
records are dropped, counted, and the next line that gets through says how many. Nothing ever waits for the consumer.
"""

from __future__ import annotations

import json
import os
import select
import stat
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO

from signal_service.security.redaction import Redactor

Record = dict[str, Any]

BATCH_RECORDS = 128
TEXT_LENGTH_MAX = 1_000_000
_PIPE_PIECE_BYTES = 4096  # POSIX: a pipe that polls writable takes this much without blocking
_FILE_PIECE_BYTES = 1_048_576
_POLL_MS = 50
WAKE_RECORDS = 512
GATHER_S = 0.02
IDLE_ROUNDS = 10
"""After a batch the thread gathers for a while before it looks again, and only after idle rounds waits to be woken:
waking a thread costs the event loop more than all the rest of ``put``."""


class LineWriter:
    """Writes records as JSON lines to a file descriptor or binary stream, in the order of ``put``.

    Args:
        sink: descriptor (1 is stdout) or an object with ``write``; it is not closed.
        redactor: applied to the finished text.
        capacity: records that may wait.
        capacity_chars: characters of long texts that may wait.
        schedule: for worlds without threads: calls what it is given soon; given when the first record waits.
    """

    def __init__(
        self,
        sink: int | BinaryIO,
        redactor: Redactor,
        capacity: int,
        capacity_chars: int,
        schedule: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.dropped = 0
        self._said = 0
        self._sink = sink
        self._redactor = redactor
        self._capacity = capacity
        self._capacity_chars = capacity_chars
        self._queue: deque[tuple[Record, int]] = deque()
        self._chars = 0
        self._counting = threading.RLock()  # a finaliser that runs while it is held may log too
        self._idle = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._give_up = threading.Event()
        self._piece = _FILE_PIECE_BYTES
        self._poll: select.poll | None = None
        if isinstance(sink, int):
            with suppress(OSError):
                if not stat.S_ISREG(os.fstat(sink).st_mode):
                    self._piece = _PIPE_PIECE_BYTES
                    self._poll = select.poll()
                    self._poll.register(sink, select.POLLOUT)
        self._schedule = schedule
        self._thread: threading.Thread | None = None
        if schedule is None:
            self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
            self._thread.start()

    def put(self, record: Record, chars: int = 0) -> bool:
        """Enqueue; False when it was dropped because the queue is full. Never waits."""
        if len(self._queue) >= self._capacity or self._chars + chars > self._capacity_chars or self._stop.is_set():
            self._count(lost=1)
            return False
        if chars:
            self._count(chars=chars)
        self._queue.append((record, chars))
        if self._schedule is not None:
            if len(self._queue) == 1:
                self._schedule(self.pump)
        elif self._idle or len(self._queue) == WAKE_RECORDS:
            self._wake.set()
        return True

    def _count(self, *, lost: int = 0, chars: int = 0) -> None:
        with self._counting:
            self.dropped += lost
            self._chars += chars

    def close(self, timeout_s: float) -> bool:
        """Write what waits, for at most ``timeout_s``; False when something had to be left."""
        self._stop.set()
        if self._thread is None:
            self.pump()
            return not self._queue
        self._wake.set()
        self._thread.join(timeout_s)
        self._give_up.set()
        self._thread.join(2 * _POLL_MS / 1000 + 0.5)
        return not self._queue and not self._thread.is_alive()

    def pump(self) -> None:
        """Write what waits, here and now: what the thread does where there are threads."""
        while batch := self._take():
            self._write(self._lines(batch))

    def _run(self) -> None:
        empty_rounds = 0
        while not self._give_up.is_set():
            batch = self._take()
            if batch:
                empty_rounds = 0
                self._write(self._lines(batch))
                continue
            if self._stop.is_set():
                return
            empty_rounds += 1
            self._idle = empty_rounds > IDLE_ROUNDS
            if not self._idle:
                self._wake.wait(GATHER_S)
            elif not self._queue:  # looked at after _idle was set: a record put since then wakes
                self._wake.wait()
                empty_rounds = 0
            self._idle = False
            self._wake.clear()

    def _take(self) -> list[Record]:
        batch: list[Record] = []
        chars = 0
        while self._queue and len(batch) < BATCH_RECORDS and chars < TEXT_LENGTH_MAX:
            record, size = self._queue.popleft()
            chars += size
            batch.append(record)
        self._count(chars=-chars)
        return batch

    def _lines(self, batch: list[Record]) -> bytes:
        lines = []
        if self.dropped > self._said:
            lost, self._said = self.dropped - self._said, self.dropped
            notice = {"level": "warning", "logger": __name__, "message": f"{lost} log records were dropped"}
            lines.append(_encode({**notice, "dropped": lost, "dropped_total": self.dropped}))
        try:
            lines += [_encode(shown) for shown in self._redactor.pieces([_dated(record) for record in batch])]
        except Exception:  # noqa: BLE001 - one record that cannot be shown must not take the others with it
            lines += [self._line(record) for record in batch]
        text = self._redactor.text("\n".join(lines) + "\n")
        return text.encode("utf-8", "backslashreplace")

    def _line(self, record: Record) -> str:
        try:
            return _encode(self._redactor.pieces([record])[0])
        except Exception as error:  # noqa: BLE001 - nor end the log
            return _encode({"level": "error", "logger": __name__, "unprintable": type(error).__name__})

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._give_up.is_set():
                return
            try:
                if not isinstance(self._sink, int):
                    self._sink.write(data)
                    self._sink.flush()
                    return
                if self._poll is not None and not self._poll.poll(_POLL_MS):
                    continue
                view = view[os.write(self._sink, view[: self._piece]) :]
            except BlockingIOError:
                continue
            except (OSError, ValueError):  # closed pipe, full disk, closed stream: there is nobody to tell
                self._count(lost=data.count(b"\n"))
                return


_encode = json.JSONEncoder(ensure_ascii=False, default=str, separators=(",", ":")).encode


def _dated(record: Record) -> Record:
    wall = record.get("ts")
    if isinstance(wall, float):
        record["ts"] = datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds")
    return record
