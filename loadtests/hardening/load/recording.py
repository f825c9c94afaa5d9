"""Writes what a load generator records: one line for each request, raw and unrounded, on the monotonic clock.

In come rows, out come files of JSON lines. A line is a JSON array in the order of ``FIELDS``; arrays, because at
thousands a second every microsecond counts. The first line of a file is the writer's clock, so that files of several
machines can be laid side by side.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FIELDS = (
    *("id", "persona", "operation", "method", "path", "key", "sends", "user", "priority"),
    *("intended_s", "begin_s", "end_s", "kind", "status", "error", "value"),
)
"""``value`` holds what an answer said beyond its status, ready for the history; times are monotonic seconds."""

CLOCK = "clock"
OBSERVED = "observed"
Row = Sequence[Any]


def boot_id() -> str:
    """Names this machine since it was started: monotonic clocks agree where this does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


def clock_record() -> dict[str, Any]:
    """Wall and monotonic time of one moment."""
    return {"type": CLOCK, "boot_id": boot_id(), "mono_s": time.monotonic(), "wall_s": time.time()}


@dataclass(slots=True)
class Log:
    """Rows on their way into a file; ``flush`` writes what has come since the last time."""

    path: Path
    rows: list[Any] = field(default_factory=list)
    _begun: bool = False

    def add(self, row: object) -> None:
        """Keep one row."""
        self.rows.append(row)

    def flush(self, clock: dict[str, Any] | None = None) -> None:
        """Write; the first time with the clock on top (``clock``: of the measuring machine, else ours)."""
        if not self.rows:
            return
        rows, self.rows = self.rows, []
        text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
        if not self._begun:
            self._begun = True
            text = json.dumps(clock or clock_record()) + "\n" + text
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)


@dataclass(slots=True)
class Tally:
    """Counts of a running test, for progress and for the emergency stop.

    ``error`` is what should never be: an answer 5xx other than 503, or none at all, from somebody who waited.
    """

    sent: int = 0
    accepted: int = 0
    refused: int = 0
    errors: int = 0
    recent: list[tuple[float, bool]] = field(default_factory=list)

    def take(self, rows: Iterable[Row]) -> None:
        """Count rows in."""
        for row in rows:
            status, kind, error = row[13], row[12], row[14]
            refused = status in {429, 503}
            wrong = (status >= 500 and not refused) or (kind != "ok" and error != "disconnected")
            self.sent += 1
            self.refused += refused
            self.errors += wrong
            self.accepted += 200 <= status < 300
            self.recent.append((row[11], wrong))

    def error_share(self, now_s: float, window_s: float = 10.0, least: int = 20) -> float:
        """Share of errors among the requests that ended in the last seconds; 0 for fewer than ``least``."""
        self.recent = [one for one in self.recent if one[0] > now_s - window_s]
        if len(self.recent) < least:
            return 0.0
        return sum(wrong for _, wrong in self.recent) / len(self.recent)

    def to_json(self) -> dict[str, int]:
        """For a progress line."""
        return {"sent": self.sent, "accepted": self.accepted, "refused": self.refused, "errors": self.errors}
