"""Everything the process says goes one way: redacted, in order, off the loop, and never waited for."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog

from signal_service.context import RequestContext, current_request
from signal_service.security.logging import DETAIL_EVENTS, SecureLogging, configure_secure_logging

OWN = "srv-Tk9f31c07a55e84b2d90"


class Log:
    """A configured log and what it wrote."""

    def __init__(self, **options: Any) -> None:
        self.sink = io.BytesIO()
        self.handle: SecureLogging = configure_secure_logging(self.sink, secrets=[OWN], **options)

    def lines(self) -> list[dict[str, Any]]:
        self.handle.close()
        return [json.loads(line) for line in self.text().splitlines()]

    def text(self) -> str:
        return self.sink.getvalue().decode()


@pytest.fixture
def log() -> Iterator[Log]:
    one = Log(levels={})
    yield one
    one.handle.close()


def test_an_event_is_one_line_with_the_moment_of_its_emission() -> None:
    moments = iter([12.25, 13.5])
    log = Log(monotonic=lambda: next(moments), wall=lambda: 1763900000.5)
    log.handle.emit("client", name="ticker", event="built")
    log.handle.emit("level", id="r1", old="none", new="light", utilisation=0.7)
    assert log.lines() == [
        {"event": "client", "mono_s": 12.25, "ts": "2025-11-23T12:13:20.500000+00:00", "id": ""}
        | {"fields": {"name": "ticker", "event": "built"}},
        {"event": "level", "mono_s": 13.5, "ts": "2025-11-23T12:13:20.500000+00:00", "id": "r1"}
        | {"fields": {"old": "none", "new": "light", "utilisation": 0.7}},
    ]


def test_an_event_takes_the_id_of_the_current_request(log: Log) -> None:
    token = current_request.set(RequestContext("req-9", 5.0))
    log.handle.emit("request_done", status=200, duration_s=0.1)
    logging.getLogger("x").warning("in a request")
    current_request.reset(token)
    assert [line["id"] for line in log.lines()] == ["req-9", "req-9"]


def test_order_is_kept_over_all_ways_in(log: Log) -> None:
    for number in range(300):
        log.handle.emit("settings", generation=number, digest="d")
        logging.getLogger("x").info("%d", number)
        structlog.get_logger().info(str(number))
    order = [int(line["fields"]["generation"] if "event" in line else line["message"]) for line in log.lines()]
    assert order == [number for number in range(300) for _ in range(3)]


def test_events_of_every_request_are_written_at_detail_all_only() -> None:
    log = Log()
    for detail in ("summary", "all", "summary"):
        log.handle.set_detail(detail)
        for event in (*sorted(DETAIL_EVENTS), "level"):
            log.handle.emit(event, detail=detail)
    written = [(line["event"], line["fields"]["detail"]) for line in log.lines()]
    assert written == [
        ("level", "summary"),
        *((event, "all") for event in sorted(DETAIL_EVENTS)),
        ("level", "all"),
        ("level", "summary"),
    ]


def raise_chain() -> None:
    hidden_local = "local-Hunter2"
    try:
        raise ConnectionError("cannot reach redis://:Hunter2@cache.local:6379/0")
    except ConnectionError as error:
        raise RuntimeError(f"token={hidden_local[6:]}abc password='Hunter2'") from error


def logged(log_exception: Callable[..., Any], **fields: Any) -> None:
    try:
        raise_chain()
    except RuntimeError:
        log_exception("failed", **fields)


def crash() -> None:
    try:
        raise_chain()
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)


def crash_of_a_thread() -> None:
    thread = threading.Thread(target=raise_chain)
    thread.start()
    thread.join()


APP = logging.getLogger("app")
BAD_FORMAT = "%d %d password=Hunter2"
NESTED = {"authorization": "Hunter2", "nested": {"list": [{"cookie": "Hunter2"}]}}
ACCESS = ("10.0.0.1:9", "GET", "/v2/x?api_key=Hunter2&e=Hunter2%40example.com", "1.1", 200)

WAYS: dict[str, Callable[[], Any]] = {
    "message": lambda: APP.error("password=Hunter2!"),
    "arguments": lambda: APP.warning("login %s from %s", "api_key=Hunter2", {"password": "Hunter2"}),
    "mapping argument": lambda: APP.warning("login %(password)r", {"password": "password=Hunter2"}),
    "extra": lambda: APP.info("hello", extra=NESTED),
    "bad format": lambda: APP.info(BAD_FORMAT, "password=Hunter2"),
    "exception": lambda: logged(APP.exception),
    "stack": lambda: APP.info("password=Hunter2", stack_info=True),
    "structlog": lambda: structlog.get_logger().info("hello", password="Hunter2", url="https://u:Hunter2@h/x"),
    "structlog exception": lambda: logged(structlog.get_logger().exception, token="Hunter2"),
    "warning": lambda: warnings.warn("deprecated: password=Hunter2", stacklevel=1),
    "uvicorn access": lambda: logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', *ACCESS),
    "uvicorn error": lambda: logging.getLogger("uvicorn.error").error("in ASGI application: Bearer Hunter2abc"),
    "asyncio": lambda: logging.getLogger("asyncio").error("Task exception: password=Hunter2"),
    "crash": crash,
    "crash of a thread": crash_of_a_thread,
}
"""Each lets out Hunter2."""


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_leaves_by_no_way(way: str, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(levels={})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        WAYS[way]()
    lines = log.lines()
    assert lines
    assert "Hunter2" not in log.text()
    assert "Hunter2" not in "".join(capfd.readouterr())
    if "exception" in way or "crash" in way:
        assert "raise_chain" in log.text()
        assert "ConnectionError" in log.text()


def test_a_secret_in_an_event_does_not_leave(log: Log) -> None:
    log.handle.emit(
        "reload", outcome="refused", actor="sighup", error="redis://:Hunter2@h:1/0 refused", password={"a": 1}
    )
    log.handle.emit("startup", phase="failed", pieces=[OWN[:7], OWN[7:14]], rest=OWN[14:])
    first, second = log.lines()
    assert first["fields"]["error"] == "redis://[redacted] refused"
    assert first["fields"]["password"] == "[redacted]"
    assert second["fields"] == {"phase": "failed", "pieces": ["[redacted]", "[redacted]"], "rest": "[redacted]"}


def test_an_own_secret_split_over_arguments_does_not_leave(log: Log) -> None:
    logging.getLogger("x").info("%s, then %s and %s", OWN[:7], OWN[7:15], OWN[15:])
    assert log.lines()[0]["message"] == "[redacted], then [redacted] and [redacted]"


def test_a_secret_learnt_later_is_redacted_from_then_on(log: Log) -> None:
    log.handle.add_secrets("learnt-later-4711")
    log.handle.emit("startup", phase="up", note="learnt-later-4711")
    assert log.lines()[0]["fields"]["note"] == "[redacted]"


def test_httpx_logs_its_requests_redacted(log: Log) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.get("http://h.local/x?token=Hunter2abc&limit=5")
    assert [line["logger"] for line in log.lines()] == ["httpx"]
    assert "limit=5" in log.text()
    assert "Hunter2" not in log.text()


def test_what_is_no_json_is_shown_as_text(log: Log) -> None:
    logging.getLogger("x").info("odd", extra={"path": os, "bytes": b"password=Hunter2"})
    log.handle.emit(
        "startup", phase="up", error=ValueError("password=Hunter2"), odd={1, 2}, lone="\udcff", nan=float("nan")
    )
    assert [line.get("message", line.get("event")) for line in log.lines()] == ["odd", "startup"]
    assert "Hunter2" not in log.text()


def test_a_record_that_cannot_be_shown_does_not_take_others_with_it(log: Log) -> None:
    circular: dict[str, Any] = {}
    circular["itself"] = circular
    for number, odd in enumerate([None, circular, {("a", "tuple"): 1}, 3]):
        log.handle.emit("settings", generation=number, digest=odd)
    lines = log.lines()
    assert [line["fields"]["generation"] if "fields" in line else line["unprintable"] for line in lines] == [
        *(0, "ValueError", "TypeError", 3),
    ]


def test_candles_pass_an_event_unchanged(log: Log) -> None:
    candles = [
        [1763900000, 64123.5, 64200.25, 64000.1, 64150.0, 12.5],
        [1763900060, 0.1, 1e-9, 4.2e16, 1, 4503599627370496],
    ]
    log.handle.emit("cache", key="k", event="hit")
    log.handle.set_detail("all")
    log.handle.emit("cache", key="signal:cache:BTCUSDT:1m", event="hit", candles=candles)
    assert log.lines()[0]["fields"] == {"key": "signal:cache:BTCUSDT:1m", "event": "hit", "candles": candles}


def test_closing_puts_the_logging_of_the_process_back() -> None:
    root, access = logging.getLogger(), logging.getLogger("uvicorn.access")
    mine = logging.NullHandler()
    access.addHandler(mine)
    handlers = access.handlers[:]
    before = (root.handlers[:], root.level, access.propagate, sys.excepthook, threading.excepthook, sys.unraisablehook)
    log = Log()
    assert access.handlers == []
    log.handle.close()
    assert before == (
        *(root.handlers[:], root.level, access.propagate, sys.excepthook, threading.excepthook, sys.unraisablehook),
    )
    assert access.handlers == handlers
    access.removeHandler(mine)
    assert "log-writer" not in {thread.name for thread in threading.enumerate()}


def test_a_log_closed_twice_or_used_after_is_no_error() -> None:
    log = Log()
    log.handle.close()
    log.handle.close()
    log.handle.emit("level", old="none", new="light", utilisation=1)
    assert log.handle.dropped == 1


def drain(descriptor: int, until: threading.Event) -> bytes:
    data = b""
    os.set_blocking(descriptor, False)
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except BlockingIOError:
            if until.is_set():
                return data
            time.sleep(0.002)
            continue
        if not piece:
            return data
        data += piece


@pytest.mark.live
def test_a_consumer_that_reads_nothing_holds_nobody_up_and_hears_later_what_it_missed() -> None:
    reader, writer = os.pipe()
    handle = configure_secure_logging(writer, capacity=500)

    async def flood() -> float:
        longest = 0.0
        for number in range(5000):
            before = time.monotonic()
            handle.emit("settings", generation=number, digest="d" * 64)
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)
        return longest

    try:
        assert asyncio.run(flood()) < 0.25
        lost = handle.dropped
        assert lost > 3000
        done = threading.Event()
        heard: list[bytes] = []
        thread = threading.Thread(target=lambda: heard.append(drain(reader, done)))
        thread.start()
        assert handle.close(5.0)
        done.set()
        thread.join()
    finally:
        os.close(writer)
        os.close(reader)
    lines = [json.loads(line) for line in heard[0].decode().splitlines()]
    told = [line["dropped"] for line in lines if "dropped" in line]
    events = [line["fields"]["generation"] for line in lines if "event" in line]
    assert sum(told) == lost
    assert len(events) == 5000 - lost
    assert events == sorted(events)


@pytest.mark.live
def test_closing_gives_up_on_a_consumer_that_never_reads() -> None:
    reader, writer = os.pipe()
    handle = configure_secure_logging(writer)
    for number in range(3000):
        handle.emit("settings", generation=number, digest="d" * 64)
    before = time.monotonic()
    assert not handle.close(0.2)
    assert time.monotonic() - before < 2.0
    assert "log-writer" not in {thread.name for thread in threading.enumerate()}
    os.close(writer)
    os.close(reader)


def test_a_closed_pipe_is_survived_and_counted() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    handle = configure_secure_logging(writer)
    for number in range(10):
        handle.emit("settings", generation=number, digest="d")
    handle.close()
    assert handle.dropped == 10
    os.close(writer)


class FullDisk(io.RawIOBase):
    def __init__(self) -> None:
        self.full = True
        self.data = b""

    def write(self, data: Any) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        self.data += bytes(data)
        return len(data)


def wait_until(true: Any) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.live
def test_a_full_disk_is_survived_counted_and_told_once_there_is_room() -> None:
    disk = FullDisk()
    handle = configure_secure_logging(disk)  # type: ignore[arg-type]
    handle.emit("settings", generation=1, digest="d")
    wait_until(lambda: handle.dropped == 1)
    disk.full = False
    handle.emit("settings", generation=2, digest="d")
    handle.close()
    notice, line = (json.loads(line) for line in disk.data.decode().splitlines())
    assert notice["dropped"] == 1
    assert line["fields"]["generation"] == 2


def test_long_texts_that_wait_are_bounded() -> None:
    release = threading.Event()

    class Slow(io.BytesIO):
        def write(self, data: Any) -> int:
            release.wait(10)
            return super().write(data)

    handle = configure_secure_logging(Slow(), capacity_chars=3_000_000)
    for _ in range(10):
        logging.getLogger("x").warning("z" * 2_000_000)
    assert handle.dropped >= 7
    release.set()
    handle.close(5)
