"""Reads the raw records of a run, and refuses those that no run can have written.

In comes a file of JSON lines as ``recording.Log`` writes it (times in seconds of the writer's monotonic clock); out
come the writer's clock and the records. Every field is checked, since a judge that counts impossible records would
say something of nothing: ``RecordError`` names file, line, field, value and what is allowed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hardening.load.recording import CLOCK, FIELDS

TEXTS = ("id", "persona", "operation", "method", "path", "key", "sends", "user", "priority", "error")
KINDS = ("ok", "fail", "indeterminate")
EARLY_S_MAX = 0.05
"""A timer may fire this much before its time."""


class RecordError(ValueError):
    """A raw record that cannot be; the message names file, line, field, value and what is allowed."""


def _refused(field: str, value: object, allowed: str) -> RecordError:
    return RecordError(f"{field} is {repr(value)[:80]}, allowed: {allowed}")


def read_rows(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """The clock and the records of a file; a last line that was cut short (a kill) is left out.

    Raises:
        RecordError: naming file and line.
    """
    records = list(_records(path))
    if not records or not isinstance(records[0][1], dict) or records[0][1].get("type") != CLOCK:
        raise RecordError(f"{path.name} line 1: the writer's clock is missing")
    for number, record in records:
        try:
            _check(record)
        except RecordError as error:
            raise RecordError(f"{path.name} line {number}: {error}") from None
    (_, clock), *rest = records
    return clock, [record for _, record in rest]


def check_unique(rows: Mapping[str, list[Any]]) -> None:
    """Each request is there once, in whatever file: by the name of its file, ``rows`` holds its requests.

    Raises:
        RecordError: naming the file and the request.
    """
    seen: set[str] = set()
    for name, found in rows.items():
        for row in found:
            if row[0] in seen:
                raise RecordError(f"{name}: id is {row[0]!r} a second time, allowed: each request once")
            seen.add(row[0])


def number(record: Mapping[str, Any], field: str, least: float = -math.inf) -> float:
    """A field that must be a finite number.

    Raises:
        RecordError: naming the field.
    """
    value = record.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        at_least = f" of at least {least:g}" if math.isfinite(least) else ""
        raise _refused(field, value, f"a finite number{at_least}")
    return float(value)


def check_clock(one: object) -> None:
    """A writer's clock has both its times and names its machine.

    Raises:
        RecordError: naming the field.
    """
    if not isinstance(one, dict) or not isinstance(one.get("boot_id"), str):
        raise _refused("clock", one, "an object with boot_id, mono_s, wall_s")
    number(one, "mono_s")
    number(one, "wall_s")


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise RecordError(f"{path.name}: not UTF-8 ({error.reason})") from None
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            yield number, json.loads(line)
        except RecursionError:
            raise RecordError(f"{path.name} line {number}: nested too deeply") from None
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise RecordError(f"{path.name} line {number}: not JSON ({error.msg})") from None


def _check(record: Any) -> None:
    if isinstance(record, list):
        if len(record) != len(FIELDS):
            raise _refused("the request", record, f"a list of {len(FIELDS)} fields")
        _check_request(dict(zip(FIELDS, record, strict=True)))
    elif isinstance(record, dict) and record.get("type") in _CHECKS:
        _CHECKS[record["type"]](record)
    else:
        raise _refused("the record", record, f"a request, or an object of type {', '.join(_CHECKS)}")


def _check_request(one: Mapping[str, Any]) -> None:
    for field in TEXTS:
        if not isinstance(one[field], str) or (field == "id" and not one[field]):
            raise _refused(field, one[field], "a text")
    if one["kind"] not in KINDS:
        raise _refused("kind", one["kind"], ", ".join(KINDS))
    begin_s = number(one, "begin_s", number(one, "intended_s") - EARLY_S_MAX)
    number(one, "end_s", begin_s)
    status, answered = one["status"], one["kind"] == "ok"
    if type(status) is not int or not (100 <= status <= 599 if answered else status == 0):
        raise _refused("status", status, "100 to 599 of an answer, 0 without one")
    if not isinstance(one["value"], dict):
        raise _refused("value", one["value"], "an object")
    for field in ("retry_after_s", "retry_after_header_s"):
        if one["value"].get(field) is not None:
            number(one["value"], field)


def _check_scrape(one: Mapping[str, Any]) -> None:
    number(one, "end_s", number(one, "begin_s"))
    series = one.get("series")
    if not isinstance(series, dict) or not all(type(value) in {int, float} for value in series.values()):
        raise _refused("series", series, "numbers by name")


def _check_end(one: Mapping[str, Any]) -> None:
    number(one, "t_s")
    if not isinstance(one.get("why"), str):
        raise _refused("why", one.get("why"), "a text")


def _check_lag(one: Mapping[str, Any]) -> None:
    number(one, "worker", 0)
    spans = one.get("spans")
    if not isinstance(spans, list) or not spans:
        raise _refused("spans", spans, "a list of [begin, end]")
    for span in spans:
        if not isinstance(span, list) or len(span) != 2:
            raise _refused("spans", span, "[begin, end]")
        begin, end = span
        number({"spans": end}, "spans", number({"spans": begin}, "spans"))


_CHECKS = {
    CLOCK: check_clock,
    "metrics": _check_scrape,
    "aborted": _check_end,
    "stopped": _check_end,
    "lag": _check_lag,
}
