"""One way out for everything the process says: structured events, stdlib and structlog records, warnings, crashes.

``configure_secure_logging`` is called before anything else, settings included: from the first line on nothing leaves
but through the redactor. Structured events are lines with an ``event``; ordinary records have ``message`` instead.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, BinaryIO, Literal

import structlog

from signal_service.context import current_request
from signal_service.security.redaction import Redactor
from signal_service.security.writer import TEXT_LENGTH_MAX, LineWriter

Detail = Literal["summary", "all"]

DETAIL_EVENTS = frozenset({"admitted", "permit_taken", "permit_returned", "call", "attempt", "cache", "loop_lag"})
"""Come several times a request; written only at detail ``all``."""

QUIET_LOGGERS = {"httpx": logging.WARNING, "httpcore": logging.WARNING, "asyncio": logging.INFO}
CHAINED_FRAMES_MAX = 40
_LONG_CHARS = 1024
_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx", "httpcore", "asyncio", "py.warnings", "fastapi")
_PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class SecureLogging:
    """What ``configure_secure_logging`` gives back: the way to emit events, and to close the log.

    Attributes:
        redactor: takes secrets out of every line; others may use it for what they write.
    """

    def __init__(
        self,
        writer: LineWriter,
        redactor: Redactor,
        detail: Detail,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.redactor = redactor
        self._writer = writer
        self._hidden = DETAIL_EVENTS if detail == "summary" else frozenset[str]()
        self._monotonic = monotonic
        self._wall = wall
        self._undo: list[Callable[[], None]] = []

    @property
    def dropped(self) -> int:
        """Records lost so far: to a full queue, a closed pipe, a full disk."""
        return self._writer.dropped

    def emit(self, event: str, /, *, id: str = "", **fields: Any) -> None:  # noqa: A002 - the format's own word
        """Emit one structured event; takes some microseconds and never waits. See ``seams.EmitEvent``."""
        if event in self._hidden:
            return
        if not id:
            request = current_request.get()
            if request is not None:
                id = request.request_id  # noqa: A001
        chars = 0
        for value in fields.values():
            if type(value) is str and len(value) > _LONG_CHARS:
                chars += len(value)
        record = {"event": event, "mono_s": round(self._monotonic(), 6), "ts": self._wall(), "id": id, "fields": fields}
        self._writer.put(record, chars)

    def set_detail(self, detail: Detail) -> None:
        """``summary`` leaves out the events that come several times a request, ``all`` writes them."""
        self._hidden = DETAIL_EVENTS if detail == "summary" else frozenset()

    def add_secrets(self, *secrets: str) -> None:
        """Redact these too, from the next line on."""
        self.redactor.add(*secrets)

    def record(self, level: str, logger: str, message: str, fields: Mapping[str, Any], trace: str = "") -> None:
        """Write one ordinary record; texts beyond a megabyte are cut."""
        request = current_request.get()
        line: dict[str, Any] = {"level": level, "logger": logger, "message": message[:TEXT_LENGTH_MAX]}
        line |= {"mono_s": round(self._monotonic(), 6), "ts": self._wall(), "id": request.request_id if request else ""}
        if fields:
            line["fields"] = fields
        if trace:
            line["trace"] = trace[:TEXT_LENGTH_MAX]
        self._writer.put(line, len(message) + len(trace))

    def close(self, timeout_s: float = 2.0) -> bool:
        """Write what waits, for at most ``timeout_s``, and put the process's logging back as it was.

        Returns:
            False when the consumer did not take everything in time.
        """
        while self._undo:
            self._undo.pop()()
        return self._writer.close(timeout_s)

    def undo_with(self, undo: Callable[[], None]) -> None:
        """Remember how to take one change back at ``close``."""
        self._undo.append(undo)


def configure_secure_logging(
    sink: int | BinaryIO = 1,
    *,
    secrets: Iterable[str] = (),
    detail: Detail = "summary",
    level: int = logging.INFO,
    levels: Mapping[str, int] = QUIET_LOGGERS,
    capacity: int = 10_000,
    capacity_chars: int = 16_000_000,
    monotonic: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
    schedule: Callable[[Callable[[], None]], object] | None = None,
) -> SecureLogging:
    """Send everything that the process logs through the redactor to ``sink``, as JSON lines, off the event loop.

    Root logger, structlog, uvicorn and its access log, httpx, asyncio, warnings, and uncaught exceptions of any
    thread. uvicorn must be told ``log_config=None``, or it takes its loggers back.

    Args:
        sink: file descriptor or binary stream; stdout by default.
        secrets: the service's own; more can be given later with ``add_secrets``.
        detail: which structured events are written.
        level: least level of ordinary records.
        levels: other levels for single loggers.
        capacity: records that may wait for the consumer; beyond it they are dropped and counted.
        capacity_chars: the same for the characters of long texts.
        monotonic: seconds; the time of an event.
        wall: seconds since the epoch.
        schedule: for worlds without threads; see ``LineWriter``.
    """
    redactor = Redactor(secrets)
    writer = LineWriter(sink, redactor, capacity, capacity_chars, schedule)
    handle = SecureLogging(writer, redactor, detail, monotonic, wall)
    _take_stdlib(handle, level, levels)
    _take_structlog(handle, level)
    _take_crashes(handle)
    return handle


class _Bridge(logging.Handler):
    """Hands stdlib records to the handle; formats here, on the caller's side, because arguments may change later."""

    def __init__(self, handle: SecureLogging) -> None:
        super().__init__()
        self._handle = handle

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: value for name, value in vars(record).items() if name not in _PLAIN_FIELDS}
        try:
            if isinstance(record.args, tuple) and len(record.args) > 1:
                record = _masked_args(self._handle.redactor, record)
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - logging must not raise, and stderr is not redacted
            message, fields["format_error"] = str(record.msg), type(error).__name__
        trace = traceback_text(record.exc_info[1]) if record.exc_info else record.exc_text or ""
        if record.stack_info:
            trace = f"{trace}\n{record.stack_info}".strip()
        self._handle.record(record.levelname.lower(), record.name, message, _plain(fields), trace)


def traceback_text(error: BaseException | None) -> str:
    """The traceback of an exception and of what it came from; without locals, they hold secrets."""
    return "" if error is None else "".join(traceback.format_exception(error, limit=-CHAINED_FRAMES_MAX))


def _masked_args(redactor: Redactor, record: logging.LogRecord) -> logging.LogRecord:
    """A copy whose arguments, read on end, spell no secret: once formatted, other text would stand between them."""
    args = record.args or ()
    masked = redactor.pieces([[arg for arg in args if isinstance(arg, str)]])[0]
    if not masked or masked == [arg for arg in args if isinstance(arg, str)]:
        return record
    pieces = iter(masked)
    copy = logging.makeLogRecord(vars(record))
    copy.args = tuple(next(pieces) if isinstance(arg, str) else arg for arg in args)
    return copy


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as they are now: a value that is no JSON is shown by its text before it can change."""
    kept = (str, int, float, bool, type(None), dict, list, tuple)
    return {name: value if isinstance(value, kept) else str(value) for name, value in fields.items()}


def _take_stdlib(handle: SecureLogging, level: int, levels: Mapping[str, int]) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    root.handlers[:] = [_Bridge(handle)]
    root.setLevel(level)

    def put_back() -> None:
        root.handlers[:], root.level = before[0], before[1]

    handle.undo_with(put_back)
    for name in _OWN_HANDLERS:
        _take_logger(handle, logging.getLogger(name), levels.get(name))
    logging.captureWarnings(True)
    handle.undo_with(lambda: logging.captureWarnings(False))


def _take_logger(handle: SecureLogging, logger: logging.Logger, level: int | None) -> None:
    before = (logger.handlers[:], logger.propagate, logger.level)

    def put_back() -> None:
        logger.handlers[:], logger.propagate, logger.level = before

    handle.undo_with(put_back)
    logger.handlers.clear()
    logger.propagate = True
    if level is not None:
        logger.setLevel(level)


def _take_structlog(handle: SecureLogging, level: int) -> None:
    def deliver(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        error = event.pop("exc_info", None)
        if error is True or (error is None and method == "exception"):
            error = sys.exc_info()[1]
        elif isinstance(error, tuple):
            error = error[1]
        trace = traceback_text(error) if isinstance(error, BaseException) else ""
        handle.record(method, "structlog", str(event.pop("event", "")), _plain(event), trace)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, deliver],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handle.undo_with(lambda: structlog.configure(**before))


def _take_crashes(handle: SecureLogging) -> None:
    before = (sys.excepthook, threading.excepthook, sys.unraisablehook)

    def put_back() -> None:
        sys.excepthook, threading.excepthook, sys.unraisablehook = before

    handle.undo_with(put_back)

    def crashed(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        handle.record("critical", "crash", f"uncaught {type(error).__name__}", {}, traceback_text(error))

    def thread_crashed(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "?"
        handle.record("critical", "crash", f"uncaught in thread {name}", {}, traceback_text(args.exc_value))

    def unraisable(args: Any) -> None:
        handle.record("error", "crash", "exception ignored", {}, traceback_text(args.exc_value))

    sys.excepthook, threading.excepthook, sys.unraisablehook = crashed, thread_crashed, unraisable
