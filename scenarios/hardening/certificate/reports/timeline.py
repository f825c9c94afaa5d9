"""Reads from a history what its timeline shows: requests, fault windows, level, breakers, phases, probes.

In comes a history, out comes a ``Timeline`` of numbers (seconds since the run began); pure, and nothing is drawn here.
Many requests are thinned by bucketed percentiles, never by chance, so that the same history always gives the same page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardening.history.events import Event, History

POINTS_MAX = 600
"""More requests than this are thinned: of each bucket and kind the fastest, the median, the 95th and the slowest."""
BUCKETS = 120
PROBES_MAX = 60
CHANGES_MAX = 60
REFUSED = frozenset({401, 403, 429, 503})
"""Statuses by which the service says no on purpose: no key, no scope, no slot, no room."""


@dataclass(frozen=True, slots=True)
class Point:
    """One request: when it ended, how long it took, and as what: ``ok``, ``refused`` or ``error``."""

    t: float
    latency_s: float
    kind: str


@dataclass(frozen=True, slots=True)
class Window:
    """A fault from inject to heal; ``bit`` (it had an effect) is ``None`` when it was never healed."""

    id: str
    kind: str
    target: str
    start_s: float
    end_s: float
    bit: bool | None
    bite: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in one state: of a breaker, of the level, of the run's phases."""

    state: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Share:
    """Requests that ended within one phase, with their latencies in seconds."""

    phase: str
    requests: int
    refused: int
    errors: int
    p50_s: float | None
    p95_s: float | None
    max_s: float | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything that is drawn of one history, and the same as tables; times in seconds since the run began."""

    end_s: float
    points: tuple[Point, ...]
    all_points: int
    windows: tuple[Window, ...]
    phases: tuple[Span, ...]
    levels: tuple[Span, ...]
    breakers: Mapping[str, tuple[Span, ...]]
    probes: tuple[Event, ...]
    shares: tuple[Share, ...]
    changes: tuple[Event, ...]
    changes_left_out: int
    unfinished: int

    @property
    def total(self) -> Share | None:
        """All requests together, ``None`` when there was none."""
        return self.shares[-1] if self.shares else None


def timeline_of(history: History) -> Timeline:
    """Read a history for its timeline."""
    end_s = max((event.t for event in history.events), default=0.0) or 1.0
    points, unfinished = _points(history)
    phases = _spans(((e.t, str(e.value["phase"])) for e in history.states("phase")), end_s)
    changes = [e for e in history.events if e.type == "state" and e.f in {"level", "breaker"}]
    return Timeline(
        end_s=end_s,
        points=tuple(thinned(points, end_s)),
        all_points=len(points),
        windows=tuple(_windows(history, end_s)),
        phases=phases,
        levels=_levels(history, end_s),
        breakers=_breakers(history, end_s),
        probes=tuple(history.states("probe")[:PROBES_MAX]),
        shares=tuple(_shares(points, phases)),
        changes=tuple(changes[:CHANGES_MAX]),
        changes_left_out=max(0, len(changes) - CHANGES_MAX),
        unfinished=unfinished,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of numbers in ascending order; ``share`` from 0 to 1."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def thinned(points: Sequence[Point], end_s: float) -> list[Point]:
    """At most a few points for each of ``BUCKETS`` stretches of time and each kind; few points stay as they are."""
    if len(points) <= POINTS_MAX:
        return list(points)
    groups: dict[tuple[int, str], list[Point]] = {}
    for point in points:
        groups.setdefault((min(BUCKETS - 1, int(point.t / end_s * BUCKETS)), point.kind), []).append(point)
    kept: list[Point] = []
    for key in sorted(groups):
        ordered = sorted(groups[key], key=lambda point: (point.latency_s, point.t))
        ranks = {max(0, math.ceil(share * len(ordered)) - 1) for share in (0, 0.5, 0.95, 1)}
        kept += [ordered[rank] for rank in sorted(ranks)]
    return kept


def _number(value: object) -> float | None:
    """A finite number, or nothing: what a hostile or a half-written record holds instead is not drawn."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _points(history: History) -> tuple[list[Point], int]:
    """Ended requests in order of their end, and how many never ended."""
    found, unfinished = [], 0
    for _, end in history.requests():
        latency_s = _number(end.value.get("latency_s")) if end else None
        if end is None or latency_s is None:
            unfinished += 1
            continue
        found.append(Point(end.t, max(0.0, latency_s), _kind(end)))
    return sorted(found, key=lambda point: point.t), unfinished


def _kind(end: Event) -> str:
    status = _number(end.value.get("status"))
    if end.type != "ok" or status is None:
        return "error"
    if status in REFUSED:
        return "refused"
    return "error" if status >= 500 else "ok"


def _windows(history: History, end_s: float) -> Iterable[Window]:
    """Each injection with the heal of the same id; one that never healed lasts to the end."""
    heals: dict[str, list[Event]] = {}
    for event in history.select("fault", "heal"):
        heals.setdefault(event.id, []).append(event)
    for event in history.select("fault", "inject"):
        later = [heal for heal in heals.get(event.id, []) if heal.index > event.index]
        heal = later[0] if later else None
        if heal:
            heals[event.id].remove(heal)
        bite = heal.value.get("bite") if heal else None
        yield Window(
            event.id,
            str(event.value["kind"]),
            str(event.value["target"]),
            event.t,
            heal.t if heal else end_s,
            bool(heal.value["bit"]) if heal else None,
            bite if isinstance(bite, Mapping) else {},
        )


def _spans(moments: Iterable[tuple[float, str]], end_s: float) -> tuple[Span, ...]:
    ordered = list(moments)
    ends = [*(t for t, _ in ordered), end_s][1:]
    return tuple(Span(state, t, end) for (t, state), end in zip(ordered, ends, strict=True))


def _from_the_start(events: Sequence[Event], end_s: float) -> tuple[Span, ...]:
    """Spans of something that was in its first ``old`` state before it changed for the first time."""
    first = [(0.0, str(events[0].value["old"]))] if events else []
    return _spans([*first, *((e.t, str(e.value["new"])) for e in events)], end_s)


def _levels(history: History, end_s: float) -> tuple[Span, ...]:
    return _from_the_start(history.states("level"), end_s) or (Span("none", 0.0, end_s),)


def _breakers(history: History, end_s: float) -> dict[str, tuple[Span, ...]]:
    events: dict[str, list[Event]] = {}
    for event in history.states("breaker"):
        events.setdefault(str(event.value["name"]), []).append(event)
    return {name: _from_the_start(events[name], end_s) for name in sorted(events)}


def _shares(points: Sequence[Point], phases: Sequence[Span]) -> Iterable[Share]:
    """A row for each phase that saw requests end, and the whole as the last."""
    for phase in phases:
        inside = [point for point in points if phase.start_s <= point.t < phase.end_s]
        if inside:
            yield _share(phase.state, inside)
    if points:
        yield _share("whole run", points)


def _share(name: str, points: Sequence[Point]) -> Share:
    ordered = sorted(point.latency_s for point in points if point.kind == "ok")
    kinds = [point.kind for point in points]
    return Share(
        name,
        len(points),
        kinds.count("refused"),
        kinds.count("error"),
        percentile(ordered, 0.5) if ordered else None,
        percentile(ordered, 0.95) if ordered else None,
        ordered[-1] if ordered else None,
    )
