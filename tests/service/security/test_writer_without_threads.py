"""The log writer where there are no threads: a scheduler is given, and nothing is written but when it says so."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from io import BytesIO

from signal_service.security.redaction import Redactor
from signal_service.security.writer import LineWriter


def writer(capacity: int = 100) -> tuple[LineWriter, BytesIO, list[Callable[[], None]]]:
    sink, due = BytesIO(), list[Callable[[], None]]()
    return LineWriter(sink, Redactor(), capacity, 10_000, due.append), sink, due


def messages(sink: BytesIO) -> list[str]:
    return [json.loads(line)["message"] for line in sink.getvalue().decode().splitlines()]


def test_the_first_record_asks_for_one_pump_and_the_pump_writes_all_in_order():
    before = threading.active_count()
    log, sink, due = writer()
    for number in range(5):
        assert log.put({"message": str(number)})
    assert len(due) == 1
    assert sink.getvalue() == b""
    due.pop()()
    assert messages(sink) == ["0", "1", "2", "3", "4"]
    log.put({"message": "5"})
    assert len(due) == 1
    assert threading.active_count() == before


def test_a_pump_that_never_comes_fills_the_queue_and_what_is_lost_is_said():
    log, sink, due = writer(capacity=3)
    assert [log.put({"message": str(number)}) for number in range(5)] == [True, True, True, False, False]
    due.pop()()
    assert messages(sink) == ["2 log records were dropped", "0", "1", "2"]


def test_closing_writes_what_waits_at_once():
    log, sink, _ = writer()
    log.put({"message": "last"})
    assert log.close(0.0)
    assert messages(sink) == ["last"]
    assert log.put({"message": "too late"}) is False
