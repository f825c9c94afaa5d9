"""The judge of a load run: records of the clients, scrapes of the service, and the world's history where there is one.

Pure. What the service says is compared with what the clients saw; a difference is a finding of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadtests import shapes
from loadtests.records import Record, Recorded, percentile
from loadtests.spec import LoadSpec
from loadtests.verdicts import Held, at_least, at_most, unknown
from scenarios.judge.claims import judge_all
from scenarios.judge.history import History
from scenarios.judge.trend import trend
from scenarios.judge.verdict import Outcome

ENDPOINTS: Mapping[str, Callable[[Record], bool]] = {
    "signal": lambda r: r.product and r.operation == "signal",
    "batch": lambda r: r.product and r.operation == "batch",
    "alert": lambda r: r.product and r.operation == "alert",
    "critical": lambda r: r.priority == "critical",
}
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}
ENOUGH: Mapping[str, int] = {"p50": 10, "p95": 20, "p99": 100, "p999": 1000}
"""So many answers are needed before a percentile says anything."""

CLAIMS = ("C2.1", "C2.2", "C2.3", "C2.4", "C2.6", "C6.4")
"""Claims that the history of a load run is judged on as well."""

EVIDENCE_MAX = 5
SAMPLES_MIN = 24
MB = 1 << 20


def judge(spec: LoadSpec, run: Recorded, budgets: Mapping[str, Any], history: History | None = None) -> list[Held]:
    """Every budget, in the order of ``budgets.toml``, then the claims that the history settles."""
    return [
        *_rates(spec, run, budgets["rate"], history),
        *_resources(spec, run, budgets, history),
        *_latencies(run, budgets["latency"]),
        _errors(run, budgets["errors"]),
        *_refusals(run, budgets["refusals"]),
        *_shedding(run, history),
        _alerts(run, history),
        _recovery(spec, run, budgets["recovery"]),
        *_agreement(run),
        *_claims(history),
    ]


# --- rate ----------------------------------------------------------------------------------------------------------


def most_in_window(times_s: Sequence[float], window_s: float) -> int:
    """The most of these moments (in order) that fall into one half-open sliding window."""
    return max((bisect_left(times_s, t + window_s) - i for i, t in enumerate(times_s)), default=0)


def _admissions(run: Recorded, history: History | None) -> tuple[list[float], str]:
    """Moments of admission: the service's own events, else what the answers allow for."""
    if history is not None:
        admitted = [e.t for e in history.states("admitted") if e.value.get("priority") != "critical"]
        return sorted(admitted), "by the service's admissions"
    accepted = [record for record in run.requests if record.accepted]
    return sorted(record.began_s for record in accepted), "by the clients' starts"


def _rates(spec: LoadSpec, run: Recorded, limits: Mapping[str, Any], history: History | None) -> list[Held]:
    window_s, most, least = float(limits["window_s"]), float(limits["accepted_max"]), limits["accepted_min_overload"]
    moments, how = _admissions(run, history)
    held = [_never_more(run, moments, window_s, most, how, sure=history is not None)]
    offered = sorted(record.began_s for record in run.requests if record.product and not record.left)
    overloads = [t for i, t in enumerate(offered) if bisect_left(offered, t + window_s) - i > most]
    whole = [t for t in overloads if t + window_s <= run.ended_s]
    zero_s = moments and history is not None
    shift_s = _shift(run, history) if zero_s else 0.0
    if not whole:
        why = f"no {window_s:g} s in which more than {most:g} were offered"
        held.append(unknown("rate.accepted_min_overload", float(least), "requests", why))
        return held
    counts = [bisect_right(moments, t + shift_s + window_s) - bisect_left(moments, t + shift_s) for t in whole]
    held.append(at_least("rate.accepted_min_overload", float(min(counts)), float(least), "requests", reason=how))
    return held


def _never_more(run: Recorded, moments: list[float], window_s: float, most: float, how: str, *, sure: bool) -> Held:
    name = "rate.accepted_max"
    if not moments:
        return unknown(name, most, "requests", "nothing was accepted", required=True)
    if sure:
        return at_most(name, float(most_in_window(moments, window_s)), most, "requests", reason=how)
    # From outside only what began and ended within a window was certainly admitted in it.
    spans = sorted((r.began_s, r.ended_s) for r in run.requests if r.accepted)
    certain = max(sum(end < began + window_s for _, end in spans[i:]) for i, (began, _) in enumerate(spans))
    return at_most(name, float(certain), most, "requests", reason="began and ended within the window")


def _shift(run: Recorded, history: History | None) -> float:
    """Seconds from the history's zero to the records' zero: both clocks are the machine's monotonic one."""
    if history is None:
        return 0.0
    return run.zero_s - float(history.header.extra.get("epoch_mono_s", run.zero_s))


# --- resources -----------------------------------------------------------------------------------------------------


def _samples(run: Recorded, history: History | None) -> tuple[list[float], list[float], list[float]]:
    """Times, RSS in MB and CPU shares: as seen from outside, else as scraped."""
    if history is not None:
        shift_s = _shift(run, history)
        states = [e for e in history.states("sample") if e.t >= shift_s]
        return (
            [e.t - shift_s for e in states],
            [float(e.value["rss_bytes"]) / MB for e in states],
            [float(e.value["cpu_share"]) for e in states],
        )
    scraped = [s for s in run.scrapes if "signal_rss_bytes" in s.series]
    return [s.at_s for s in scraped], [s.series["signal_rss_bytes"] / MB for s in scraped], []


def _resources(spec: LoadSpec, run: Recorded, budgets: Mapping[str, Any], history: History | None) -> list[Held]:
    times, rss_mb, cpu = _samples(run, history)
    main = [value for s in run.scrapes for name, value in s.series.items() if _is_main_pool(name)]
    if history is not None:
        main += [float(e.value["in_flight"]) for e in history.states("permit_taken", pool="main")]
    memory = budgets["memory"]
    held = [
        at_most("in_flight.main_max", max(main, default=math.nan), float(budgets["in_flight"]["main_max"]), "requests"),
        at_most("memory.rss_mb_max", max(rss_mb, default=math.nan), float(memory["rss_mb_max"]), "MB"),
        _memory_slope(spec, times, rss_mb, memory),
    ]
    limit = float(budgets["cpu"]["share_max"])
    if cpu:
        held.append(at_most("cpu.share_max", percentile(cpu, 0.95), limit, "cores"))
    else:
        held.append(unknown("cpu.share_max", limit, "cores", "the process is not ours to look at"))
    return held


def _is_main_pool(series: str) -> bool:
    return series.startswith("signal_in_flight{") and "=main" in series


def _memory_slope(spec: LoadSpec, times: list[float], rss_mb: list[float], memory: Mapping[str, Any]) -> Held:
    name, limit = "memory.slope_mb_per_min_max", float(memory["slope_mb_per_min_max"])
    warm_s = float(memory["warm_up_s"])
    late = [(t, mb) for t, mb in zip(times, rss_mb, strict=True) if t >= warm_s]
    if len(late) < SAMPLES_MIN:
        why = f"fewer than {SAMPLES_MIN} samples after a warm-up of {warm_s:g} s"
        return unknown(name, limit, "MB/min", why, required=spec.shape == "soak")
    found = trend(late)
    minutes = (late[-1][0] - late[0][0]) / 60
    reason = f"99 % confidence {found.least / minutes:.3g} to {found.most / minutes:.3g} MB/min"
    # A leap is no leak: only what rises all along counts, and only as much as is sure.
    return at_most(name, found.least / minutes if found.persists else 0.0, limit, "MB/min", reason=reason)


# --- latency -------------------------------------------------------------------------------------------------------


def _latencies(run: Recorded, limits: Mapping[str, Any]) -> list[Held]:
    answered = [record for record in run.requests if not record.left]
    slowest = max(answered, key=lambda record: record.latency_s, default=None)
    request_max = float(limits["request_max"])
    if slowest is None:
        held = [unknown("latency.request_max", request_max, "ms", "nothing was answered", required=True)]
    else:
        evidence = (slowest.id,)
        held = [at_most("latency.request_max", slowest.latency_s * 1000, request_max, "ms", evidence=evidence)]
    for endpoint, belongs in ENDPOINTS.items():
        times_ms = [r.latency_s * 1000 for r in answered if belongs(r) and 200 <= r.status < 400]
        for name, share in PERCENTILES.items():
            limit = float(limits[endpoint][name])
            full = f"latency.{endpoint}.{name}"
            if len(times_ms) < ENOUGH[name]:
                held.append(unknown(full, limit, "ms", f"{len(times_ms)} answers are too few for {name}"))
            else:
                held.append(at_most(full, percentile(times_ms, share), limit, "ms"))
    return held


# --- answers -------------------------------------------------------------------------------------------------------

_WANTED: Mapping[str, tuple[int, ...]] = {
    "signal": (200,),
    "batch": (200,),
    "alert": (200, 202, 422),
    "health": (200,),
    "ready": (200, 503),
    "metrics": (200,),
}


def _is_error(record: Record) -> bool:
    if record.left:
        return False
    if record.key == "wrong" or record.key == "none":
        return record.status not in (401, 429, 503)
    if record.operation == "rude":
        return record.status not in (400, 422, 429, 503)
    allowed = _WANTED.get(record.operation, (200,))
    return record.status not in allowed and not (record.product and record.status in (429, 503))


def _errors(run: Recorded, limits: Mapping[str, Any]) -> Held:
    asked = [record for record in run.requests if not record.left]
    wrong = [record for record in asked if _is_error(record)]
    share = len(wrong) / len(asked) if asked else math.nan
    kinds = Counter(f"{record.operation} {record.status or record.error}" for record in wrong)
    reason = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(3))
    evidence = tuple(record.id for record in wrong[:EVIDENCE_MAX])
    return at_most("errors.share_max", share, float(limits["share_max"]), "share", reason=reason, evidence=evidence)


def _wait_of(record: Record) -> float:
    """The wait that an answer asks for; NaN without one or with one that is no number."""
    try:
        return float(record.value.get("retry_after", "nan"))
    except ValueError:
        return math.nan


def _refusals(run: Recorded, limits: Mapping[str, Any]) -> list[Held]:
    held = []
    for status, name in ((429, "retry_after_s_max"), (503, "shed_retry_after_s_max")):
        refused = [r for r in run.requests if r.status == status and r.operation not in {"ready", "rude"}]
        limit = float(limits[name])
        full = f"refusals.{name}"
        if not refused:
            held.append(unknown(full, limit, "s", f"nothing was answered {status}"))
            continue
        bad = [r for r in refused if not _wait_of(r) > 0 or _wait_of(r) > limit]
        worst = max((_wait_of(r) for r in refused if not math.isnan(_wait_of(r))), default=math.nan)
        if bad:
            why = f"{len(bad)} of {len(refused)} answers ask for no wait above 0 and at most {limit:g} s"
            ids = tuple(r.id for r in bad[:EVIDENCE_MAX])
            held.append(Held(full, Outcome.FAIL, worst, limit, "s", why, evidence=ids))
        else:
            held.append(at_most(full, worst, limit, "s", reason=f"{len(refused)} refusals"))
    return held


def _shedding(run: Recorded, history: History | None) -> list[Held]:
    """Critical requests are never shed, and others in the order of their priority."""
    critical = [r for r in run.requests if r.priority == "critical"]
    shed = [r for r in critical if r.status in (429, 503) and r.operation != "ready"]
    shed += [r for r in critical if r.status == 0 and not r.left]
    ids = tuple(r.id for r in shed[:EVIDENCE_MAX])
    figure = float(len(shed)) if critical else math.nan
    held = [at_most("shedding.critical_max", figure, 0.0, "requests", evidence=ids)]
    last = run.scrapes[-1] if run.scrapes else None
    if last is None:
        return [*held, unknown("shedding.order_max", 0.0, "requests", "the service's counters were not scraped")]
    wrong = sum(
        last.total("signal_shed_total", level=level, priority=priority)
        for level, priority in (("light", "normal"), ("light", "high"), ("moderate", "normal"), ("moderate", "high"))
    )
    if not last.total("signal_shed_total"):
        return [*held, unknown("shedding.order_max", 0.0, "requests", "nothing was shed")]
    return [*held, at_most("shedding.order_max", wrong, 0.0, "requests", reason="shed before their turn")]


def _alerts(run: Recorded, history: History | None) -> Held:
    """Every accepted alert is delivered, once in effect."""
    name = "alerts.undelivered_max"
    accepted = {str(r.value["alert_id"]) for r in run.requests if r.status == 202 and r.value.get("alert_id")}
    if history is None:
        return unknown(name, 0.0, "alerts", "the receivers are not ours to look at")
    if not accepted:
        return unknown(name, 0.0, "alerts", "no alert was accepted")
    arrived = history.states("outbox", event="delivered")
    delivered = Counter(str(e.value["alert_id"]) for e in arrived if e.value.get("alert_id"))
    missing = sorted(accepted - delivered.keys())
    twice = sorted(alert for alert, times in delivered.items() if times > _receivers(history, alert))
    reason = f"{len(accepted)} accepted, {len(missing)} not delivered, {len(twice)} delivered again"
    evidence = tuple((missing + twice)[:EVIDENCE_MAX])
    return at_most(name, float(len(missing) + len(twice)), 0.0, "alerts", reason=reason, evidence=evidence)


def _receivers(history: History, alert: str) -> int:
    """How many receivers an alert goes to."""
    told = {str(e.value.get("receiver", "")) for e in history.states("outbox", event="delivered", alert_id=alert)}
    return max(1, len(told))


def _recovery(spec: LoadSpec, run: Recorded, limits: Mapping[str, Any]) -> Held:
    """After the peak: when the last request was refused for pressure or answered slower than a deadline's half."""
    name, limit = "recovery.within_s", float(limits["within_s"])
    span = shapes.SHAPES[spec.shape].overload_s(spec)
    if span is None or span[1] + limit > spec.duration_s:
        return unknown(name, limit, "s", "there was no peak with time to recover from it")
    late = [r for r in run.requests if r.at_s >= span[1] and not r.left]
    bad = [r for r in late if (r.status == 503 and r.operation != "ready") or r.latency_s > 2.5]
    figure = max((r.at_s - span[1] for r in bad), default=0.0)
    return at_most(name, figure, limit, "s", evidence=tuple(r.id for r in bad[-EVIDENCE_MAX:]))


# --- the service's word against the clients' ------------------------------------------------------------------------


def _agreement(run: Recorded) -> list[Held]:
    """Between the first and the last scrape, the service counted as many refusals as the clients saw."""
    if len(run.scrapes) < 2:
        return [unknown("agreement.refused_max", 0.0, "requests", "the service's counters were not scraped twice")]
    first, last = run.scrapes[0], run.scrapes[-1]
    said = last.total("signal_rejected_total", reason="rate") - first.total("signal_rejected_total", reason="rate")
    inside = [r for r in run.requests if r.status == 429 and r.product]
    # A refusal near a scrape may be on either side of it; one well within is not.
    least = sum(r.began_s > first.at_s + 0.5 and r.ended_s < last.at_s - 0.5 for r in inside)
    most = sum(r.ended_s > first.at_s - 0.5 and r.began_s < last.at_s + 0.5 for r in inside)
    off = max(0.0, least - said, said - most)
    reason = f"the service counted {said:g} refusals for rate, clients saw {least} to {most}"
    return [at_most("agreement.refused_max", off, 0.0, "requests", reason=reason)]


def _claims(history: History | None) -> list[Held]:
    if history is None:
        return []
    held = []
    for verdict in judge_all({"load": history}, CLAIMS):
        figure = {Outcome.PASS: 0.0, Outcome.FAIL: 1.0}.get(verdict.outcome, math.nan)
        name = f"claim.{verdict.claim}"
        held.append(Held(name, verdict.outcome, figure, 0.0, "failures", verdict.reason, required=False))
    return held
