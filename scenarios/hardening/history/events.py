"""The history of a run: events in the order of time, in memory and as JSON Lines; a judge reads nothing else.

``Recorder`` takes events in, ``History`` gives them out, ``read`` and ``parse`` take a file or text. Times are seconds
since the run began; units stand last in names. ``docs/HISTORY.md`` describes the format, ``history.schema.json`` is its
schema. The table below is closed: an event that is not in it, or lacks a field, raises ``HistoryError`` when it is
written and when it is read. Later versions only add rows and optional fields.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

FORMAT = "signal-hardening/history"
FORMAT_VERSION = 1

EventType = Literal["invoke", "ok", "fail", "indeterminate", "fault", "state", "log"]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)

#: (type, f) -> fields of ``value`` that must be there. More fields may follow; units stand last in names.
EVENT_TABLE: Mapping[tuple[str, str], frozenset[str]] = MappingProxyType(
    {
        # Requests of clients and their ends. id: the request's id.
        ("invoke", "request"): frozenset({"method", "path", "operation", "user", "priority"}),
        ("ok", "request"): frozenset({"status", "latency_s"}),
        ("fail", "request"): frozenset({"error", "latency_s"}),
        ("indeterminate", "request"): frozenset({"error", "latency_s"}),
        # Arrivals at a downstream. process: its name; id: the arrival's id.
        ("invoke", "arrival"): frozenset({"method", "path"}),
        ("ok", "arrival"): frozenset({"status", "duration_s"}),
        ("fail", "arrival"): frozenset({"error", "duration_s"}),
        ("indeterminate", "arrival"): frozenset({"error", "duration_s"}),
        # Redis commands as the server saw them.
        ("invoke", "redis_command"): frozenset({"command"}),
        ("ok", "redis_command"): frozenset({"command"}),
        ("fail", "redis_command"): frozenset({"command", "error"}),
        # Faults. id: the fault's id within the schedule.
        ("fault", "inject"): frozenset({"kind", "target", "parameters"}),
        ("fault", "heal"): frozenset({"kind", "target", "bit", "bite", "verified"}),
        # What the harness did and measured.
        ("state", "phase"): frozenset({"phase"}),
        ("state", "process"): frozenset({"name", "state", "pid"}),
        ("state", "sample"): frozenset({"rss_bytes", "cpu_share", "fds"}),
        ("state", "probe"): frozenset({"probe"}),
        ("state", "leftovers"): frozenset({"found"}),
        # What the service logs (process: service). id: the request's id where there is one.
        ("state", "startup"): frozenset({"phase"}),
        ("state", "settings"): frozenset({"generation", "digest"}),
        ("state", "client"): frozenset({"name", "event"}),
        ("state", "admitted"): frozenset({"route", "priority"}),
        ("state", "rejected"): frozenset({"reason", "status"}),
        ("state", "shed"): frozenset({"level", "priority", "status", "retry_after_s"}),
        ("state", "permit_taken"): frozenset({"pool", "in_flight"}),
        ("state", "permit_returned"): frozenset({"pool", "in_flight", "why"}),
        ("state", "request_done"): frozenset({"status", "duration_s"}),
        ("state", "level"): frozenset({"old", "new", "utilisation"}),
        ("state", "breaker"): frozenset({"name", "old", "new"}),
        ("state", "breaker_probe"): frozenset({"name", "event"}),
        ("state", "call"): frozenset({"name", "outcome", "attempts", "duration_s"}),
        ("state", "attempt"): frozenset({"name", "attempt", "wait_s"}),
        ("state", "cache"): frozenset({"key", "event"}),
        ("state", "reload"): frozenset({"outcome", "actor"}),
        ("state", "drain"): frozenset({"phase"}),
        ("state", "outbox"): frozenset({"event"}),
        ("state", "redis"): frozenset({"event"}),
        ("state", "audit"): frozenset({"event"}),
        ("state", "metrics_mode"): frozenset({"mode"}),
        ("state", "loop_lag"): frozenset({"lag_ms"}),
        # Anything a process wrote (text) or answered (surface: stdout, response, metrics, audit ...).
        ("log", "line"): frozenset({"surface", "text"}),
    }
)

_HEADER_FIELDS = ("world", "settings", "settings_digest", "seed", "commit", "canaries", "versions", "started_at")


class HistoryError(ValueError):
    """A history that breaks the format.

    Attributes:
        line: 1-based line number, 0 when the record was never in a file.
        field: the field that is wrong.
    """

    def __init__(self, message: str, *, line: int = 0, field_name: str = "") -> None:
        super().__init__(f"history line {line}: {message}" if line else f"history: {message}")
        self.line = line
        self.field = field_name


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        t: seconds since the run began, on the run's monotonic clock.
        process: the source (``client``, ``service``, ``ticker``, ``redis``, ``harness`` ...).
        type: one of ``EVENT_TYPES``.
        f: the operation or state, see ``EVENT_TABLE``.
        value: fields of the event; names end in their unit.
        id: joins the events of one request, arrival or fault; empty where nothing is joined.
        index: position in the history (0-based), by which verdicts cite their evidence.
    """

    t: float
    process: str
    type: str
    f: str
    value: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    index: int = -1

    def to_json(self) -> dict[str, Any]:
        """The record as it is written, without its index."""
        return {
            "t": round(self.t, 6),
            "process": self.process,
            "type": self.type,
            "f": self.f,
            "value": dict(self.value),
            "id": self.id,
        }

    def cite(self) -> dict[str, Any]:
        """The record as evidence in a verdict: with its index."""
        return {"index": self.index, **self.to_json()}


@dataclass(frozen=True, slots=True)
class Header:
    """The first record of a history: what ran, with what settings, from which seed.

    ``canaries`` holds planted secrets, each ``{"name", "kind", "value"}``, that must appear nowhere
    outside the header; ``keep`` holds planted texts that must survive redaction unchanged.
    """

    world: str
    settings: Mapping[str, Any]
    settings_digest: str
    seed: int
    commit: str
    canaries: tuple[Mapping[str, str], ...]
    versions: Mapping[str, str]
    started_at: str
    scenario: str = ""
    keep: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The header record."""
        return {
            "type": "header",
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "world": self.world,
            "scenario": self.scenario,
            "settings": dict(self.settings),
            "settings_digest": self.settings_digest,
            "seed": self.seed,
            "commit": self.commit,
            "canaries": [dict(c) for c in self.canaries],
            "keep": list(self.keep),
            "versions": dict(self.versions),
            "started_at": self.started_at,
            "extra": dict(self.extra),
        }


def digest_of(value: object) -> str:
    """``sha256:`` and the hex digest of a JSON value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def check_event(record: Mapping[str, Any], *, line: int = 0) -> None:
    """Refuse a record that is not in the closed table.

    Raises:
        HistoryError: naming the field, its value and what is allowed.
    """
    for name, kinds in (("t", (int, float)), ("process", (str,)), ("type", (str,)), ("f", (str,))):
        if not isinstance(record.get(name), kinds) or isinstance(record.get(name), bool):
            raise HistoryError(f"field {name!r} is {record.get(name)!r}", line=line, field_name=name)
    if record["type"] not in EVENT_TYPES:
        allowed = ", ".join(EVENT_TYPES)
        raise HistoryError(f"field 'type' is {record['type']!r}, allowed: {allowed}", line=line, field_name="type")
    needed = EVENT_TABLE.get((record["type"], record["f"]))
    if needed is None:
        allowed = ", ".join(sorted(f for kind, f in EVENT_TABLE if kind == record["type"]))
        raise HistoryError(
            f"field 'f' is {record['f']!r}, allowed with type {record['type']!r}: {allowed}", line=line, field_name="f"
        )
    value = record.get("value")
    if not isinstance(value, Mapping):
        raise HistoryError(f"field 'value' is {value!r}, allowed: an object", line=line, field_name="value")
    missing = sorted(needed - value.keys())
    if missing:
        raise HistoryError(
            f"event {record['type']}/{record['f']} lacks value.{missing[0]}", line=line, field_name=missing[0]
        )
    if not isinstance(record.get("id", ""), str):
        raise HistoryError(f"field 'id' is {record.get('id')!r}, allowed: a string", line=line, field_name="id")


class History:
    """A header and its events, ordered by ``t`` (ties keep the order in which they were recorded)."""

    def __init__(self, header: Header, events: Iterable[Event]) -> None:
        ordered = sorted(events, key=lambda event: event.t)
        self.header = header
        self.events: tuple[Event, ...] = tuple(
            Event(e.t, e.process, e.type, e.f, e.value, e.id, i) for i, e in enumerate(ordered)
        )
        self._by_kind: dict[tuple[str, str], list[Event]] = {}
        for event in self.events:
            self._by_kind.setdefault((event.type, event.f), []).append(event)

    def select(self, type: str, f: str, **value: object) -> list[Event]:  # noqa: A002 - the format's own word
        """Events of one row of the table whose ``value`` has the given fields, in order."""
        found = self._by_kind.get((type, f), [])
        if not value:
            return list(found)
        return [e for e in found if all(e.value.get(k) == v for k, v in value.items())]

    def has(self, f: str) -> bool:
        """True when some event has that operation or state (``fault`` for ``inject``)."""
        return any(f in {kind, name} for kind, name in self._by_kind)

    def states(self, f: str, **value: object) -> list[Event]:
        """Events of type ``state`` of one name: the service's log and the harness's own."""
        return self.select("state", f, **value)

    def requests(self) -> Iterator[tuple[Event, Event | None]]:
        """Each client request with its completion (``None`` when the run ended before it)."""
        ends: dict[str, Event] = {}
        for kind in ("ok", "fail", "indeterminate"):
            for event in self._by_kind.get((kind, "request"), []):
                ends[event.id] = event
        for event in self._by_kind.get(("invoke", "request"), []):
            yield event, ends.get(event.id)

    def dump(self) -> str:
        """The whole history as JSON Lines."""
        records: list[dict[str, Any]] = [self.header.to_json(), *(e.to_json() for e in self.events)]
        return "".join(json.dumps(r, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n" for r in records)

    def write(self, path: Path) -> str:
        """Write JSON Lines and return ``sha256:<hex>`` of the bytes written."""
        data = self.dump().encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return "sha256:" + hashlib.sha256(data).hexdigest()


def _parse_header(record: Mapping[str, Any]) -> Header:
    if record.get("type") != "header" or record.get("format") != FORMAT:
        raise HistoryError(f"the first record is no header of format {FORMAT!r}", line=1, field_name="format")
    if record.get("version") != FORMAT_VERSION:
        raise HistoryError(
            f"field 'version' is {record.get('version')!r}, allowed: {FORMAT_VERSION}", line=1, field_name="version"
        )
    for name in _HEADER_FIELDS:
        if name not in record:
            raise HistoryError(f"the header lacks {name!r}", line=1, field_name=name)
    return Header(
        world=record["world"],
        settings=record["settings"],
        settings_digest=record["settings_digest"],
        seed=record["seed"],
        commit=record["commit"],
        canaries=tuple(record["canaries"]),
        versions=record["versions"],
        started_at=record["started_at"],
        scenario=record.get("scenario", ""),
        keep=tuple(record.get("keep", ())),
        extra=record.get("extra", {}),
    )


def parse(text: str) -> History:
    """Read a history from JSON Lines.

    Raises:
        HistoryError: with the line number, for the first record that breaks the format.
    """
    header: Header | None = None
    events: list[Event] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise HistoryError(f"not JSON: {error.msg}", line=number) from error
        if not isinstance(record, dict):
            raise HistoryError("the record is no object", line=number)
        if header is None:
            header = _parse_header(record)
            continue
        check_event(record, line=number)
        events.append(
            Event(
                t=float(record["t"]),
                process=record["process"],
                type=record["type"],
                f=record["f"],
                value=cast("dict[str, Any]", record["value"]),
                id=record.get("id", ""),
            )
        )
    if header is None:
        raise HistoryError("empty: there is no header", line=1)
    return History(header, events)


def read(path: Path) -> History:
    """Read a history file; see ``parse``."""
    return parse(path.read_text(encoding="utf-8"))


class Recorder:
    """Collects events of a run and checks each against the table.

    The caller passes the time in, in seconds since the run began. ``observer`` is called with each event.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.observer: Callable[[Event], None] | None = None
        self._events: list[Event] = []

    def add(
        self,
        t: float,
        process: str,
        type: EventType,  # noqa: A002 - the format's own word
        f: str,
        value: Mapping[str, Any],
        id: str = "",  # noqa: A002 - the format's own word
    ) -> None:
        """Record one event.

        Raises:
            HistoryError: when the event is not in the closed table.
        """
        needed = EVENT_TABLE.get((type, f))
        # A quick check first, since a run records tens of events for each request; the whole check where it fails.
        known = needed is not None and value.__class__ is dict and needed <= value.keys()
        if not known or t.__class__ is not float or id.__class__ is not str or process.__class__ is not str:
            check_event({"t": t, "process": process, "type": type, "f": f, "value": value, "id": id})
        # Rounded as in the file, so that a history in memory orders its events as its file does.
        event = Event(round(t, 6), process, type, f, dict(value), id)
        self._events.append(event)
        if self.observer is not None:
            self.observer(event)

    def __len__(self) -> int:
        return len(self._events)

    def history(self) -> History:
        """The events so far, in order of time."""
        return History(self.header, self._events)
