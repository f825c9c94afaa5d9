"""C2.5 to C2.7: memory over a soak, counters that agree with what was seen, and clients of ill will."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping

from hardening.claims.figures import CROSSING_SLACK_S, figure, largest
from hardening.claims.pressure import heavy_without_thrift, thrift_without_need
from hardening.claims.trend import trend
from hardening.claims.verdict import Verdict, failed, passed, unknown
from hardening.claims.views import Asked, Life, asked, frozen_spans, lives, overlaps, probes
from hardening.history.events import Event, History

MB = 1024 * 1024
SAMPLES_MIN = 20
KEYS_MIN = 100_000
GROWTH_SHARE_MAX = 0.01
"""Of the budget: what a soak may add before its slope counts. A sound soak adds a fifth of it (allocators round)."""
DOUBT_SHARE_MAX = 0.03
"""Of the budget: when growth up to here cannot be ruled out, there is no verdict."""
CUT_SLACK_S = 2.0
RATE_LIMITED = 429
ERROR_MIN = 400
CUT_SHORT = frozenset({408, 413, 431})
NOT_READ = frozenset({401, 403, 408, 413, 429, 503})
"""Answers that can be given without the whole body."""
"""How a half-sent, too slow or too large request is answered."""


def judge_memory(history: History) -> Verdict:
    """C2.5: RSS below its budget at all times, and no upward slope through the soak."""
    claim = "C2.5"
    budget_bytes = figure(history, "budgets", "memory_mb") * MB
    samples = history.states("sample")
    marks = probes(history, "soak")
    begin = next((m for m in marks if m.value.get("phase") == "begin"), None)
    end = next((m for m in marks if m.value.get("phase") == "end"), None)
    if begin is None or end is None:
        return unknown(claim, "there was no soak", samples=len(samples))
    for sample in samples:
        if int(sample.value["rss_bytes"]) >= budget_bytes:
            return failed(claim, 1, f"RSS above {budget_bytes / MB:g} MB", [sample])
    for event in history.states("process", name="service", state="exited"):
        if begin.t <= event.t <= end.t:
            return failed(claim, 1, "the service ended in the soak", [begin, event])
    inside = [s for s in samples if begin.t <= s.t <= end.t]
    if len(inside) < SAMPLES_MIN:
        return unknown(claim, f"fewer than {SAMPLES_MIN} samples in the soak", samples=len(inside))
    return _judge_slope(claim, begin, end, inside, budget_bytes)


def _judge_slope(claim: str, begin: Event, end: Event, inside: list[Event], budget_bytes: float) -> Verdict:
    points = [(s.t, float(s.value["rss_bytes"])) for s in inside]
    found = trend(points)
    span_s = points[-1][0] - points[0][0]
    keys, scrapes = int(end.value.get("distinct_keys", 0)), int(end.value.get("metrics_scrapes", 0))
    figures = {
        "samples": len(inside),
        "distinct_keys": keys,
        "metrics_scrapes": scrapes,
        "rss_max_mb": round(max(y for _, y in points) / MB, 1),
        "growth_mb": round(found.rise / MB, 2),
        "growth_least_mb": round(found.least / MB, 2),
        "growth_most_mb": round(found.most / MB, 2),
        "span_s": round(span_s, 1),
    }
    if found.persists and found.least > GROWTH_SHARE_MAX * budget_bytes:
        reason = f"RSS grew by at least {found.least / MB:.1f} MB in {span_s:.0f} s (99 %), all along"
        return failed(claim, 1, reason, [begin, inside[0], inside[-1]])
    if keys < KEYS_MIN or not scrapes:
        return unknown(claim, f"the soak had {keys} of {KEYS_MIN} keys and {scrapes} scrapes", **figures)
    if found.rise > GROWTH_SHARE_MAX * budget_bytes or found.most > DOUBT_SHARE_MAX * budget_bytes:
        reason = f"the samples do not tell a slope from a leap: RSS may have grown by {found.most / MB:.1f} MB"
        return unknown(claim, reason, **figures)
    return passed(claim, 1, **figures)


def _counted(life: Life, until_s: float) -> dict[str, list[Event]]:
    """What the service said of itself until a moment, by the names of the counters."""
    said = {
        "level_changes": life.states("level"),
        "sheds": life.states("shed"),
        "breaker_changes": life.states("breaker"),
    }
    for event in life.states("rejected"):
        said.setdefault(f"rejected.{event.value['reason']}", []).append(event)
    return {name: [e for e in events if e.t <= until_s] for name, events in said.items()}


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


def judge_metrics(history: History) -> Verdict:
    """C2.6: counters agree with events and with clients' answers; under heavy pressure only essentials are recorded."""
    claim = "C2.6"
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
                    return failed(claim, len(scrapes), reason, evidence)
        if evidence := heavy_without_thrift(life):
            return failed(claim, len(scrapes), "metrics were recorded in full under heavy pressure", evidence)
        if evidence := thrift_without_need(life):
            return failed(claim, len(scrapes), "metrics stayed thrown back after heavy pressure", evidence)
        if mine:
            seen.update({name.split(".")[0]: len(events) for name, events in _counted(life, mine[-1].t).items()})
    if not scrapes:
        return unknown(claim, "the metrics were not scraped")
    refusals = seen["sheds"] + seen["rejected"]
    if not refusals or not seen["level_changes"] or not seen["breaker_changes"]:
        return unknown(claim, "no shed or rejection, level change and breaker change before a scrape", **seen)
    if not any(m.value["new"] == "heavy" for m in history.states("level")):
        return unknown(claim, "pressure never became heavy", **seen)
    return passed(claim, len(scrapes), scrapes=len(scrapes), **seen)


def _too_short(probe: Event, limits_s: Mapping[str, float]) -> bool:
    """The crowd was called home before its limit was over: whether the rest would have been cut was not seen."""
    limit_s = limits_s.get(str(probe.value["kind"]), 0.0)
    whole = int(probe.value["cut"]) >= int(probe.value["connections"])
    return limit_s > 0 and not whole and float(probe.value.get("held_s", math.inf)) < limit_s + CUT_SLACK_S


def _kept_out(history: History, probe: Event) -> list[Event]:
    """A request of somebody else that got no answer while the crowd was there, or none that names another reason."""
    since_s = probe.t - float(probe.value.get("held_s", math.inf))
    frozen = frozen_spans(history)
    rows = [a for a in asked(history) if a.operation != "rude" and since_s <= a.invoke.t and a.ended_s <= probe.t]
    for one in rows:
        # An error that names another reason is some other fault's.
        named = one.status >= ERROR_MIN and not str(one.get("problem") or "").endswith("busy")
        if not named and not one.left and not overlaps(frozen, one.invoke.t, one.ended_s):
            return one.events()
    return []


def _took_too_much(history: History) -> list[Event]:
    """A body beyond the limit that was answered as if it had been read: with anything but a refusal of its size."""
    most = largest(history, "clients", "body_bytes")
    for one in asked(history):
        if int(one.invoke.value.get("body_bytes", 0)) > most and one.status and one.status not in NOT_READ:
            return one.events()
    return []


def judge_rude_clients(history: History) -> Verdict:
    """C2.7: slow and half-sent requests and floods take no permit, are cut at their limits, and harm nobody."""
    claim = "C2.7"
    tried = probes(history, "rude_clients")
    head_s, body_s = figure(history, "clients", "head_s"), figure(history, "clients", "body_s")
    most = figure(history, "clients", "connections")
    limits_s = {"slow_head": head_s, "slow_body": body_s, "flood": head_s}
    rude = {a.id for a in asked(history) if a.operation == "rude" and a.id and a.status in CUT_SHORT}
    paid = next((e for f in ("permit_taken", "admitted") for e in history.states(f) if e.id in rude), None)
    if paid is not None:
        return failed(claim, len(tried), "a rude client took a permit or a rate slot", [paid])
    if evidence := _took_too_much(history):
        return failed(claim, len(tried), "a body above the limit was read to its end", evidence)
    for probe in tried:
        kind, opened, cut = str(probe.value["kind"]), int(probe.value["connections"]), int(probe.value["cut"])
        if int(probe.value.get("permits", 0)) > 0:
            return failed(claim, len(tried), f"{kind}: permits were taken", [probe])
        if kind == "flood" and int(probe.value.get("accepted_max", opened)) > most:
            return failed(claim, len(tried), f"more than {most:g} connections at once", [probe])
        if _too_short(probe, limits_s):
            continue
        if not int(probe.value["served"]) and (harmed := _kept_out(history, probe)):
            return failed(claim, len(tried), f"{kind}: nobody else was served meanwhile", [*harmed, probe])
        slow = kind in {"slow_head", "slow_body"}
        if slow and (cut < opened or float(probe.value["longest_s"]) > limits_s[kind] + CUT_SLACK_S):
            reason = f"{kind}: {cut} of {opened} cut, the longest lived {probe.value['longest_s']} s"
            return failed(claim, len(tried), reason, [probe])
    kinds = {str(p.value["kind"]) for p in tried if not _too_short(p, limits_s)}
    missing = sorted({"slow_head", "slow_body", "flood", "descriptors"} - kinds)
    if missing:
        return unknown(claim, f"not tried: {', '.join(missing)}", tried=len(tried))
    died = [e for e in history.states("process", state="exited") if any(abs(e.t - p.t) < 1.0 for p in tried)]
    if died:
        return failed(claim, len(tried), "the service ended under rude clients", died[:1])
    return passed(claim, len(tried), kinds=sorted(kinds), connections=sum(int(p.value["connections"]) for p in tried))
