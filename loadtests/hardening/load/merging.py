"""Merges the raw files of a run into one history, which any judge can read.

In comes the directory, out comes a ``History`` (seconds since the world began); errors name the file. ``world.jsonl``
is what the live world recorded when it booted the service for the run; without it (somebody's own service) the history
holds what clients and ``/metrics`` said.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from hardening.history.events import Event, Header, History, digest_of, read
from hardening.load.exposition import total
from hardening.load.plan import Plan
from hardening.load.raw_rows import RecordError, check_clock, check_unique, number, read_rows
from hardening.load.recording import FIELDS

ROUND_TRIP_S_MAX = 0.2
"""A scrape that took longer may have been taken at any moment of it: its counters are not set beside events."""
TOTALS = {
    "level_changes": "signal_level_changes_total",
    "sheds": "signal_shed_total",
    "breaker_changes": "signal_breaker_changes_total",
}


class MergeError(ValueError):
    """A directory that holds no load run; the message says what is missing."""


def merge(directory: Path) -> History:
    """The history of a run, its plan in ``header.extra["load"]``.

    Raises:
        MergeError: when the directory holds no run.
        RecordError, HistoryError: when a file of it is damaged.
    """
    plan, began = _began(directory)
    world = directory / "world.jsonl"
    base = read(world) if world.exists() else None
    epoch_s = _epoch_s(base) if base is not None else began["began_s"]
    events: list[Event] = list(base.events) if base is not None else []
    files = {path.name: read_rows(path) for path in sorted(directory.glob("requests-*.jsonl"))}
    if not files:
        raise MergeError(f"{directory} holds no load run: there are no requests-*.jsonl")
    check_unique({name: rows for name, (_, rows) in files.items()})
    for clock, rows in files.values():
        shift_s = _shift_s(clock, began["clock"]) - epoch_s
        for row in rows:
            events += _request(row, shift_s)
    for path in sorted(directory.glob("observed*.jsonl")):
        clock, records = read_rows(path)
        events += _observed(records, _shift_s(clock, began["clock"]) - epoch_s, beside_events=base is not None)
    extra = {"plan": plan.to_json(), "began_s": began["began_s"] - epoch_s}
    return History(_header(base, plan, extra, began), events)


def _began(directory: Path) -> tuple[Plan, dict[str, Any]]:
    """The plan, and when and on which clock the run began."""
    file = directory / "plan.json"
    if not file.exists():
        raise MergeError(f"{directory} holds no load run: there is no plan.json")
    try:
        began = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(began, dict):
            raise RecordError("it is no object")
        check_clock(began.get("clock"))
        return Plan.from_json(began.get("plan")), {**began, "began_s": number(began, "began_s")}
    except (ValueError, TypeError, RecursionError) as error:
        raise MergeError(f"plan.json: {error}") from None


def _epoch_s(world: History) -> float:
    try:
        return number(world.header.extra, "epoch_s")
    except RecordError as error:
        raise MergeError(f"world.jsonl: header.extra.{error}") from None


def _shift_s(clock: Mapping[str, Any], reference: Mapping[str, Any]) -> float:
    """What to add to a writer's monotonic times to have them on the reference's monotonic clock."""
    if clock["boot_id"] == reference["boot_id"]:
        return 0.0
    return float((clock["wall_s"] - clock["mono_s"]) - (reference["wall_s"] - reference["mono_s"]))


def _header(base: History | None, plan: Plan, extra: Mapping[str, Any], began: Mapping[str, Any]) -> Header:
    if base is not None:
        old = base.header
        more = {**old.extra, "load": dict(extra)}
        return Header(**{name: getattr(old, name) for name in old.__dataclass_fields__ if name != "extra"}, extra=more)
    versions = {"python": platform.python_version(), "locust": metadata.version("locust")}
    started_at = datetime.fromtimestamp(float(began["clock"]["wall_s"]), UTC).isoformat(timespec="seconds")
    return Header(
        *("live", {}, digest_of({}), plan.seed, "unknown", (), versions, started_at),
        scenario=f"load-{plan.shape}",
        extra={"load": dict(extra)},
    )


def _request(row: list[Any], shift_s: float) -> Iterable[Event]:
    """A raw row as the two events of a request; ``t`` is when it really started, ``intended_t`` when it should have."""
    one = dict(zip(FIELDS, row, strict=True))
    value = dict(one["value"])
    user = one["user"] or value.get("answered_user", "")
    asked = {
        **{name: one[name] for name in ("method", "path", "operation", "priority", "persona")},
        "user": user,
        "critical": one["priority"] == "critical",
        "key": one["sends"],
        "intended_t": one["intended_s"] + shift_s,
    }
    for name in ("idempotency_key", "body_digest"):
        if name in value:
            asked[name] = value.pop(name)
    latency_s = one["end_s"] - one["begin_s"]
    end = {"latency_s": latency_s, "intended_latency_s": one["end_s"] - one["intended_s"]}
    end |= {"status": one["status"], **value} if one["kind"] == "ok" else {"error": one["error"]}
    yield Event(one["begin_s"] + shift_s, "client", "invoke", "request", asked, one["id"])
    yield Event(one["end_s"] + shift_s, "client", one["kind"], "request", end, one["id"])


def _observed(records: Iterable[Mapping[str, Any]], shift_s: float, *, beside_events: bool) -> Iterable[Event]:
    """An early end, when a generator was late itself, and scrapes; beside the service's own events with counters."""
    for one in records:
        if one["type"] in {"aborted", "stopped"}:
            value = {"probe": one["type"], "why": one["why"]}
            yield Event(one["t_s"] + shift_s, "harness", "state", "probe", value)
            continue
        if one["type"] == "lag":
            spans = [[begin + shift_s, end + shift_s] for begin, end in one["spans"]]
            value = {"probe": "generator_lag", "worker": one["worker"], "spans": spans}
            yield Event(spans[-1][1], "harness", "state", "probe", value)
            continue
        series = one["series"]
        value = {"probe": "metrics", "series": series, "round_trip_s": one["end_s"] - one["begin_s"]}
        if beside_events and one["end_s"] - one["begin_s"] <= ROUND_TRIP_S_MAX:
            value["counters"] = _counters(series)
        yield Event(one["end_s"] + shift_s, "harness", "state", "probe", value)


def _counters(series: dict[str, float]) -> dict[str, Any]:
    """The totals that the judge of C2.6 sets beside the events."""
    rejected: dict[str, float] = {}
    for name, value in series.items():
        if name.startswith("signal_rejected_total{"):
            reason = name.partition("reason=")[2].rstrip("}").split(",")[0]
            rejected[reason] = rejected.get(reason, 0.0) + value
    totals = {own: total(series, family) or 0.0 for own, family in TOTALS.items()}
    return {**totals, "rejected": rejected}
