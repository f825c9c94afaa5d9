"""Views of a history that several judges share: lives of the service, requests, arrivals, faults, probes.

A view only joins events; it judges nothing.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

from hardening.history.events import Event, History

PUBLIC_OPERATIONS = frozenset({"health", "ready"})
CRITICAL_OPERATIONS = frozenset({"health", "ready", "metrics", "admin"})
PRODUCT_OPERATIONS = frozenset({"signal", "batch", "alert"})

NEEDS: dict[str, frozenset[str]] = {
    "signal": frozenset({"ticker", "user"}),
    "batch": frozenset({"ticker", "user"}),
    "alert": frozenset({"user"}),
    "health": frozenset(),
    "ready": frozenset(),
    "metrics": frozenset(),
    "admin": frozenset(),
}
"""The downstreams that an answer waits for, by operation."""

OK_MAX = 299
SERVER_ERROR_MIN = 500


@dataclass(slots=True)
class Life:
    """One service process from its start to its exit; what is in its memory begins and ends with it."""

    events: list[Event] = field(default_factory=list)
    started: Event | None = None
    exited: Event | None = None
    signals: list[Event] = field(default_factory=list)
    by_name: dict[str, list[Event]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Take in one more event of this life."""
        self.events.append(event)
        self.by_name.setdefault(event.f, []).append(event)

    def states(self, f: str, **value: object) -> list[Event]:
        """The service's events of one name in this life."""
        found = self.by_name.get(f, [])
        return [e for e in found if all(e.value.get(k) == v for k, v in value.items())] if value else list(found)

    @property
    def killed(self) -> bool:
        """True when it was ended by SIGKILL or another signal, not by itself."""
        if self.exited is None:
            return False
        code = self.exited.value.get("exit_code")
        return bool(self.exited.value.get("signal")) or (isinstance(code, int) and code < 0)

    @property
    def ended_s(self) -> float:
        """When it ended; infinity while it runs."""
        return self.exited.t if self.exited else math.inf

    @property
    def began_s(self) -> float:
        """When it started; minus infinity when that was not recorded."""
        return self.started.t if self.started else -math.inf


_LIVES: WeakKeyDictionary[History, list[Life]] = WeakKeyDictionary()
"""Most judges ask for the lives of the history that the judge before them asked for."""


def lives(history: History) -> list[Life]:
    """The service's lives in order; one unbounded life when no process was recorded."""
    if history not in _LIVES:
        _LIVES[history] = _find_lives(history)
    return _LIVES[history]


def _find_lives(history: History) -> list[Life]:
    found = [Life()]
    for event in history.events:
        if event.f == "process" and event.type == "state" and event.value["name"] == "service":
            state = event.value["state"]
            if state == "started":
                if found[-1].started or found[-1].exited or found[-1].events:
                    found.append(Life())
                found[-1].started = event
            elif state == "exited":
                found[-1].exited = event
            elif state == "signalled":
                found[-1].signals.append(event)
        elif event.process == "service" and event.type == "state":
            found[-1].add(event)
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """A client's request and its end (``None``: the run ended before it did)."""

    invoke: Event
    end: Event | None

    @property
    def id(self) -> str:
        """The request's id."""
        return self.invoke.id

    @property
    def operation(self) -> str:
        """``signal``, ``batch``, ``alert`` ..."""
        return str(self.invoke.value["operation"])

    @property
    def status(self) -> int:
        """Status of a complete answer, else 0."""
        return int(self.end.value["status"]) if self.end is not None and self.end.type == "ok" else 0

    @property
    def latency_s(self) -> float:
        """As the client measured it; infinity when it never ended."""
        return float(self.end.value["latency_s"]) if self.end is not None else math.inf

    @property
    def ended_s(self) -> float:
        """When it ended; infinity when it never did."""
        return self.end.t if self.end is not None else math.inf

    @property
    def left(self) -> bool:
        """True when the client itself went away."""
        return self.end is not None and self.end.type != "ok" and self.end.value["error"] == "disconnected"

    @property
    def served(self) -> bool:
        """True for a 2xx."""
        return 0 < self.status <= OK_MAX

    def events(self) -> list[Event]:
        """Its events, as evidence."""
        return [self.invoke] if self.end is None else [self.invoke, self.end]

    def get(self, name: str) -> Any:
        """An optional field of the answer, else of the question."""
        if self.end is not None and self.end.value.get(name) is not None:
            return self.end.value[name]
        return self.invoke.value.get(name)


def asked(history: History) -> list[Asked]:
    """Each client request with its completion, in order of asking."""
    return [Asked(invoke, end) for invoke, end in history.requests()]


@dataclass(frozen=True, slots=True)
class Arrival:
    """What arrived at a downstream, and its end."""

    invoke: Event
    end: Event | None

    @property
    def name(self) -> str:
        """The downstream."""
        return self.invoke.process

    @property
    def request_id(self) -> str:
        """The id that the service sent along, or empty."""
        return str(self.invoke.value.get("request_id") or "")

    @property
    def key(self) -> str:
        """The idempotency key, or empty."""
        return str(self.invoke.value.get("idempotency_key") or "")

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1."""
        return int(self.invoke.value.get("attempt") or 1)

    @property
    def status(self) -> int:
        """Status that was answered whole, else 0."""
        return int(self.end.value["status"]) if self.end is not None and self.end.type == "ok" else 0

    @property
    def ended_s(self) -> float:
        """When it ended; infinity when it never did."""
        return self.end.t if self.end is not None else math.inf

    def events(self) -> list[Event]:
        """Its events, as evidence."""
        return [self.invoke] if self.end is None else [self.invoke, self.end]


def arrivals(history: History, name: str = "") -> list[Arrival]:
    """Arrivals in order, at one downstream or all; health probes of the service are left out."""
    ends = {e.id: e for kind in ("ok", "fail", "indeterminate") for e in history.select(kind, "arrival")}
    return [
        Arrival(e, ends.get(e.id))
        for e in history.select("invoke", "arrival")
        if (not name or e.process == name) and not e.value.get("probe")
    ]


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault from its injection to its heal (``None``: never healed)."""

    inject: Event
    heal: Event | None

    @property
    def kind(self) -> str:
        """The fault's kind."""
        return str(self.inject.value["kind"])

    @property
    def target(self) -> str:
        """What it was done to."""
        return str(self.inject.value["target"])

    @property
    def where(self) -> str:
        """The file it was done to (``audit`` or ``logs``), else its target."""
        if self.kind == "log_reader_blocked":
            return "logs"
        return str(self.inject.value["parameters"].get("where", self.target))

    @property
    def effective(self) -> bool:
        """True when it had an effect (unknown, and so false, of an unhealed fault)."""
        return self.heal is not None and bool(self.heal.value["bit"])

    @property
    def healed_s(self) -> float:
        """When it was healed; infinity when it never was."""
        return self.heal.t if self.heal is not None else math.inf

    def touches(self, begin_s: float, end_s: float) -> bool:
        """True when it was active at some moment of the span."""
        return self.inject.t <= end_s and self.healed_s >= begin_s


def faults(history: History) -> list[Broken]:
    """Each injected fault with its heal, in order."""
    heals = {e.id: e for e in history.select("fault", "heal")}
    return [Broken(e, heals.get(e.id)) for e in history.select("fault", "inject")]


def recorded_texts(history: History) -> list[Event]:
    """Everything that a process wrote or answered (``log`` / ``line`` events)."""
    return history.select("log", "line")


def signal_number(event: Event) -> int:
    """The number of the signal in a ``process`` event, however it was written down; 0 for none."""
    given = event.value.get("signal")
    if isinstance(given, int):
        return given
    name = str(given or "").upper()
    return int(getattr(signal, name if name.startswith("SIG") else f"SIG{name}", 0))


def ends_it(event: Event) -> bool:
    """True for a signal that ends the service."""
    return signal_number(event) in {signal.SIGTERM, signal.SIGINT, signal.SIGKILL}


def frozen_spans(history: History) -> list[tuple[float, float]]:
    """Spans in which the service's process could not answer: signals sent to it, kills, the time between two lives."""
    spans = [(b.inject.t, b.healed_s) for b in faults(history) if b.kind.startswith("process")]
    found = lives(history)
    spans += [(one.ended_s, after.began_s) for one, after in pairwise(found)]
    spans += [(one.exited.t, math.inf) for one in found[-1:] if one.exited is not None]
    spans += [(s.t, one.ended_s) for one in found for s in one.signals if one.exited is not None and ends_it(s)]
    return spans


def overlaps(spans: Iterable[tuple[float, float]], begin_s: float, end_s: float) -> bool:
    """True when any span touches the given one."""
    return any(begin <= end_s and end >= begin_s for begin, end in spans)


def probes(history: History, name: str) -> list[Event]:
    """Special observations of the harness by name."""
    return history.states("probe", probe=name)


def has_gaps(history: History) -> bool:
    """True when lines of the service's log were lost: then its events have gaps.

    A full disk under the log loses what is written meanwhile; a reader that is blocked only holds it up, unless the
    service counted lines that it dropped, or ended before they were read.
    """
    held = [(b.inject.t, b.healed_s) for b in faults(history) if b.kind == "log_reader_blocked"]
    if any(life.exited is not None and overlaps(held, life.exited.t, life.exited.t) for life in lives(history)):
        return True
    if any(b.kind == "disk_full" and b.where == "logs" and (b.effective or b.heal is None) for b in faults(history)):
        return True
    scraped = [e.value.get(name) for e in probes(history, "metrics") for name in ("series", "counters")]
    return any(isinstance(s, Mapping) and float(s.get("signal_log_dropped", 0)) > 0 for s in scraped)


def phase_span(history: History, name: str) -> tuple[float, float] | None:
    """Begin and end of a phase of the run (its end is the next phase), or ``None``."""
    marks = history.states("phase")
    for number, event in enumerate(marks):
        if event.value["phase"] == name:
            return event.t, marks[number + 1].t if number + 1 < len(marks) else math.inf
    return None


def end_s(history: History) -> float:
    """Time of the last event; 0.0 for an empty history."""
    return history.events[-1].t if history.events else 0.0


def percentile(values: Iterable[float], share: float) -> float:
    """The value below or at which ``share`` (0..1) of the values lie; nearest rank.

    Raises:
        ValueError: when there is none.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def pairs(events: Iterable[Event], value_name: str) -> Iterator[tuple[Any, list[Event]]]:
    """Events grouped by one field of their value, in order of first appearance."""
    groups: dict[Any, list[Event]] = {}
    for event in events:
        groups.setdefault(event.value.get(value_name), []).append(event)
    yield from groups.items()
