"""Special observations of a world, recorded as ``state / probe`` (shapes: docs/HISTORY.md)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from hardening.faults.targets import EventLoop
from hardening.history.events import Event
from hardening.history.workload import Operation
from hardening.worlds.live.targets import OWN_REQUESTS
from hardening.worlds.shared.leaky_library import HOSTILE_MARK

if TYPE_CHECKING:
    from hardening.worlds.stage import Stage


async def probe_ready(world: Stage) -> dict[str, Any]:
    """Ask ``/ready`` as the operator and record what it says."""
    answer = await world.client.send(Operation(0, "ready", "GET", "/ready", "operator", "critical"))
    data: dict[str, Any] = {}
    if answer is not None:
        try:
            parsed = json.loads(answer[2])
            data = parsed if isinstance(parsed, dict) else {}
        except ValueError:
            data = {}
    value = {"probe": "ready", "status": answer[0] if answer else 0, **data}
    value.setdefault("ready", False)
    world.recorder.add(world.now(), "harness", "state", "probe", value)
    return value


async def probe_outbox(world: Stage) -> int:
    """Ask ``/admin/state`` how many alerts wait and how many are dead; returns how many wait, 0 without an answer."""
    answer = await world.client.send(Operation(0, "admin", "GET", "/admin/state", "operator", "critical"))
    if answer is None or answer[0] != 200:
        return 0
    outbox = json.loads(answer[2]).get("outbox", {})
    depth = int(outbox["undelivered"])
    value = {"probe": "outbox", "depth": depth, "dead": int(outbox["dead"])}
    world.recorder.add(world.now(), "harness", "state", "probe", value)
    return depth


IDLE_S_MAX = 6.0
"""Longer than any call may take: what holds a slot for as long as that while nothing is asked has lost it."""


async def probe_idle(world: Stage, when: str) -> None:
    """Record how many slots of the HTTP pools are in use while nothing is asked: the fewest that are seen."""
    found = await world.slots_in_use()
    end_s = world.now() + IDLE_S_MAX
    # The service asks for itself now and then: it delivers alerts, and looks after those who were ill.
    while found and world.now() < end_s:
        await asyncio.sleep(LAG_EVERY_S)
        now = await world.slots_in_use()
        found = now if now is None else min(found, now)
    if found is not None:
        value = {"probe": "idle", "when": when, "pool_slots_in_use": found}
        world.recorder.add(world.now(), "harness", "state", "probe", value)


METRIC_TOTALS = {
    "level_changes": "signal_level_changes_total",
    "sheds": "signal_shed_total",
    "breaker_changes": "signal_breaker_changes_total",
}


async def probe_metrics(world: Stage) -> dict[str, Any]:
    """Scrape ``/metrics`` as the operator; record the totals that the judge compares, and every series."""
    answer = await world.client.send(Operation(0, "metrics", "GET", "/metrics", "operator", "critical"))
    if answer is None or answer[0] != 200:
        return {}
    series: dict[str, float] = {}
    totals: dict[str, Any] = dict.fromkeys(METRIC_TOTALS, 0.0)
    rejected: dict[str, float] = {}
    text = answer[2].decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            if not sample.name.endswith("_bucket"):
                series[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
            for total, name in METRIC_TOTALS.items():
                totals[total] += sample.value if sample.name == name else 0.0
            if sample.name == "signal_rejected_total":
                reason = sample.labels["reason"]
                rejected[reason] = rejected.get(reason, 0.0) + sample.value
    value = {"probe": "metrics", "counters": {**totals, "rejected": rejected}, "series": series}
    world.recorder.add(world.now(), "harness", "state", "probe", value)
    world.recorder.add(world.now(), "service", "log", "line", {"surface": "metrics", "text": text})
    return value


LAG_EVERY_S = 0.02

ABUSIVE_KINDS = {
    "slow_head": "slow_head",
    "slow_body": "slow_body",
    "connection_flood": "flood",
    "descriptors_exhausted": "descriptors",
}
"""Faults that are abusive clients, and their names in the ``rude_clients`` probe."""


def probe_abusive_clients(world: Stage, kind: str, counts: Mapping[str, float], since_s: float) -> None:
    """Record what abusive clients got (the fault's effect) and what other clients got meanwhile (the record so far)."""
    now = world.now()
    recorded = world.recorder.history().events
    events = [event for event in recorded if since_s <= event.t <= now]
    known = {event.id for event in recorded if event.f == "request"}
    served = [e for e in events if (e.type, e.f) == ("ok", "request") and int(e.value["status"]) < 400]
    # Descriptors run out without any client; what others do until the workload's end is not its doing.
    permits = [e for e in events if e.f == "permit_taken" and kind != "descriptors_exhausted"]
    strangers = [e for e in permits if e.id not in known and not e.id.startswith(OWN_REQUESTS)]
    accepted = [int(e.value.get("connections", 0)) for e in events if e.f == "sample"]
    value = {
        "probe": "rude_clients",
        "kind": ABUSIVE_KINDS[kind],
        "connections": int(counts.get("connections_opened", 0)),
        "cut": int(counts.get("connections_cut", 0)),
        "longest_s": round(counts.get("longest_lived_ms", 0) / 1000, 3),
        "held_s": round(now - since_s, 3),
        "served": len(served),
        "permits": len(strangers),
        "accepted_max": max(accepted, default=0),
    }
    world.recorder.add(now, "harness", "state", "probe", value)


@dataclass(slots=True)
class Lateness:
    """What looking at the loop again and again came to, in ms.

    Attributes:
        lag_ms: the longest lag.
        computed_ms: the longest that the process computed while one look went on. A loop that is late because of
            its own process has that process compute; one on a busy machine waits.
    """

    lag_ms: float = 0.0
    computed_ms: float = 0.0


async def watch_lag(world: Stage, worst: Lateness) -> None:
    """Ask the loop again and again how late it is, until cancelled; the largest answers stand in ``worst``."""
    loop = world.target("event_loop", "service")
    assert isinstance(loop, EventLoop)
    while True:
        began_s, computed_s = world.now(), world.service.computed_s()
        worst.lag_ms = max(worst.lag_ms, await loop.lag_ms())
        # From the other side: a thread in the process sees nothing of a stall that stops all its threads.
        await asyncio.sleep(LAG_EVERY_S)
        took_s = min(world.now() - began_s, world.service.computed_s() - computed_s)
        worst.computed_ms = max(worst.computed_ms, took_s * 1000)


def hostile_lines(world: Stage) -> list[Event]:
    """The hostile lines that came out of the log so far."""
    lines = world.recorder.history().select("log", "line")
    return [event for event in lines if HOSTILE_MARK in str(event.value["text"])[:400]]


def probe_hostile_lines(world: Stage, size_bytes: int, worst: Lateness) -> None:
    """The loop's largest lag while hostile lines went out, if any did."""
    lines = hostile_lines(world)
    if lines:
        value = {"probe": "hostile_line", "bytes": size_bytes, "lag_ms": round(worst.lag_ms, 1), "lines": len(lines)}
        value["computed_ms"] = round(worst.computed_ms, 1)
        value["lasted_s"] = round(world.now() - lines[0].t, 3)
        world.recorder.add(world.now(), "harness", "state", "probe", value)


AUDIT_FIELDS = ("time", "action", "actor", "outcome", "request_id")
AUDIT_KINDS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "authentication": lambda record: record["action"] == "authentication",
    "authorisation": lambda record: record["action"] == "authorisation",
    "rate": lambda record: record["action"] == "rate",
    "reload_refused": lambda record: record["action"] == "reload" and record["outcome"] == "refused",
    "breaker_open": lambda record: record["action"] == "breaker" and record["outcome"] == "open",
    "level": lambda record: record["action"] == "level",
}
"""Which audit record is which kind of security event; the names are the service's."""


def probe_after_end(world: Stage) -> None:
    """What can be seen once the service has ended: its audit log, whether its chain holds, and forgeries found."""
    path = world.audit_path
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    records: list[dict[str, Any]] = []
    for line in lines:
        world.recorder.add(world.now(), "service", "log", "line", {"surface": "audit", "text": line})
        with contextlib.suppress(ValueError):
            records.append(json.loads(line))
    problems = _audit_problems(world, path)
    value = {
        "probe": "audit_chain",
        "intact": not problems,
        "records": len(lines),
        "counts": {kind: sum(map(test, records)) for kind, test in AUDIT_KINDS.items()},
        "incomplete": sum(any(name not in record for name in AUDIT_FIELDS) for record in records),
        "problems": problems[:5],
    }
    world.recorder.add(world.now(), "harness", "state", "probe", value)
    if len(lines) >= 3:
        _probe_forgeries(world, path, lines)


def _probe_forgeries(world: Stage, path: Path, lines: list[str]) -> None:
    """Alter and remove a record in copies of the audit log: the service's own verifier has to notice."""
    middle = len(lines) // 2
    altered = [*lines[:middle], lines[middle].replace("refused", "allowed", 1).replace("none", "nine", 1)]
    if altered[-1] == lines[middle]:
        altered[-1] = lines[middle].replace('"actor":"', '"actor":"x', 1)
    copies = {"altered": [*altered, *lines[middle + 1 :]], "removed": [*lines[:middle], *lines[middle + 1 :]]}
    for how, changed in copies.items():
        copy = path.with_name(f"{how}-{path.name}")
        # The head beside the log anchors its tail; it is copied as it is.
        for beside in path.parent.glob(f"{path.name}.*"):
            shutil.copy(beside, beside.with_name(f"{how}-{beside.name}"))
        copy.write_text("\n".join(changed) + "\n", encoding="utf-8")
        found = bool(_audit_problems(world, copy))
        value = {"probe": "forged", "how": how, "found": found}
        world.recorder.add(world.now(), "harness", "state", "probe", value)


def _audit_problems(world: Stage, path: Path) -> list[str]:
    from signal_service.security.audit_chain import verify_audit  # noqa: PLC0415 - the service's own verifier, only here

    # A SIGKILL may cut the last line short; the verifier says so and calls it harmless.
    return [str(p) for p in verify_audit(path, world.secrets.audit_key) if not p.harmless]
