"""Budgets of fairness: critical requests are served, low priorities are shed first, each accepted alert arrives once.

In come a run and the limits, out come verdicts.
"""

from __future__ import annotations

from itertools import pairwise

from hardening.claims.c2_levels import SHED_AT
from hardening.claims.c6_delivery import RECEIVERS, post
from hardening.claims.verdict import Verdict
from hardening.claims.views import arrivals
from hardening.load.budget import COUNT, Limits, at_most, budget, unknown
from hardening.load.exposition import total
from hardening.load.view import ACCEPTED, UNAVAILABLE, Run, Sent

RANK = {"low": 0, "normal": 1, "high": 2}
NEAR_S = 1.0
"""Sheds so close to one another belong to one stay at a level: none is left sooner."""


@budget("critical.refused", {"critical.refused_max": COUNT}, "requests")
def judge_critical(run: Run, limits: Limits) -> Verdict:
    """While others are turned away, critical requests are answered."""
    limit = limits.get("critical.refused_max")
    others = [one.begin_t for one in run.sent if one.refused and not one.critical]
    refused = [one for one in run.sent if one.critical and _turned_away(one)]
    if not others and not refused:
        return unknown("nobody was turned away")
    during = [one for one in run.sent if one.critical and others and others[0] <= one.begin_t <= others[-1]]
    if not during and not refused:
        return unknown("nothing critical was asked while others were turned away")
    reason = f"{refused[0].operation} {refused[0].id} got {refused[0].status}" if refused else ""
    return at_most(len(refused), limit, len(during), reason)


def _turned_away(one: Sent) -> bool:
    if one.problem == "connections":
        return False  # answered before its head was read: the service could not know that it was critical
    # /ready may truthfully say no: that is an answer.
    return one.refused or (one.status == UNAVAILABLE and one.operation != "ready")


@budget("shed.order", {"shed.out_of_order_max": COUNT}, "requests")
def judge_shed_order(run: Run, limits: Limits) -> Verdict:
    """Nobody is shed while somebody less important is served at the same pressure."""
    limit = limits.get("shed.out_of_order_max")
    sheds = run.history.states("shed")
    bad = [e for e in sheds if e.value["priority"] not in SHED_AT.get(str(e.value["level"]), frozenset())]
    counted = _counted_out_of_order(run)
    passed_by = _passed_by(run) if run.embedded else 0  # of somebody's own keys we do not know the priorities
    count = max(len(sheds), sum(one.problem == "shed" for one in run.sent))
    if not count and not counted:
        return unknown("nobody was shed")
    figure = max(len(bad), counted, passed_by)
    return at_most(figure, limit, count, f"{figure} were shed, or served, out of their turn")


def _counted_out_of_order(run: Run) -> int:
    """Sheds by ``/metrics`` of a priority that its level serves."""
    if not run.scrapes or run.restarted:
        return 0
    first, last = dict(run.scrapes[0].series), dict(run.scrapes[-1].series)
    found = 0.0
    for level, allowed in SHED_AT.items():
        for priority in {"critical", "high", "normal", "low"} - allowed:
            labels = {"level": level, "priority": priority}
            counts = [total(series, "signal_shed_total", **labels) or 0 for series in (last, first)]
            found += counts[0] - counts[1]
    return int(found)


def _passed_by(run: Run) -> int:
    """Requests that began and were served between two near sheds of somebody more important."""
    found = 0
    for rank in (1, 2):
        sheds = [one for one in run.sent if one.problem == "shed" and RANK.get(one.priority, -1) == rank]
        lower = [one for one in run.sent if RANK.get(one.priority, 9) < rank and one.status == 200 and not one.critical]
        for before, after in pairwise(sheds):
            if after.begin_t - before.end_t <= NEAR_S:
                # At moderate pressure it depends on what is cached who is served: only the same answer compares.
                found += sum(
                    before.end_t <= one.begin_t and one.end_t <= after.begin_t and one.value.get("source") == "ticker"
                    for one in lower
                )
    return found


@budget("alerts.lost", {"alerts.lost_max": COUNT}, "alerts")
def judge_alerts_lost(run: Run, limits: Limits) -> Verdict:
    """Every alert that was answered 202 has arrived when the outbox is empty."""
    limit = limits.get("alerts.lost_max")
    accepted = {str(one.value.get("delivery_id")) for one in run.sent if one.status == ACCEPTED}
    if not accepted:
        return unknown("no alert was accepted")
    last_t = max(one.end_t for one in run.sent if one.status == ACCEPTED)
    looks = [s for s in run.scrapes if s.begin_t > last_t]
    waiting = looks[-1].series.get("signal_outbox_undelivered") if looks else None
    if any(arrivals(run.history, receiver) for receiver in RECEIVERS):
        found = post(run.history)
        missing = {a for a in accepted for r in RECEIVERS if (r, a) not in found.taken and (r, a) not in found.dead}
        if missing and waiting != 0:
            return unknown(f"{len(missing)} were still on their way", figure=len(missing))
        return at_most(len(missing), limit, len(accepted), f"{len(missing)} never arrived")
    if waiting is None or run.restarted:
        return unknown("neither the receivers nor the outbox were seen")
    if waiting:
        return unknown(f"{waiting:g} still wait in the outbox", figure=waiting)
    dead = looks[-1].series.get("signal_outbox_dead", 0) - run.scrapes[0].series.get("signal_outbox_dead", 0)
    return at_most(dead, limit, len(accepted), f"{dead:g} became dead letters")


@budget("alerts.twice", {"alerts.twice_max": COUNT}, "alerts")
def judge_alerts_twice(run: Run, limits: Limits) -> Verdict:
    """One idempotency key is one alert, and no alert is delivered that was never accepted."""
    limit = limits.get("alerts.twice_max")
    ids: dict[str, set[str]] = {}
    for one in run.sent:
        if one.status == ACCEPTED and "idempotency_key" in one.value:
            ids.setdefault(str(one.value["idempotency_key"]), set()).add(str(one.value.get("delivery_id")))
    if not ids:
        return unknown("no alert was accepted")
    twice = sum(len(found) - 1 for found in ids.values())
    found = post(run.history)
    invented = {key for _, key in found.taken if key not in found.accepted}
    # A delivery may be tried again under its key, and the receiver knows it by that; a key of no client is new.
    twice += max(0, len(invented) - len(found.uncertain))
    return at_most(twice, limit, len(ids), f"{twice} alerts more than keys")
