"""Watches the service while it is under load, and looks once more when the load is over.

One per run, in the process where the records come together. What it asks is recorded like anybody's request; what
``/metrics`` said is recorded as it was said.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent

from hardening.history.workload import Operation, signal
from hardening.load.exposition import parse
from hardening.load.generator import Generator

EVERY_S = 1.0
REST_S_MAX = 12.0
QUIET_LOOKS = 2
WAIT_S_MAX = 65.0
OBSERVER = "observer"
HISTOGRAM = "signal_request_seconds"
"""Our own latencies are raw; what the service sorted into buckets adds nothing to them."""


class Observer:
    """Asks ``/metrics`` and ``/health`` about once a second."""

    def __init__(self, generator: Generator) -> None:
        self._own = generator
        self._lane = generator.lane()
        self._greenlet: gevent.Greenlet | None = None
        self.last: dict[str, float] = {}

    def start(self) -> None:
        """Watch from now on."""
        self._greenlet = gevent.spawn(self._watch)

    def stop(self) -> None:
        """Watch no more."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def _watch(self) -> None:
        self.look()
        while True:
            gevent.sleep(EVERY_S)
            self.look()
            self._send(Operation(0.0, "health", path="/health", priority="critical"), OBSERVER)

    def _send(self, operation: Operation, persona: str) -> list[Any]:
        own = self._own
        row = self._lane.send(operation, own.key_of(operation), own.ids.next(), persona, time.monotonic())
        own.write("requests-observer", [row])
        return row

    def look(self) -> bool:
        """Scrape ``/metrics`` once; False when it could not be had."""
        own = self._own
        key = next((name for name in ("operator", "scraper") if name in own.keys), "")
        if not key:
            return False
        texts: list[bytes] = []
        operation = Operation(0.0, "metrics", path="/metrics", key=key, priority="critical")
        row = self._lane.send(operation, own.keys[key], own.ids.next(), OBSERVER, time.monotonic(), texts.append)
        own.write("requests-observer", [row])
        if row[13] != 200 or not texts:
            return False
        self.last = parse(texts[0].decode("utf-8", "replace"))
        shown = {name: value for name, value in self.last.items() if not name.startswith(HISTOGRAM)}
        own.observe("observed", {"type": "metrics", "begin_s": row[10], "end_s": row[11], "series": shown})
        return True

    def rest(self) -> None:
        """Look until the service is at rest, or for as long as that may take."""
        end_s, quiet = time.monotonic() + REST_S_MAX, 0
        while quiet < QUIET_LOOKS and time.monotonic() < end_s:
            if not self.look():
                return
            waiting = (self.last.get("signal_in_flight{name=main}", 0), self.last.get("signal_outbox_undelivered", 0))
            quiet = quiet + 1 if not any(waiting) else 0
            gevent.sleep(0.3)

    def lone_client(self, progress: Callable[[str], None]) -> None:
        """Ask once, alone; obey a 429, and ask again: that one has to get in."""
        asked = signal(0.0, "AAPL")
        if not self._own.can(asked):
            return
        first = self._send(asked, "lone")
        wait_s = first[15].get("retry_after_header_s", first[15].get("retry_after_s"))
        if first[13] != 429 or wait_s is None or float(wait_s) > WAIT_S_MAX:
            return
        progress(f"a client alone waits {float(wait_s):g} s, as the 429 asked")
        gevent.sleep(float(wait_s))
        self._send(asked, "lone")
