"""C1.1, C1.2 and C1.4: the circuit breakers, judged from their transitions, their calls, and arrivals downstream."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from hardening.claims.claim import claim
from hardening.claims.limits import CLOCK_SLACK_S, CROSSING_SLACK_S, DOWNSTREAMS, limit, smallest
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import NEEDS, Arrival, Asked, arrivals, asked, faults, lives, percentile, phase_span, probes
from hardening.history.events import Event, History

LEGAL = frozenset({("closed", "open"), ("open", "half_open"), ("half_open", "closed"), ("half_open", "open")})


@dataclass(slots=True)
class Walk:
    """One breaker in one life: its transitions, calls and probes in order."""

    name: str
    moves: list[Event] = field(default_factory=list)
    calls: list[Event] = field(default_factory=list)
    probes: list[Event] = field(default_factory=list)
    ended_s: float = 0.0

    def spans(self, state: str) -> Iterator[tuple[Event, float]]:
        """Each stay in a state: the transition into it, and when it ended."""
        for number, event in enumerate(self.moves):
            if event.value["new"] == state:
                yield event, self.moves[number + 1].t if number + 1 < len(self.moves) else self.ended_s


def walks(history: History) -> list[Walk]:
    """Every breaker of every life that moved or was called."""
    found: list[Walk] = []
    for life in lives(history):
        by_name = {name: Walk(name, ended_s=life.ended_s) for name in DOWNSTREAMS}
        for event in life.events:
            walk = by_name.get(str(event.value.get("name", "")))
            if walk is None:
                continue
            kinds = {"breaker": walk.moves, "call": walk.calls, "breaker_probe": walk.probes}
            if event.f in kinds:
                kinds[event.f].append(event)
        found += [walk for walk in by_name.values() if walk.moves or walk.calls]
    return found


def began_s(call: Event) -> float:
    """When a call began (its event is written when it ends)."""
    return call.t - float(call.value["duration_s"])


@claim(
    "C1.1",
    "Own breakers, sane settings",
    premise="An invalid setting was tried for each of the four breakers, at start and at reload.",
    shown_by=("deployment",),
    limits=("downstreams",),
)
def judge_breaker_settings(history: History) -> Verdict:
    """Each downstream's breaker has its own settings; an invalid one is refused by name at start and reload."""
    tried = probes(history, "refused_setting")
    for probe in tried:
        field_name = str(probe.value.get("field", ""))
        if not probe.value.get("refused"):
            return failed(len(tried), f"the invalid {field_name} was accepted", [probe])
        if not field_name or field_name not in str(probe.value.get("line", "")):
            return failed(len(tried), f"the refusal does not name the field {field_name!r}", [probe])
    opened = [e for e in history.states("breaker", new="open") if e.value.get("open_s") is not None]
    reloaded = bool(history.states("reload", outcome="applied"))
    for event in opened:
        own_s = limit(history, "downstreams", str(event.value["name"]), "breaker", "open_s")
        if not reloaded and abs(float(event.value["open_s"]) - own_s) > CLOCK_SLACK_S:
            return failed(len(opened), f"it opened for another time than its setting of {own_s} s", [event])
    when = {str(p.value.get("when")) for p in tried}
    names = {part for p in tried for part in str(p.value.get("field", "")).split(".") if part in DOWNSTREAMS}
    if not {"start", "reload"} <= when:
        return unknown("no invalid setting was tried both at start and at reload", tried=len(tried))
    if names != set(DOWNSTREAMS):
        return unknown("invalid settings were not tried on each of the four breakers", tried_names=sorted(names))
    return passed(len(tried), refused=len(tried), openings_with_own_time=len(opened))


def _illegal_move(walk: Walk) -> list[Event]:
    state, before = "closed", None
    for event in walk.moves:
        step = (str(event.value["old"]), str(event.value["new"]))
        if step[0] != state or step not in LEGAL:
            return [e for e in (before, event) if e is not None]
        state, before = step[1], event
    return []


def half_open_too_early(walk: Walk, open_s: float) -> list[Event]:
    """An opening and the half-open that came before its time was over, if there are any."""
    for before, after in zip(walk.moves, walk.moves[1:], strict=False):
        if before.value["new"] == "open" and after.value["new"] == "half_open":
            wanted_s = min(open_s, float(before.value.get("open_s") or open_s))
            if after.t - before.t < wanted_s - CLOCK_SLACK_S:
                return [before, after]
    return []


def call_began_before(history_calls: dict[tuple[str, str], list[float]], arrival: Arrival, moment_s: float) -> bool:
    """True when a call on behalf of the arrival's request had begun before the moment."""
    starts = history_calls.get((arrival.name, arrival.request_id), [])
    return any(start <= moment_s + CLOCK_SLACK_S for start in starts)


def _arrived_while_open(walk: Walk, here: list[Arrival], asked_at_s: dict[str, float]) -> list[Event]:
    """An arrival in an open span whose call had not begun before the opening."""
    calls = {(walk.name, e.id): [] for e in walk.calls}  # type: dict[tuple[str, str], list[float]]
    for event in walk.calls:
        calls[walk.name, event.id].append(began_s(event))
    times = [a.invoke.t for a in here]
    for opening, until_s in walk.spans("open"):
        for arrival in here[bisect_left(times, opening.t) :]:
            if arrival.invoke.t >= until_s - CLOCK_SLACK_S:
                break
            if (walk.name, arrival.request_id) in calls:
                early = call_began_before(calls, arrival, opening.t)
            elif arrival.request_id in asked_at_s:
                early = asked_at_s[arrival.request_id] <= opening.t + CLOCK_SLACK_S
            else:
                early = arrival.invoke.t <= opening.t + CROSSING_SLACK_S
            if not early:
                return [opening, arrival.invoke]
    return []


def _second_probe(walk: Walk, here: list[Arrival]) -> list[Event]:
    """Two probes granted at once, or more calls arriving in a half-open span than probes were granted."""
    out: Event | None = None
    marks = sorted([*walk.probes, *walk.moves], key=lambda e: e.index)
    for event in marks:
        if event.f == "breaker":
            out = None if event.value["new"] != "half_open" else out
        elif event.value["event"] == "granted":
            if out is not None:
                return [out, event]
            out = event
        else:
            out = None
    for entry, until_s in walk.spans("half_open"):
        granted = [e for e in walk.probes if e.value["event"] == "granted" and entry.t <= e.t <= until_s]
        began = {e.id: began_s(e) for e in walk.calls}
        callers: dict[str, Event] = {}
        for arrival in here:
            inside = entry.t <= arrival.invoke.t < until_s
            fresh = began.get(arrival.request_id, entry.t) >= entry.t - CLOCK_SLACK_S
            if inside and fresh and arrival.attempt == 1:
                callers.setdefault(arrival.request_id or arrival.key or arrival.invoke.id, arrival.invoke)
        if len(callers) > max(len(granted), 1):
            return [entry, *list(callers.values())[: max(len(granted), 1) + 1]]
    return []


def _hung_probe(walk: Walk, lease_s: float, end_of_run_s: float) -> list[Event]:
    """A lease that was not given back in its time although the breaker refused calls meanwhile."""
    settled = [e for e in (*walk.probes, *walk.moves) if e.value.get("event") != "granted"]
    for grant in walk.probes:
        if grant.value["event"] != "granted":
            continue
        back_s = min((e.t for e in settled if e.index > grant.index), default=min(walk.ended_s, end_of_run_s))
        late = [c for c in walk.calls if c.value["outcome"] == "refused" and grant.t + lease_s < c.t <= back_s]
        if back_s - grant.t > lease_s + CROSSING_SLACK_S and late:
            return [grant, late[-1]]
    return []


def _probe_outlived(walk: Walk) -> list[Event]:
    """A probe whose call ended without giving its lease back."""
    settled = [e for e in (*walk.probes, *walk.moves) if e.value.get("event") != "granted"]
    for grant in walk.probes:
        if grant.value["event"] != "granted" or not grant.id:
            continue
        call = next((c for c in walk.calls if c.id == grant.id and c.index > grant.index), None)
        if call is None or call.value["outcome"] == "refused" or began_s(call) > grant.t + CLOCK_SLACK_S:
            continue
        back_s = min((e.t for e in settled if e.index > grant.index), default=walk.ended_s)
        if back_s > call.t + CROSSING_SLACK_S:
            return [grant, call]
    return []


@claim(
    "C1.2",
    "Legal transitions, one probe",
    premise="A breaker opened, became half open, and let a probe through.",
    shown_by=("ticker-outage",),
    needs=("breaker", "breaker_probe", "call"),
    limits=("downstreams",),
    whole_log=True,
)
def judge_breaker_walk(history: History) -> Verdict:
    """Open lets no call through, half open exactly one; a hung or cancelled probe returns its lease."""
    found = walks(history)
    openings = sum(1 for w in found for _ in w.spans("open"))
    granted = sum(1 for w in found for e in w.probes if e.value["event"] == "granted")
    asked_at_s = {e.id: e.t for e in history.select("invoke", "request")}
    last_s = history.events[-1].t if history.events else 0.0
    for walk in found:
        here = arrivals(history, walk.name)
        open_s = smallest(history, "downstreams", walk.name, "breaker", "open_s")
        lease_s = limit(history, "downstreams", walk.name, "breaker", "probe_lease_s")
        for reason, evidence in (
            (f"{walk.name}: an illegal transition", _illegal_move(walk)),
            (f"{walk.name}: half open before its open time was over", half_open_too_early(walk, open_s)),
            (f"{walk.name}: a call reached it while its breaker was open", _arrived_while_open(walk, here, asked_at_s)),
            (f"{walk.name}: more than one probe while half open", _second_probe(walk, here)),
            (f"{walk.name}: a hung probe kept its lease", _hung_probe(walk, lease_s, last_s)),
            (f"{walk.name}: a probe ended and kept its lease", _probe_outlived(walk)),
        ):
            if evidence:
                return failed(openings, reason, evidence)
        if evidence := missed_opening(history, walk):
            return failed(openings, f"{walk.name}: failures in a row did not open it", evidence)
    if not openings:
        return unknown("no breaker opened")
    if not granted:
        return unknown("no breaker became half open and let a probe through", openings=openings)
    return passed(openings, openings=openings, probes=granted)


def missed_opening(history: History, walk: Walk, *, with_neutral: bool = False) -> list[Event]:
    """The failures in a row after which the breaker should have opened and did not.

    ``with_neutral`` asks for rows that a neutral call interrupts (C1.3), else for rows without one (C1.2).
    """
    if history.states("reload", outcome="applied"):
        return []
    threshold = int(limit(history, "downstreams", walk.name, "breaker", "failures"))
    row: list[Event] = []
    neutral: list[Event] = []
    closed_since_s = float("-inf")
    state = "closed"
    for event in sorted([*walk.moves, *walk.calls], key=lambda e: e.index):
        if event.f == "breaker":
            state, row, neutral = str(event.value["new"]), [], []
            closed_since_s = event.t
        elif state != "closed" or began_s(event) < closed_since_s - CLOCK_SLACK_S:
            continue
        elif event.value["outcome"] == "ok":
            row, neutral = [], []
        elif event.value["outcome"] == "failed":
            row.append(event)
        elif row:
            neutral.append(event)
        # A breaker moves at the failure itself: an opening a moment later belongs to the failure after this one.
        opens = any(m.value["new"] == "open" and abs(m.t - event.t) <= CLOCK_SLACK_S for m in walk.moves)
        if len(row) >= threshold and not opens and bool(neutral) == with_neutral:
            return [*row[:threshold], *neutral[:1]]
    return []


def _foreign_opening(history: History) -> tuple[int, list[Event]]:
    """Openings, and the first one at a downstream without a fault."""
    broken = faults(history)
    openings = 0
    for life in lives(history):
        for move in life.states("breaker", new="open"):
            openings += 1
            name = str(move.value["name"])
            hurt = [b for b in broken if b.inject.t <= move.t]
            if any(b.target not in DOWNSTREAMS or b.target == name for b in hurt):
                continue
            bad = [a for a in arrivals(history, name) if a.invoke.t <= move.t and not 0 < a.status < 500]
            bad = [a for a in bad if a.ended_s <= move.t + CROSSING_SLACK_S or a.end is None]
            if hurt and not bad:
                return openings, [hurt[-1].inject, move]
    return openings, []


def _slowed(history: History, rows: list[Asked]) -> tuple[int, float, list[Event]]:
    """Requests that did not need the failing downstream: their number, their p95 in s, and a slowed one as evidence."""
    steady = phase_span(history, "steady")
    broken = [b for b in faults(history) if b.target in DOWNSTREAMS]
    if steady is None or not broken or len({b.target for b in broken}) != 1 or len(broken) != len(faults(history)):
        return 0, 0.0, []
    out = broken[0].target
    spared = [a for a in rows if a.operation in NEEDS and out not in NEEDS[a.operation] and a.end is not None]
    before = [a.latency_s for a in spared if steady[0] <= a.invoke.t < min(steady[1], broken[0].inject.t)]
    during = [a for a in spared if any(b.inject.t <= a.invoke.t < b.healed_s for b in broken)]
    if len(before) < 10 or len(during) < 10:  # fewer have no tail
        return 0, 0.0, []
    usual_s, now_s = percentile(before, 0.95), percentile([a.latency_s for a in during], 0.95)
    if now_s > max(3 * usual_s, usual_s + CROSSING_SLACK_S):
        return len(during), now_s, [broken[0].inject, *max(during, key=lambda a: a.latency_s).events()]
    return len(during), now_s, []


@claim(
    "C1.4",
    "Outages stay apart",
    premise="A breaker opened under a fault while ten requests that did not need it ran, and ten in steady state.",
    shown_by=("alert-outage",),
    needs=("breaker", "request", "fault"),
    whole_log=True,
)
def judge_isolation(history: History) -> Verdict:
    """One downstream's outage opens no other breaker and slows no request that does not need it."""
    openings, evidence = _foreign_opening(history)
    if evidence:
        name = evidence[-1].value["name"]
        return failed(openings, f"the breaker of {name} opened although {name} worked", evidence)
    spared, p95_s, evidence = _slowed(history, asked(history))
    if evidence:
        return failed(
            openings, "a request that does not need the failing downstream became slow", evidence, p95_s=p95_s
        )
    if not openings or not any(b.target in DOWNSTREAMS for b in faults(history)):
        return unknown("no downstream failed with its breaker open")
    if not spared:
        return unknown("too few requests that do not need the failing downstream, before and during the outage")
    return passed(openings, openings=openings, spared_requests=spared, spared_p95_s=round(p95_s, 4))
