"""HTTP/1.x requests are answered with an error in the server's place; those that do not match pass as they came.

``stream`` has no meaning here: requests always travel upstream. ``HttpRequests`` finds where requests begin and end; it
never raises, and a stream that it cannot read is ``broken`` and passes unchanged from then on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import HEAD_BYTES_MAX, Attribute, AttributeRefusedError, End, ExchangeToxic, Tally, Timed

_CRLF = b"\r\n"
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) (\S{1,8192}) HTTP/1\.[01]\Z")
_MAYBE_METHOD = re.compile(rb"[A-Z]{1,20}( |\Z)")


def _searcher(pattern: str) -> Any:
    """The pattern of RE2, which takes linear time on any target; None for an empty one, which matches all.

    Raises:
        AttributeRefusedError: for what RE2 does not take: bad syntax, references back, looking around.
    """
    if not pattern:
        return None
    import re2  # noqa: PLC0415 - the simulator runs toxics without it

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise AttributeRefusedError("path", pattern, f"a regular expression of RE2 ({said})") from error


class HttpError(ExchangeToxic):
    """Answers matching HTTP/1.x requests with ``status``, ``headers`` and ``body``.

    ``path`` is a regular expression of RE2 searched in the request's target, ``method`` a name; empty ones match all.
    The connection stays open. A client that pipelines gets the injected answer before those still under way.
    """

    type: ClassVar[str] = "http_error"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {
        "status": Attribute(int, 503, low=200, high=599),
        "headers": Attribute(dict, {}),
        "body": Attribute(str, ""),
        "path": Attribute(str, ""),
        "method": Attribute(str, ""),
        "times": Attribute(int, low=0),
    }

    __slots__ = ("_pattern", "_requests", "_swallowing")

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        super().__init__(attributes, rng, tally, memory)
        self._requests = HttpRequests()
        self._swallowing = False
        self._pattern = _searcher(attributes["path"])

    @classmethod
    def check(cls, attributes: Mapping[str, Any]) -> None:
        """The pattern must compile, and nothing may break out of its header line."""
        _searcher(attributes["path"])
        for name, value in attributes["headers"].items():
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[\r\n\0]", value):
                raise AttributeRefusedError("headers", {name: value}, "header names and one-line values")

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """Heads decide; bodies follow their head."""
        result: list[Timed] = []
        for part in self._requests.feed(data):
            if isinstance(part, bytes):
                if not self._swallowing or self._requests.broken:
                    result.append(Timed(now, part))
                continue
            self._swallowing = self._matches(part) and self._may_act()
            if self._swallowing:
                result.append(Timed(now, self._answer(part), back=True))
            else:
                result.append(Timed(now, part.head))
        return result

    def close(self, end: End, now: float) -> list[Timed]:
        """An unfinished head still belongs to the server."""
        rest = self._requests.unread()
        return [Timed(now, rest), Timed(now, end)] if rest else [Timed(now, end)]

    def update(self, attributes: Mapping[str, Any], now: float) -> None:
        """The pattern may have changed."""
        super().update(attributes, now)
        self._pattern = _searcher(attributes["path"])

    def remove(self, now: float, *, is_spared: bool = False) -> list[Timed]:
        """Hand on what was kept of an unfinished head."""
        rest = self._requests.unread()
        return [Timed(now, rest)] if rest else []

    def _matches(self, request: Request) -> bool:
        method = self.attributes["method"]
        return (not method or method.upper() == request.method) and (
            self._pattern is None or bool(self._pattern.search(request.target))
        )

    def _answer(self, request: Request) -> bytes:
        status = self.attributes["status"]
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "Injected"
        body = self.attributes["body"].encode()
        headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
        headers.update({name.lower(): value for name, value in self.attributes["headers"].items()})
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1", "replace") + (b"" if request.method == "HEAD" else body)


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head: method, target (path and query), and its bytes as sent."""

    method: str
    target: str
    head: bytes


class HttpRequests:
    """Splits a client's stream into heads and the body bytes behind them."""

    __slots__ = ("_body_left", "_buffer", "_chunked", "broken")

    def __init__(self) -> None:
        self.broken = False
        self._buffer = b""
        self._body_left = 0
        self._chunked = False

    def feed(self, data: bytes) -> list[Request | bytes]:
        """Complete heads and body bytes, in order; an unfinished head is kept."""
        self._buffer += data
        found: list[Request | bytes] = []
        while self._buffer and not self.broken:
            part = self._body() if self._body_left or self._chunked else self._head()
            if part is None:
                break
            found.append(part)
        if self.broken and self._buffer:
            found.append(self._buffer)
            self._buffer = b""
        return found

    def unread(self) -> bytes:
        """Give up what is kept of an unfinished head (the stream ended)."""
        rest, self._buffer = self._buffer, b""
        return rest

    def _head(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            self.broken = len(self._buffer) > HEAD_BYTES_MAX or not _MAYBE_METHOD.match(self._buffer)
            return None
        lines = self._buffer[:end].split(_CRLF)
        matched = _REQUEST_LINE.match(lines[0])
        if not matched:
            self.broken = True
            return None
        head, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            name, value = name.strip().lower(), value.strip()
            if name == b"content-length" and value.isdigit():
                self._body_left = int(value)
            elif name == b"transfer-encoding" and value.lower().endswith(b"chunked"):
                self._chunked = True
            elif name == b"upgrade":
                self.broken = True
        return Request(matched[1].decode("ascii"), matched[2].decode("latin-1"), head)

    def _body(self) -> bytes | None:
        if self._body_left:
            part, self._buffer = self._buffer[: self._body_left], self._buffer[self._body_left :]
            self._body_left -= len(part)
            return part
        end = self._buffer.find(_CRLF)
        if end < 0:
            return None
        size_text = self._buffer[:end].partition(b";")[0].strip()
        try:
            size = int(size_text, 16)
        except ValueError:
            self.broken = True
            return None
        if size:
            line, self._buffer = self._buffer[: end + 2], self._buffer[end + 2 :]
            self._body_left = size + 2
            return line
        trailers = self._buffer.find(b"\r\n\r\n", end)
        if trailers < 0:
            return None
        self._chunked = False
        last, self._buffer = self._buffer[: trailers + 4], self._buffer[trailers + 4 :]
        return last
