"""C2.3: levels with hysteresis, what is shed at which, pressure that was seen from outside, and critical requests."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence

from hardening.claims.claim import claim
from hardening.claims.limits import CLOCK_SLACK_S, CROSSING_SLACK_S, largest, limit
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import (
    CRITICAL_OPERATIONS,
    SERVER_ERROR_MIN,
    Asked,
    Life,
    asked,
    end_s,
    faults,
    frozen_spans,
    lives,
    overlaps,
)
from hardening.history.events import Event, History

LEVELS = ("none", "light", "moderate", "heavy")


def rank(name: object) -> int:
    """A level's place, from 0 for none."""
    return LEVELS.index(str(name))


class Timeline:
    """Which level was in force in one life, by the order of events."""

    def __init__(self, life: Life) -> None:
        self.moves = life.states("level")
        self._indices = [e.index for e in self.moves]

    def at(self, event: Event) -> tuple[str, Event | None]:
        """The level at an event, and the move into it."""
        number = bisect_right(self._indices, event.index) - 1
        return ("none", None) if number < 0 else (str(self.moves[number].value["new"]), self.moves[number])

    def spans(self, least: str, run_end_s: float) -> list[tuple[float, float]]:
        """When the level was at least ``least``."""
        found, since = [], None
        for move in self.moves:
            high = rank(move.value["new"]) >= rank(least)
            if high and since is None:
                since = move.t
            elif not high and since is not None:
                found.append((since, move.t))
                since = None
        return [*found, (since, run_end_s)] if since is not None else found

    def highest(self, begin_s: float, end_s: float) -> int:
        """The rank of the highest level that was in force at some moment between the two times."""
        before = [move for move in self.moves if move.t <= begin_s]
        inside = [move for move in self.moves if begin_s < move.t <= end_s]
        return max((rank(move.value["new"]) for move in [*before[-1:], *inside]), default=0)


MB = 1 << 20
MARGIN = 0.05
"""How far above its threshold a reading must be: the readings of service and harness are not of the same moment."""
SETTLE_S = 1.5
"""The service samples every quarter of a second; it may take this long to act."""
CPU_SETTLE_S = 2.0
STALL_S = 3.0
BEAT_MS = 250.0
"""Per second between two samples: five short sleeps, and one more as a margin."""


def level_not_entered(history: History, life: Life, timeline: Timeline) -> tuple[str, list[Event]]:
    """A budget that was used up to a level's threshold, and a level that stayed below; the events that show it."""
    began = next((e.t for e in life.states("startup") if e.value["phase"] == "ready"), None)
    over = min([life.ended_s, end_s(history), *(e.t for e in life.states("drain"))])
    if began is None:
        return "", []
    samples = [s for s in history.states("sample") if began + SETTLE_S <= s.t <= over]
    frozen = frozen_spans(history)
    memory = _runs(samples, [_memory_share(history, s) for s in samples], history)
    cpu = _runs(samples, _cpu_shares(history, samples), history)
    for what, settle_s, runs in (("memory", SETTLE_S, memory), ("processor", CPU_SETTLE_S, cpu)):
        for level, run in runs:
            begin, end = run[0].t + settle_s, run[-1].t
            if begin < end and not overlaps(frozen, begin, end) and timeline.highest(begin, end) < rank(level):
                return f"{what} was used up to {level}, and that level was not entered", [run[0], run[-1]]
    return _stall_ignored(history, timeline, began, over)


def _memory_share(history: History, sample: Event) -> float:
    return float(sample.value["rss_bytes"]) / (largest(history, "budgets", "memory_mb") * MB)


def _cpu_shares(history: History, samples: Sequence[Event]) -> list[float]:
    """At each sample the least that the average over the service's own window can be, as a share of its budget."""
    window_s, budget = largest(history, "budgets", "cpu_window_s"), largest(history, "budgets", "cpu_share")
    found = []
    for sample in samples:
        inside = [float(s.value["cpu_share"]) for s in samples if sample.t - window_s <= s.t <= sample.t]
        whole = sample.t - samples[0].t >= window_s
        found.append(min(inside) / budget if whole else 0.0)
    return found


def _runs(samples: Sequence[Event], shares: Sequence[float], history: History) -> Iterator[tuple[str, list[Event]]]:
    """Unbroken stretches of samples at or above each level's threshold."""
    for level in LEVELS[1:]:
        least = largest(history, "levels", level) + MARGIN
        run: list[Event] = []
        for sample, share in zip(samples, shares, strict=True):
            if share >= least:
                run.append(sample)
                continue
            if run:
                yield level, run
            run = []
        if run:
            yield level, run


def _stall_ignored(history: History, timeline: Timeline, began: float, over: float) -> tuple[str, list[Event]]:
    """An effective stall, long enough for a level by the loop's budget, after which that level was not entered."""
    budget_ms = largest(history, "budgets", "loop_lag_ms")
    for broken in faults(history):
        if broken.kind != "event_loop_stall" or not broken.effective or broken.heal is None:
            continue
        if not began <= broken.inject.t <= broken.healed_s + STALL_S <= over:
            continue
        # The service measures a stall by the short sleep that it hits, less the time of that sleep.
        measured_ms = (
            float(broken.inject.value["parameters"]["stall_ms"]) - largest(history, "levels", "sample_s") * BEAT_MS
        )
        share = measured_ms / budget_ms
        due = [level for level in LEVELS[1:] if share >= largest(history, "levels", level) + MARGIN]
        if due and timeline.highest(broken.inject.t, broken.healed_s + STALL_S) < rank(due[-1]):
            return f"the loop stalled long enough for {due[-1]}, and that level was not entered", [
                broken.inject,
                broken.heal,
            ]
    return "", []


SHED_AT = {
    "light": frozenset({"low"}),
    "moderate": frozenset({"low", "normal", "high"}),
    "heavy": frozenset({"low", "normal", "high"}),
}
"""Priorities that may be shed at a level; at moderate ``normal`` and ``high`` only when the cache has no answer."""


REFUSED_AT = {
    "light": frozenset({"low"}),
    "moderate": frozenset({"low"}),
    "heavy": frozenset({"low", "normal", "high"}),
}
"""Priorities that must be shed at a level."""


RETRY_AFTER_MAX_S = 60.0
ROUNDING = 1e-3
UNAVAILABLE = 503
TOO_MANY = 429


def _bad_move(history: History, timeline: Timeline) -> tuple[str, list[Event]]:
    """A move that does not follow from utilisation and hysteresis."""
    margin, hold_s = limit(history, "levels", "margin"), limit(history, "levels", "hold_s")
    state: str = "none"
    entered: dict[str, Event] = {}
    before: Event | None = None
    for move in timeline.moves:
        old, new, used = str(move.value["old"]), str(move.value["new"]), float(move.value["utilisation"])
        if old != state or old == new:
            return f"it was {state}, not {old}", [e for e in (before, move) if e is not None]
        if rank(new) > rank(old):
            if used < limit(history, "levels", new) - ROUNDING:
                return f"{new} at a utilisation of {used:g}", [move]
            # What was passed over on the way up was entered as well.
            entered.update(dict.fromkeys(LEVELS[rank(old) + 1 : rank(new) + 1], move))
        else:
            left = LEVELS[rank(new) + 1 : rank(old) + 1]
            if used > limit(history, "levels", left[0]) - margin + ROUNDING:
                return f"{left[0]} was left at a utilisation of {used:g}", [move]
            for name in left:
                since = entered.pop(name, None)
                if since is not None and move.t - since.t < hold_s - CLOCK_SLACK_S:
                    return f"{name} was left after {move.t - since.t:.3f} s", [since, move]
        state, before = new, move
    return "", []


def _bad_shed(life: Life, timeline: Timeline, rows: dict[str, Asked]) -> tuple[str, list[Event]]:
    """A shed of a request that should be served, or at a cost, or without a usable Retry-After."""
    cost = {e.id: e for f in ("permit_taken", "admitted") for e in life.states(f) if e.id}
    for event in life.states("shed"):
        level, move = timeline.at(event)
        why = [e for e in (move, event) if e is not None]
        if str(event.value["level"]) != level:
            return f"it reports {event.value['level']}, the level is {level}", why
        if event.value["priority"] not in SHED_AT.get(level, frozenset()):
            return f"{event.value['priority']} was shed at {level}", why
        if event.value["status"] != UNAVAILABLE or not 0 < float(event.value["retry_after_s"]) <= RETRY_AFTER_MAX_S:
            return f"shed with {event.value['status']} and Retry-After {event.value['retry_after_s']}", [event]
        if event.id in cost:
            return f"shed work had {cost[event.id].f}", sorted([event, cost[event.id]], key=lambda e: e.index)
        row = rows.get(event.id)
        if row is None or not row.status:
            continue
        header_s = row.get("retry_after_s")
        if row.status != UNAVAILABLE or header_s is None or not 0 < float(header_s) <= RETRY_AFTER_MAX_S:
            return f"the client of shed work got {row.status} and Retry-After {header_s}", [event, *row.events()]
    return "", []


def _served_though_shed(life: Life, timeline: Timeline) -> tuple[str, list[Event]]:
    """Admitted at a level that refuses it, or loaded from the ticker in cache-only mode."""
    done = {e.id: e for e in life.states("request_done") if e.id}
    for event in life.states("admitted"):
        level, move = timeline.at(event)
        if move is None:
            continue
        if event.value["priority"] in REFUSED_AT.get(level, frozenset()) and event.value["priority"] != "critical":
            return f"{event.value['priority']} was admitted at {level}", [move, event]
        end = done.get(event.id)
        if end is not None and rank(level) >= rank("moderate") and end.value.get("source") == "ticker":
            return f"at {level} an answer was loaded from the ticker", [move, event, end]
    return "", []


def _for_audit(one: Asked) -> bool:
    """Refused because it could not be audited (C4.6), which no pressure decides."""
    return one.end is not None and str(one.end.value.get("problem", "")).endswith(":audit")


def _over_connections(one: Asked, cuts: list[Event]) -> bool:
    """One connection above the limit (C2.7), as the service logs too: refused before its head was read."""
    if one.end is None or not str(one.end.value.get("problem", "")).endswith(":connections"):
        return False
    return any(one.invoke.t - CLOCK_SLACK_S <= cut.t <= one.ended_s + CLOCK_SLACK_S for cut in cuts)


def _critical_unanswered(
    history: History, rows: list[Asked], spans: list[tuple[float, float]]
) -> tuple[int, list[Event]]:
    """How many critical requests were made under pressure, and one that was not answered."""
    frozen = frozen_spans(history)
    cuts = history.states("rejected", reason="connections")
    count = 0
    for one in rows:
        if one.operation not in CRITICAL_OPERATIONS or not overlaps(spans, one.invoke.t, one.invoke.t):
            continue
        if overlaps(frozen, one.invoke.t, min(one.ended_s, end_s(history))) or one.left:
            continue
        if _over_connections(one, cuts):
            continue
        count += 1
        # A 503 of /ready may be true, and is an answer.
        refused = one.status >= SERVER_ERROR_MIN and one.operation != "ready" and not _for_audit(one)
        if (one.end is not None and one.end.type != "ok") or refused:
            return count, one.events()
        if one.end is None and end_s(history) - one.invoke.t > limit(history, "budgets", "request_s"):
            return count, one.events()
    return count, []


@claim(
    "C2.3",
    "Levels and shedding",
    premise="A level was entered and left, requests were shed, and critical requests were made meanwhile.",
    shown_by=("pressure",),
    needs=("level", "request", "shed"),
    limits=("levels", "budgets"),
    whole_log=True,
)
def judge_levels(history: History) -> Verdict:
    """Levels follow utilisation with hysteresis; each sheds what it must at no cost and serves the critical."""
    rows = asked(history)
    by_id = {a.id: a for a in rows}
    sheds = history.states("shed")
    spans: list[tuple[float, float]] = []
    for life in lives(history):
        timeline = Timeline(life)
        spans += timeline.spans("light", min(life.ended_s, end_s(history)))
        for reason, evidence in (
            _bad_move(history, timeline),
            _bad_shed(life, timeline, by_id),
            _served_though_shed(life, timeline),
            level_not_entered(history, life, timeline),
        ):
            if evidence:
                return failed(len(sheds), reason, evidence)
    evidence = next((a.events() for a in rows if a.operation in CRITICAL_OPERATIONS and a.status == TOO_MANY), [])
    if evidence:
        return failed(len(sheds), "a critical request was refused because the rate was used up", evidence)
    critical, evidence = _critical_unanswered(history, rows, spans)
    if evidence:
        return failed(len(sheds), "a critical request was not answered under pressure", evidence)
    moves = history.states("level")
    if not any(rank(m.value["new"]) < rank(m.value["old"]) for m in moves):
        return unknown("no level was entered and left again", moves=len(moves))
    for count, missing in (
        (len(sheds), "no request was shed"),
        (critical, "no critical request was made under pressure"),
    ):
        if not count:
            return unknown(missing, moves=len(moves))
    by_level = Counter(str(e.value["level"]) for e in sheds)
    reached = max((str(m.value["new"]) for m in moves), key=rank)
    return passed(
        len(sheds),
        moves=len(moves),
        highest=reached,
        critical_answered=critical,
        sheds=dict(sorted(by_level.items())),
    )


def full_metrics_at_heavy(life: Life) -> list[Event]:
    """A stay of a second or more at heavy in which metrics were recorded in full (for C2.6)."""
    timeline = Timeline(life)
    modes = life.states("metrics_mode")
    for begin_s, until_s in timeline.spans("heavy", life.events[-1].t if life.events else 0.0):
        near = [m for m in modes if m.t <= begin_s + 2 * CROSSING_SLACK_S and m.value["mode"] == "essential"]
        back = [m for m in modes if near and m.index > near[-1].index and m.value["mode"] == "full"]
        enter = next(m for m in timeline.moves if m.t == begin_s)
        if until_s - begin_s >= 1.0 and (not near or any(m.t < until_s - CLOCK_SLACK_S for m in back)):
            return [enter, *[m for m in back if m.t < until_s][:1]]
    return []


def reduced_metrics_after_heavy(life: Life) -> list[Event]:
    """A move away from heavy after which metrics were still recorded as at heavy (for C2.6)."""
    modes, moves = life.states("metrics_mode"), life.states("level")
    for move in (m for m in moves if m.value["old"] == "heavy"):
        until_s = move.t + 2 * CROSSING_SLACK_S
        again = any(m.value["new"] == "heavy" and move.t <= m.t <= until_s for m in moves)
        mode = next((m for m in reversed(modes) if m.t <= until_s), None)
        if not again and mode is not None and mode.value["mode"] == "essential" and life.events[-1].t > until_s:
            return [mode, move]
    return []
