"""C2.6: counters that agree with the events and with what clients saw, and metrics under heavy pressure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from hardening.claims.c2_levels import full_metrics_at_heavy, reduced_metrics_after_heavy
from hardening.claims.claim import claim
from hardening.claims.limits import CROSSING_SLACK_S
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import Asked, Life, asked, lives, probes
from hardening.history.events import Event, History

RATE_LIMITED = 429


def _counted(life: Life, until_s: float) -> dict[str, list[Event]]:
    """The service's events until a moment, by the names of their counters."""
    counted = {
        "level_changes": life.states("level"),
        "sheds": life.states("shed"),
        "breaker_changes": life.states("breaker"),
    }
    for event in life.states("rejected"):
        counted.setdefault(f"rejected.{event.value['reason']}", []).append(event)
    return {name: [e for e in events if e.t <= until_s] for name, events in counted.items()}


SCRAPED = {
    "level_changes": "signal_level_changes_total",
    "sheds": "signal_shed_total",
    "breaker_changes": "signal_breaker_changes_total",
}


ANSWERED = re.compile(r"signal_requests_total\{.*?status=\"?(\w+)\"?.*?\}")
REASON = re.compile(r"signal_rejected_total\{.*?reason=\"?(\w+)\"?.*?\}")


def _flat(counters: object) -> dict[str, int]:
    """Counters by our own names, from those names or from Prometheus' (summed over their labels)."""
    if not isinstance(counters, dict):
        return {}
    flat = {name: int(n) for name, n in counters.items() if name in SCRAPED}
    rejected = counters.get("rejected")
    flat.update({f"rejected.{k}": int(n) for k, n in (rejected or {}).items()})
    for own, family in SCRAPED.items():
        found = [n for name, n in counters.items() if name.partition("{")[0] == family]
        if found:
            flat[own] = int(sum(found))
    for name, n in counters.items():
        if match := REASON.fullmatch(name):
            flat[f"rejected.{match[1]}"] = flat.get(f"rejected.{match[1]}", 0) + int(n)
    return flat


def _miscounted(life: Life, probe: Event) -> tuple[str, list[Event]]:
    """A counter that differs from the events; those within the scrape's own moment may or may not be in it."""
    flat = _flat(probe.value.get("counters"))
    early, late = _counted(life, probe.t - CROSSING_SLACK_S), _counted(life, probe.t + CROSSING_SLACK_S)
    for name in sorted({*early, *late, *flat}):
        least, most = len(early.get(name, [])), len(late.get(name, []))
        counted = flat.get(name)
        if counted is None and not least:
            continue
        if counted is None or not least <= counted <= most:
            events = early.get(name, [])
            return f"{name} is counted {counted}, and was {least} to {most}", [*events[-1:], probe]
    return "", []


def _answers_miscounted(life: Life, probe: Event) -> tuple[str, list[Event]]:
    """Answers counted under a status that so many did not have; those under heavy pressure need not be counted."""
    series = probe.value.get("series")
    counted: Counter[str] = Counter()
    for name, count in series.items() if isinstance(series, Mapping) else ():
        if match := ANSWERED.fullmatch(str(name)):
            counted[match[1]] += int(count)
    if not counted or "other" in counted:
        return "", []
    least, most = Counter[str](), Counter[str]()
    recorded = True
    for event in life.events:
        if event.f == "metrics_mode":
            recorded = event.value["mode"] == "full"
        elif event.f == "request_done" and recorded:
            least[str(event.value["status"])] += event.t <= probe.t - CROSSING_SLACK_S
            most[str(event.value["status"])] += event.t <= probe.t + CROSSING_SLACK_S
    for status in sorted({*counted, *least}):
        if not least[status] <= counted[status] <= most[status]:
            reason = f"answers {status} are counted {counted[status]}, and were {least[status]} to {most[status]}"
            return reason, [probe]
    return "", []


def _clients_disagree(life: Life, probe: Event, rows: list[Asked]) -> tuple[str, list[Event]]:
    """More answers 429 seen by clients than the counter has, or fewer by more than those that were not seen."""
    counted = _flat(probe.value.get("counters")).get("rejected.rate", 0)
    mine = [a for a in rows if life.began_s <= a.invoke.t and a.ended_s <= probe.t - CROSSING_SLACK_S]
    seen = [a for a in mine if a.status == RATE_LIMITED]
    # A client that left, or whose answer is still under way, was perhaps refused without our seeing it.
    known = {a.id for a in mine}
    unseen = [a for a in rows if life.began_s <= a.invoke.t <= probe.t and a.id not in known]
    unseen += [a for a in mine if not a.status]
    if len(seen) > counted or counted > len(seen) + len(unseen):
        return f"clients saw {len(seen)} answers 429, counted are {counted}", [
            *(e for a in seen[:1] for e in a.events()),
            probe,
        ]
    return "", []


@claim(
    "C2.6",
    "Honest metrics",
    premise="The metrics were scraped after sheds or rejections, a level change and a breaker change.",
    shown_by=("pressure",),
    needs=("breaker", "level", "request"),
    whole_log=True,
)
def judge_metrics(history: History) -> Verdict:
    """Level changes, sheds, rejections and breaker changes are counted and agree with what clients saw."""
    scrapes = [p for p in probes(history, "metrics") if p.value.get("counters")]
    rows = asked(history)
    seen: Counter[str] = Counter()
    for life in lives(history):
        mine = [p for p in scrapes if life.began_s <= p.t <= life.ended_s]
        for probe in mine:
            for reason, evidence in (
                _miscounted(life, probe),
                _answers_miscounted(life, probe),
                _clients_disagree(life, probe, rows),
            ):
                if evidence:
                    return failed(len(scrapes), reason, evidence)
        if evidence := full_metrics_at_heavy(life):
            return failed(len(scrapes), "metrics were recorded in full under heavy pressure", evidence)
        if evidence := reduced_metrics_after_heavy(life):
            return failed(len(scrapes), "metrics stayed reduced after heavy pressure", evidence)
        if mine:
            seen.update({name.split(".")[0]: len(events) for name, events in _counted(life, mine[-1].t).items()})
    if not scrapes:
        return unknown("the metrics were not scraped")
    refusals = seen["sheds"] + seen["rejected"]
    if not refusals or not seen["level_changes"] or not seen["breaker_changes"]:
        return unknown("no shed or rejection, level change and breaker change before a scrape", **seen)
    if not any(m.value["new"] == "heavy" for m in history.states("level")):
        return unknown("pressure never became heavy", **seen)
    return passed(len(scrapes), scrapes=len(scrapes), **seen)
