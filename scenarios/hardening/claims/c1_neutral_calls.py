"""C1.3: calls that must not move a breaker: cancelled ones, refused ones, and answers that come too late."""

from __future__ import annotations

from collections import Counter

from hardening.claims.c1_breakers import Walk, began_s, missed_opening, walks
from hardening.claims.claim import claim
from hardening.claims.limits import CLOCK_SLACK_S, CROSSING_SLACK_S, smallest
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import Arrival, arrivals
from hardening.history.events import Event, History

FAILURES = frozenset({"failed", "deadline"})
REFUSALS = frozenset(range(400, 500)) - {408, 429}
"""Statuses that blame the request: a retry is of no use."""


def _opened_without_cause(history: History, walk: Walk) -> list[Event]:
    """An opening from closed with fewer failed calls behind it than its setting asks for."""
    if history.states("reload", outcome="applied") or not walk.calls:
        return []
    threshold = int(smallest(history, "downstreams", walk.name, "breaker", "failures"))
    since_s = float("-inf")
    for move in walk.moves:
        if (move.value["old"], move.value["new"]) == ("closed", "open"):
            # The event of the last failing call follows the one of the opening.
            near = [c for c in walk.calls if since_s <= c.t <= move.t + CROSSING_SLACK_S and began_s(c) <= move.t]
            oks = [c for c in near if c.value["outcome"] == "ok" and c.t < move.t - CLOCK_SLACK_S]
            after = [c for c in near if not oks or c.index > oks[-1].index]
            if sum(c.value["outcome"] in FAILURES for c in after) < threshold:
                return [*[c for c in after if c.t <= move.t][-threshold:], move]
        if move.value["new"] == "closed":
            since_s = move.t
    return []


def _moved_by_a_neutral_probe(walk: Walk) -> list[Event]:
    """A half-open breaker that closed without a success, or opened without a failure of its probe."""
    if not walk.probes:
        return []
    wanted = {"closed": "success", "open": "failure"}
    for entry, until_s in walk.spans("half_open"):
        ends = [e for e in walk.probes if e.index > entry.index and e.t <= until_s + CLOCK_SLACK_S]
        move = next((m for m in walk.moves if m.index > entry.index), None)
        if move is None:
            continue
        cause = wanted.get(str(move.value["new"]))
        if cause and not any(e.value["event"] == cause for e in ends):
            return [*ends[-1:], move]
    return []


def _moved_by_another_call(walk: Walk) -> list[Event]:
    """A half-open breaker that was moved by a call that was not its probe: by a late answer."""
    for entry, _ in walk.spans("half_open"):
        move = next((m for m in walk.moves if m.index > entry.index), None)
        if move is None:
            continue
        granted = [p for p in walk.probes if entry.index <= p.index < move.index and p.value["event"] == "granted"]
        if granted and granted[-1].id != move.id:
            return [granted[-1], move]
    return []


def _refusal_blamed(walk: Walk, here: list[Arrival]) -> list[Event]:
    """A call that counts as failed although every attempt was answered with a refusal (4xx)."""
    of: dict[str, list[Arrival]] = {}
    for arrival in here:
        of.setdefault(arrival.request_id, []).append(arrival)
    calls = Counter(call.id for call in walk.calls)
    for call in walk.calls:
        mine = of.get(call.id, [])
        # For a request with several calls it is unknown which arrival belongs to which call.
        if call.value["outcome"] != "failed" or calls[call.id] != 1 or len(mine) != int(call.value["attempts"]):
            continue
        if mine and all(one.status in REFUSALS for one in mine):
            return [*mine[0].events(), call]
    return []


@claim(
    "C1.3",
    "Neutral calls",
    premise="A call or probe was cancelled at a moment when counting it would have moved the breaker.",
    shown_by=("cancelled-herd",),
    needs=("call",),
    limits=("downstreams",),
    whole_log=True,
)
def judge_neutral_calls(history: History) -> Verdict:
    """Cancelled and shed calls count neither as success nor failure; late answers change nothing."""
    found = walks(history)
    neutral = [c for w in found for c in w.calls if c.value["outcome"] in {"cancelled", "client_error"}]
    neutral += [p for w in found for p in w.probes if p.value["event"] == "released"]
    late = 0
    for walk in found:
        here = arrivals(history, walk.name)
        for reason, evidence in (
            (f"{walk.name}: it opened though too few calls had failed", _opened_without_cause(history, walk)),
            (f"{walk.name}: it moved without its probe's success or failure", _moved_by_a_neutral_probe(walk)),
            (f"{walk.name}: a refusal (4xx) was counted as a failure", _refusal_blamed(walk, here)),
            (f"{walk.name}: an answer that was not its probe's moved it", _moved_by_another_call(walk)),
            (
                f"{walk.name}: a neutral call reset the failures before it",
                missed_opening(history, walk, with_neutral=True),
            ),
        ):
            if evidence:
                return failed(len(neutral), reason, evidence)
        for opening, until_s in walk.spans("open"):
            late += sum(1 for c in walk.calls if opening.t < c.t < until_s and began_s(c) < opening.t)
    if not any(w.calls for w in found):
        return unknown("the calls were not recorded (log_events is 'summary')")
    telling = sum(_telling(history, walk) for walk in found)
    if not telling:
        missing = "no cancelled call or probe at which counting it would have made a difference"
        return unknown(missing, neutral_calls=len(neutral))
    return passed(telling, neutral_calls=len(neutral), telling=telling, late_answers=late)


def _telling(history: History, walk: Walk) -> int:
    """Moments at which a cancelled call or probe would have moved the breaker, had it been counted either way."""
    threshold = int(smallest(history, "downstreams", walk.name, "breaker", "failures"))
    count = sum(1 for e in walk.probes if e.value["event"] == "released")
    row: list[str] = []
    for event in sorted([*walk.moves, *walk.calls], key=lambda e: e.index):
        if event.f == "breaker":
            # Failures before and after a neutral call opened it: the neutral one was no success.
            count += int(event.value["new"] == "open" and "cancelled" in row)
            row = []
        elif event.value["outcome"] in {"ok", "failed", "cancelled"}:
            row = [] if event.value["outcome"] == "ok" else [*row, str(event.value["outcome"])]
            # As many in a row as open it, one of them cancelled, and it stayed closed.
            count += int(event.value["outcome"] == "cancelled" and len(row) >= threshold)
    return count
