"""Made-up load runs, by hand: histories as the merging would give them, legal until a test breaks one thing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hardening.history.events import Event, Header, History, digest_of
from hardening.load.plan import Plan
from hardening.load.recording import FIELDS, Log
from hardening.load.view import Run


@dataclass(slots=True)
class Record:
    """Collects events of a run that began at 0."""

    plan: Plan = field(default_factory=lambda: Plan.of("steady", 5.0, 60.0, embedded=True))
    events: list[Event] = field(default_factory=list)
    count: int = 0

    def ask(
        self,
        at_s: float,
        status: int = 200,
        *,
        operation: str = "signal",
        persona: str = "reader",
        priority: str = "normal",
        took_s: float = 0.01,
        late_s: float = 0.0,
        error: str = "",
        key: str = "",
        **said: Any,
    ) -> None:
        """One request that was meant to start at ``at_s`` and started ``late_s`` later."""
        self.count += 1
        name = f"L0-1-{self.count}"
        asked: dict[str, Any] = {
            "method": "GET", "path": "/", "operation": operation, "user": "u", "priority": priority,
            "persona": persona, "intended_t": at_s,
        }  # fmt: skip
        if key:
            asked["idempotency_key"] = key
        if "problem" in said:
            said["problem"] = f"urn:signal-service:problem:{said['problem']}"
        begin = at_s + late_s
        self.events.append(Event(begin, "client", "invoke", "request", asked, name))
        end = {"latency_s": took_s, **({"error": error} if error else {"status": status, **said})}
        kind = "indeterminate" if error else "ok"
        self.events.append(Event(begin + took_s, "client", kind, "request", end, name))

    def refuse(self, at_s: float, told_s: float | None, **more: Any) -> None:
        """A 429 that names a wait."""
        said = {} if told_s is None else {"retry_after_s": told_s}
        self.ask(at_s, 429, problem="rate", took_s=0.001, **said, **more)

    def admit(self, at_s: float, name: str = "") -> None:
        """The service says that it accepted something."""
        value = {"route": "signal", "priority": "normal"}
        self.events.append(Event(at_s, "service", "state", "admitted", value, name))

    def scrape(self, at_s: float, **series: float) -> None:
        """What /metrics said; names are given without ``signal_`` and with labels after two underscores."""
        self.see(at_s, {f"signal_{name}": value for name, value in series.items()})

    def see(self, at_s: float, series: Mapping[str, float]) -> None:
        """What /metrics said, by full names."""
        value = {"probe": "metrics", "series": dict(series), "round_trip_s": 0.001}
        self.events.append(Event(at_s, "harness", "state", "probe", value))

    def probe(self, at_s: float, name: str, **value: Any) -> None:
        """The harness saw something."""
        self.events.append(Event(at_s, "harness", "state", "probe", {"probe": name, **value}))

    def lag(self, worker: int, *spans: tuple[float, float]) -> None:
        """A generator had no time then."""
        self.probe(spans[-1][1], "generator_lag", worker=worker, spans=[list(one) for one in spans])

    def sample(self, at_s: float, rss_mb: float, cpu_share: float = 0.1) -> None:
        """The process from outside."""
        value = {"rss_bytes": int(rss_mb * 1024 * 1024), "cpu_share": cpu_share, "fds": 20}
        self.events.append(Event(at_s, "harness", "state", "sample", value))

    def state(self, at_s: float, f: str, **value: Any) -> None:
        """Something that the service said of itself."""
        self.events.append(Event(at_s, "service", "state", f, value))

    def history(self) -> History:
        """All of it."""
        extra = {"load": {"plan": self.plan.to_json(), "began_s": 0.0}}
        header = Header("live", {}, digest_of({}), 0, "unknown", (), {}, "2026-01-01T00:00:00+00:00", extra=extra)
        return History(header, self.events)

    def run(self) -> Run:
        """As the judges see it."""
        return Run(self.history())


def raw_row(name: str, at_s: float, status: int = 200, error: str = "", late_s: float = 0.5) -> list[object]:
    """A request as a generator writes it down: meant for ``at_s``, an eighth of a second long."""
    kind = "indeterminate" if error else "ok"
    found = dict.fromkeys(FIELDS, "")
    found |= {"id": name, "persona": "reader", "operation": "signal", "method": "GET", "path": "/x", "sends": "valid"}
    found |= {"priority": "normal", "intended_s": at_s, "begin_s": at_s + late_s, "end_s": at_s + late_s + 0.125}
    found |= {"kind": kind, "status": status, "error": error, "value": {}}
    return list(found.values())


def write_raw(
    directory: Path, *files: tuple[str, Mapping[str, object], list[list[object]]], plan: Plan | None = None
) -> Path:
    """The raw files of a run that began at 100 s of its monotonic clock; each (name, other clock fields, rows)."""
    clock = {"type": "clock", "boot_id": "here", "mono_s": 100.0, "wall_s": 1000.0}
    began = {"plan": (plan or Plan.of("steady")).to_json(), "began_s": 100.0, "clock": clock}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "plan.json").write_text(json.dumps(began), encoding="utf-8")
    for name, other, rows in files:
        log = Log(directory / name)
        log.rows += rows
        log.flush({**clock, **other})
    return directory


def write_world(directory: Path, admissions: int, **extra: object) -> Path:
    """A run on a service booted for it, which says that it accepted so many within thirty seconds."""
    step_s = 30.0 / admissions
    rows = [raw_row(f"r{n}", 100.0 + n * step_s, late_s=0.0) for n in range(admissions)]
    write_raw(directory, ("requests-0.jsonl", {}, rows), plan=Plan.of("steady", embedded=True))
    record = Record()
    for number in range(admissions):
        record.admit(0.05 + number * step_s, f"r{number}")
    history = record.history()
    header = replace(history.header, extra={"epoch_s": 100.0, **extra})
    History(header, history.events).write(directory / "world.jsonl")
    return directory
