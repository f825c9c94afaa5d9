"""The history of a load run: what the world recorded, with what Locust's clients saw laid into it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from loadtests.records import Record, Recorded
from scenarios.judge.history import Event, EventType, History, read

WORLD_FILE = "world.jsonl"
LOAD_FILE = "load.jsonl"


_SAID = (("source", "source"), ("degraded", "degraded"), ("delivery_id", "alert_id"), ("problem", "type"))
"""Fields of an answer, by their name in the history and in the records."""


def load_history(folder: Path, run: Recorded) -> History | None:
    """World and clients as one history; None when the world was somebody else's."""
    path = folder / WORLD_FILE
    if not path.is_file():
        return None
    world = read(path)
    shift_s = run.zero_s - float(world.header.extra["epoch_mono_s"])
    events = list(world.events)
    for record in run.requests:
        events += _events(record, shift_s)
    return History(dataclasses.replace(world.header, scenario="load"), events)


def _events(record: Record, shift_s: float) -> list[Event]:
    value: dict[str, Any] = {
        "method": str(record.value.get("method", "GET")),
        "path": str(record.value.get("path", "/")),
        "operation": record.operation,
        "user": str(record.value.get("sent_key", "")),
        "priority": record.priority,
        "critical": record.priority == "critical",
        "key": record.key,
    }
    if "idempotency_key" in record.value:
        value["idempotency_key"] = record.value["idempotency_key"]
    began = Event(record.began_s + shift_s, "client", "invoke", "request", value, record.id)
    kind, said = _end(record)
    return [began, Event(record.ended_s + shift_s, "client", kind, "request", said, record.id)]


def _end(record: Record) -> tuple[EventType, dict[str, Any]]:
    latency_s = record.ended_s - record.began_s
    if not record.status:
        return "indeterminate", {"error": record.error or "no answer", "latency_s": latency_s}
    said: dict[str, Any] = {"status": record.status, "latency_s": latency_s}
    for there, here in _SAID:
        if here in record.value:
            said[there] = record.value[here]
    if "retry_after_s" in record.value or "retry_after" in record.value:
        said["retry_after_s"] = float(record.value.get("retry_after_s", record.value.get("retry_after", 0)))
    return "ok", said
