"""C6.4: after the last heal the steady state is back within its bound, without a restart."""

from __future__ import annotations

import math

from hardening.claims.claim import claim
from hardening.claims.limits import CROSSING_SLACK_S, DOWNSTREAMS, limit
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import (
    PRODUCT_OPERATIONS,
    SERVER_ERROR_MIN,
    Asked,
    asked,
    end_s,
    ends_it,
    faults,
    lives,
    percentile,
    phase_span,
    probes,
)
from hardening.history.events import Event, History

REQUESTS_MIN = 5
TAIL_MIN = 40
ERROR_SHARE_MORE_MAX = 0.05
LATENCY_FACTOR_MAX = 2.0


def bound_s(history: History) -> float:
    """The longest open time among the breakers that opened, plus the extra time of the limits."""
    opened = {str(e.value["name"]) for e in history.states("breaker", new="open")} & set(DOWNSTREAMS)
    open_s = max((limit(history, "downstreams", name, "breaker", "open_s") for name in opened), default=0.0)
    return open_s + limit(history, "recovery", "extra_s")


def _end_of_service_s(history: History, after_s: float) -> float:
    """When the run began to end the service on purpose."""
    signals = [s.t for life in lives(history) for s in life.signals if s.t > after_s and ends_it(s)]
    shutdown = phase_span(history, "shutdown")
    return min([math.inf, *signals, *([shutdown[0]] if shutdown else [])])


def _not_at_rest(history: History, moment_s: float) -> tuple[str, list[Event]]:
    """A breaker, level or outbox that is not in its steady state at a moment."""
    life = lives(history)[-1]
    for name in DOWNSTREAMS:
        moves = [e for e in life.states("breaker", name=name) if e.t <= moment_s]
        # An open breaker closes only when it is asked: an open one without calls stays open.
        if moves and moves[-1].value["new"] != "closed" and _asked_since(history, life.began_s, name, moves[-1]):
            return f"the breaker of {name} is {moves[-1].value['new']}", [moves[-1]]
    levels = [e for e in life.states("level") if e.t <= moment_s]
    if levels and levels[-1].value["new"] != "none":
        return f"the level is {levels[-1].value['new']}", [levels[-1]]
    # New alerts may be on their way at any one look; at no look at all may it be because old ones are stuck.
    looks = [p for p in probes(history, "outbox") if p.t >= moment_s - CROSSING_SLACK_S]
    if looks and min(int(p.value["depth"]) for p in looks) > 0:
        return f"{looks[-1].value['depth']} alerts wait in the outbox", [looks[-1]]
    return "", []


def _asked_since(history: History, began_s: float, name: str, move: Event) -> bool:
    """True when a call wanted the breaker after its open time was over."""
    over_s = move.t + limit(history, "downstreams", name, "breaker", "open_s")
    calls = history.states("call", name=name)
    return not calls or any(c.t > max(over_s, began_s) for c in calls)


def _bad(one: Asked) -> bool:
    lost = one.end is not None and one.end.type != "ok" and not one.left
    return lost or one.status >= SERVER_ERROR_MIN


def _worse(before: list[Asked], after: list[Asked]) -> tuple[str, list[Event]]:
    """Error rate or latency that is not as it was."""
    share = sum(map(_bad, before)) / len(before)
    bad = [a for a in after if _bad(a)]
    if len(bad) / len(after) > share + ERROR_SHARE_MORE_MAX:
        return f"{len(bad)} of {len(after)} requests failed, before {share:.0%}", bad[0].events()
    # The p95 of a handful is its slowest one: then the median is compared.
    tail = 0.95 if min(len(before), len(after)) >= TAIL_MIN else 0.5
    usual_s = percentile([a.latency_s for a in before], tail)
    now_s = percentile([a.latency_s for a in after], tail)
    if now_s > max(LATENCY_FACTOR_MAX * usual_s, usual_s + CROSSING_SLACK_S):
        slowest = max(after, key=lambda a: a.latency_s)
        return f"p{share * 100:.0f} of latency is {now_s:.3f} s, before {usual_s:.3f} s", slowest.events()
    return "", []


def _of_product(rows: list[Asked], begin_s: float, until_s: float) -> list[Asked]:
    return [a for a in rows if a.operation in PRODUCT_OPERATIONS and begin_s <= a.invoke.t and a.ended_s <= until_s]


@claim(
    "C6.4",
    "Recovery",
    premise="A fault had an effect and was healed, and requests ran before it and after the bound.",
    shown_by=("redis-outage",),
    needs=("fault", "request"),
    limits=("recovery", "downstreams"),
    whole_log=True,
)
def judge_recovery(history: History) -> Verdict:
    """After the last heal the steady state is back within its bound, without a restart."""
    broken = faults(history)
    effective = [b for b in broken if b.effective]
    if not effective:
        return unknown("no fault had an effect")
    if any(b.heal is None for b in broken):
        return unknown("a fault was never healed", faults=len(broken))
    last = max(broken, key=lambda b: b.healed_s)
    ends_s = _end_of_service_s(history, last.healed_s)
    for life in lives(history)[1:]:
        if life.started is not None and life.started.t > last.healed_s + CROSSING_SLACK_S:
            assert last.heal is not None
            return failed(
                len(effective), "the service was started again after the last heal", [last.heal, life.started]
            )
    due_s = last.healed_s + bound_s(history)
    quiet = phase_span(history, "quiet")
    from_s = min(due_s, quiet[0]) if quiet is not None and quiet[0] > last.healed_s else due_s
    run_end_s = min(end_s(history), ends_s)
    rows = asked(history)
    before = _of_product(rows, *(phase_span(history, "steady") or (0.0, broken[0].inject.t)))
    before = [a for a in before if a.ended_s <= broken[0].inject.t]
    after = _of_product(rows, from_s, run_end_s)
    reason, evidence = _not_at_rest(history, min(due_s, run_end_s))
    if not evidence and len(before) >= REQUESTS_MIN and len(after) >= REQUESTS_MIN:
        reason, evidence = _worse(before, after)
        overdue = _of_product(rows, due_s, run_end_s)
        if evidence and from_s < due_s and len(overdue) >= REQUESTS_MIN:
            # The quiet phase began early: what counts is the time after the bound.
            from_s, after = due_s, overdue
            reason, evidence = _worse(before, after)
    if evidence and run_end_s >= due_s:
        assert last.heal is not None
        return failed(len(effective), reason, [last.heal, *evidence])
    if evidence:
        return unknown(f"the run ended before the bound was over: {reason}", effective_faults=len(effective))
    for rest, when in ((before, "before the faults"), (after, "after the bound")):
        if len(rest) < REQUESTS_MIN:
            return unknown(f"fewer than {REQUESTS_MIN} product requests {when}", effective_faults=len(effective))
    took_s = from_s - last.healed_s
    return passed(
        len(effective), effective_faults=len(effective), bound_s=bound_s(history), steady_after_s=round(took_s, 3)
    )
