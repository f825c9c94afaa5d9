"""Where messages begin and end in a stream: HTTP/1.1 requests and RESP (Redis) values.

Toxics forward the very bytes they got; these scanners only find the seams. They are standard library only, since
the simulator runs them, and they never raise: a stream they cannot read is ``broken`` and is then left alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES_MAX = 65536
_CRLF = b"\r\n"
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) (\S{1,8192}) HTTP/1\.[01]\Z")
_MAYBE_METHOD = re.compile(rb"[A-Z]{1,20}( |\Z)")


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


class RespValues:
    """Finds the seams between complete RESP2 or RESP3 values, in commands and in replies alike.

    Memory stays small: bytes of a long bulk string are counted, not kept.
    """

    __slots__ = ("_line", "_open", "_skip", "broken", "is_push")

    def __init__(self) -> None:
        self.broken = False
        self.is_push = False  # the value last completed was an out-of-band push (RESP3 '>')
        self._line = b""
        self._open = 0  # values still missing until the top-level one is complete
        self._skip = 0  # bytes of a bulk string still to come, with its CRLF

    def is_broken(self) -> bool:
        """True when the stream cannot be read as RESP, or was given up by the caller."""
        return self.broken

    def next_seam(self, data: bytes, start: int) -> int:
        """The position in ``data`` behind the value that is completed next; -1 when it is not complete yet."""
        position = start
        while position < len(data) and not self.broken:
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
                position += step
                if not self._skip and not self._open:
                    return position
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._line += data[position:]
                self.broken = len(self._line) > HEAD_BYTES_MAX
                return -1
            line, self._line = self._line + data[position : end + 1], b""
            position = end + 1
            self._take(line)
            if not self._open and not self._skip and not self.broken:
                return position
        return -1

    def _take(self, line: bytes) -> None:
        """One header line: a simple value, a bulk string's length, or an aggregate's count."""
        if self._open:
            self._open -= 1
        else:
            self.is_push = line[:1] == b">"
        kind, text = line[:1], line[1:].strip()
        if kind in b"+-:_#,(" and kind:
            return
        if kind in b"$=!*%~>|" and kind and text.lstrip(b"-").isdigit():
            count = int(text)
            if kind in b"$=!":
                self._skip = count + 2 if count >= 0 else 0
            else:
                # A map holds two values for each entry; an attribute (|) precedes the value it belongs to.
                self._open += max(count, 0) * (2 if kind in b"%|" else 1) + (kind == b"|")
            return
        # Inline commands ("PING\r\n") are complete lines; anything else is not RESP.
        self.broken = self._open > 0 or not text.isascii() or not kind.isalpha()


def command_name(value: bytes) -> str:
    """The name of a complete command, in capitals; ``""`` when it has none."""
    if value[:1] != b"*":
        words = value.split(None, 1)
        return words[0].decode("latin-1").upper() if words else ""
    parts = value.split(_CRLF, 3)
    return parts[2].decode("latin-1").upper() if len(parts) > 2 else ""
