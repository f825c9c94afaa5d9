"""Writes the raw records of one Locust process; see ``loadtests.records`` for the format."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from loadtests.spec import LoadSpec

FLUSH_EVERY = 64
WINDOW = 100
"""The last requests of which the share of errors is taken."""

WINDOW_MIN = 20


class Recording:
    """One process's file; ``add`` is called once for each request, in whatever greenlet."""

    def __init__(self, spec: LoadSpec) -> None:
        folder = Path(spec.out)
        folder.mkdir(parents=True, exist_ok=True)
        self._spec = spec
        self._file: TextIO = (folder / f"requests-{os.getpid()}.jsonl").open("w", encoding="utf-8")
        self._numbers = itertools.count(1)
        self._written = 0
        self._errors: deque[bool] = deque(maxlen=WINDOW)
        header = {"type": "header", "mono_s": time.monotonic(), "wall_s": time.time(), "worker": os.getpid()}
        self._write(header)

    def new_id(self) -> str:
        """An id for a request, unique over all processes of a run."""
        return f"L{os.getpid()}-{next(self._numbers)}"

    def add(self, record: Mapping[str, Any], *, failed: bool) -> None:
        """Write one request down; ``failed``: it was no answer, or one that should never be."""
        self._errors.append(failed)
        self._write(record)

    def scrape(self, at_s: float, series: Mapping[str, float]) -> None:
        """Write one reading of ``/metrics`` down."""
        self._write({"type": "metrics", "at_s": at_s, "series": dict(series)})

    def _write(self, value: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(value, separators=(",", ":")) + "\n")
        self._written += 1
        if self._written % FLUSH_EVERY == 0:
            self._file.flush()

    def too_many_errors(self) -> bool:
        """Whether the target is in trouble: of the last requests more failed than the spec bears."""
        limit = self._spec.error_share_max
        return bool(limit) and len(self._errors) >= WINDOW_MIN and sum(self._errors) > limit * len(self._errors)

    def abort(self, reason: str) -> None:
        """Say in the directory why the run ended early."""
        (Path(self._spec.out) / "aborted.txt").write_text(reason + "\n", encoding="utf-8")

    def flush(self) -> None:
        """Let everybody see what was written so far."""
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        """Write what waits."""
        if not self._file.closed:
            self._file.close()
