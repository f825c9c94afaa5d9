"""The audit log: who did what, when, with which outcome; every record chained to the one before.

``record`` only enqueues; one thread redacts, chains, appends and flushes, a batch at a time. What cannot be written
waits, bounded, and is tried again in its order; meanwhile the log is not ``healthy`` and admin changes are refused.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from signal_service.seams import EmitEvent, FileStore
from signal_service.security.audit_chain import (
    RECOVERED,
    AuditProblem,
    Link,
    head_path,
    key_bytes,
    read_head,
    read_link,
    seal,
    torn_fields,
    verify_audit,
    write_head,
)
from signal_service.security.audit_files import AuditFiles, DiskFiles
from signal_service.security.redaction import Redactor

__all__ = ["AuditLog", "AuditProblem", "DiskFiles", "verify_audit"]

BATCH_RECORDS = 256
FIELDS_CHARS_MAX = 16_384
_TAIL_BYTES = 131_072
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)

_log = logging.getLogger(__name__)


class AuditLog:
    """Appends audit records to ``path``.

    Args:
        path: the JSON Lines file; ``<path>.head`` (the anchor) and ``<path>.lock`` stand beside it.
        files: the disk; with ``AuditFiles`` several processes may share the file, a plain ``FileStore`` has one writer
            and no anchor.
        wall: seconds since the epoch.
        emit: takes the event ``audit`` (``failed``, ``back``), on the writer's thread.
        key: makes the hashes HMACs.
        redactor: applied to everything before it is hashed.
        capacity: records that may wait for the disk.
        background: False writes inside ``record`` and ``flush``, for worlds without threads.
        later: there, calls a function after so many seconds: what could not be written is tried again.
    """

    def __init__(
        self,
        path: Path,
        files: FileStore,
        wall: Callable[[], float],
        emit: EmitEvent,
        key: str | bytes | None = None,
        *,
        redactor: Redactor | None = None,
        capacity: int = 10_000,
        background: bool = True,
        later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self.failures = 0
        self._later = later
        self._tries = 0
        self._path = path
        self._files = files
        self._shared = files if isinstance(files, AuditFiles) else None
        self._wall = wall
        self._emit = emit
        self._key = key_bytes(key or b"")
        self._redactor = redactor or Redactor()
        self._capacity = capacity
        self._healthy = True
        self._link: Link | None = None
        self._pending: deque[dict[str, Any]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        if background:
            self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
            self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether the last attempt to write succeeded; while it is False, refuse what must be audited."""
        return self._healthy

    @property
    def waiting(self) -> int:
        """Records that are not on the disk yet."""
        return len(self._pending)

    def record(self, action: str, actor: str, outcome: str, request_id: str = "", **fields: Any) -> bool:
        """Enqueue one record; never waits for the disk.

        Returns:
            False when it was lost (queue full, log closed) or the log is not healthy.
        """
        time = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="microseconds")
        record = {"time": time, "action": action, "actor": actor, "outcome": outcome, "request_id": request_id}
        record["fields"] = fields  # type: ignore[assignment]
        with self._changed:
            lost = len(self._pending) >= self._capacity or self._stopping
            if not lost:
                self._pending.append(record)
                self._changed.notify_all()
        if lost:
            self._failed("closed" if self._stopping else "queue full")
        elif self._thread is None and not self._tries:
            self._write_here()
        return self._healthy and not lost

    def _write_here(self) -> None:
        """What the thread does, on the caller's; tried again later when the disk refuses."""
        while self._pending:
            if self._write_pending():
                self._tries = 0
            elif self._later is None or self._stopping:
                return
            else:
                self._tries += 1
                self._later(_RETRY_S[min(self._tries, len(_RETRY_S)) - 1], self._write_here)
                return

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was recorded is on the disk; blocks, so call it on a thread. False when it is not."""
        if self._thread is None:
            return not self._pending or self._write_pending()
        with self._changed:
            self._changed.wait_for(lambda: not self._pending, timeout_s)
            return not self._pending

    def close(self, timeout_s: float = 2.0) -> bool:
        """Write what waits, for at most ``timeout_s``, and stop; False when records were lost."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self._pending

    def _run(self) -> None:
        tries = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._stopping)
                if not self._pending:
                    return
            if self._write_pending():
                tries = 0
                continue
            with self._changed:
                if self._stopping and tries:
                    return  # the disk had its last chance
                self._changed.wait_for(lambda: self._stopping, _RETRY_S[min(tries, len(_RETRY_S) - 1)])
            tries += 1

    def _write_pending(self) -> bool:
        batch = list(islice(self._pending, BATCH_RECORDS))
        try:
            self._write(batch)
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever the store throws
            self._link = None
            self._failed(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}")
            return False
        with self._changed:
            for _ in batch:
                self._pending.popleft()
            self._changed.notify_all()
        if not self._healthy:
            self._healthy = True
            self._emit("audit", event="back", seq=self._link.seq if self._link else 0)
        return True

    def _write(self, batch: list[dict[str, Any]]) -> None:
        with self._shared.locked(self._path) if self._shared else nullcontext():
            data, link = b"", self._link
            if link is None or self._shared is not None:
                data, link = self._continue_from()
            for record in batch:
                line, link = seal(self._shown(record), link, self._key)
                data += line
            self._files.append(self._path, data)
            self._link = link
            if self._shared is not None:
                with suppress(OSError):  # an old head is a weaker anchor, not a wrong one
                    self._shared.replace(head_path(self._path), write_head(link, self._key))

    def _shown(self, record: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = self._redactor.value(record)
        if len(str(shown["fields"])) > FIELDS_CHARS_MAX:
            shown["fields"] = {"left_out": f"more than {FIELDS_CHARS_MAX} characters"}
        return shown

    def _continue_from(self) -> tuple[bytes, Link]:
        """The end of the file's chain, and what must be written first to mend it after a crash or a cut."""
        data, head = self._tail()
        if self._shared is not None and head is None and not data:  # before the first record: no crash can part them
            self._shared.replace(head_path(self._path), write_head(Link(), self._key))
        lines = data.split(b"\n")
        torn = lines.pop()
        end = next((link for link in map(read_link, reversed(lines[-64:])) if link is not None), Link())
        if head is not None and head.seq > end.seq:
            return self._mend(torn, head, "truncated", {"last_seq_found": end.seq})
        if torn:
            return self._mend(torn, end, "torn_tail", {})
        if self._shared is not None and head is None and end.seq:
            return self._mend(b"", end, "unanchored", {})
        return b"", end

    def _mend(self, torn: bytes, link: Link, outcome: str, fields: dict[str, Any]) -> tuple[bytes, Link]:
        time = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="microseconds")
        record = {"time": time, "action": RECOVERED, "actor": "service", "outcome": outcome, "request_id": ""}
        told = fields | (torn_fields(torn) if torn else {})
        line, link = seal({**record, "fields": told}, link, self._key)
        _log.warning("audit log %s: %s before record %d", outcome, told, link.seq)
        return (b"\n" if torn else b"") + line, link

    def _tail(self) -> tuple[bytes, Link | None]:
        if self._shared is not None:
            head = read_head(self._shared.tail(head_path(self._path), 1024), self._key)
            return self._shared.tail(self._path, _TAIL_BYTES), head
        try:
            return self._files.read(self._path), None
        except FileNotFoundError:
            return b"", None

    def _failed(self, reason: str) -> None:
        self._healthy = False
        self.failures += 1
        self._emit("audit", event="failed", reason=reason, seq=self._link.seq + 1 if self._link else 0)


def main(arguments: list[str]) -> int:
    """``python -m signal_service.security.audit FILE`` prints what is wrong with it; 0 intact, 1 not."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m signal_service.security.audit FILE (key in SIGNAL_AUDIT_KEY)\n")
        return 2
    problems = verify_audit(Path(arguments[0]), os.environ.get("SIGNAL_AUDIT_KEY", ""))
    for problem in problems:
        sys.stdout.write(f"line {problem.line}: {problem.kind}: {problem.detail}\n")
    intact = all(problem.harmless for problem in problems)
    sys.stdout.write("intact\n" if intact else "NOT intact\n")
    return 0 if intact else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
