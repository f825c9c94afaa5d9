"""Redis commands are answered with an error reply, in its place among pipelined replies; others pass as they came.

``stream`` has no meaning here: commands always travel upstream. ``RespValues`` finds where RESP2 and RESP3 values begin
and end; it never raises, and a stream that it cannot read is ``broken`` and passes unchanged from then on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import HEAD_BYTES_MAX, Attribute, AttributeRefusedError, End, ExchangeToxic, Tally, Timed

REDIS_ERRORS: Mapping[str, str] = {
    "LOADING": "LOADING the dataset is not in memory yet",
    "READONLY": "READONLY this replica takes no writes",
    "OOM": "OOM no command may use more memory now",
    "MOVED": "MOVED 0 127.0.0.1:6379",
    "ERR": "ERR injected",
    "BUSY": "BUSY a script is running",
    "MASTERDOWN": "MASTERDOWN the link with the master is down",
    "TRYAGAIN": "TRYAGAIN the slot is being moved",
    "CLUSTERDOWN": "CLUSTERDOWN the cluster is down",
    "NOAUTH": "NOAUTH log in first",
    "NOSCRIPT": "NOSCRIPT no such script",
}
# Behind these, replies no longer pair with commands.
_UNPAIRED = frozenset({"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "SYNC", "PSYNC"})


class RedisError(ExchangeToxic):
    """Answers matching Redis commands with an error reply, in its place among pipelined replies.

    ``error`` is a known code (``LOADING``, ``READONLY``, ``OOM``, ``MOVED`` ...) or a whole error line; ``commands``
    the names it answers (none: all). A connection that subscribes is left alone from then on.
    """

    type: ClassVar[str] = "redis_error"
    attributes_table: ClassVar[Mapping[str, Attribute]] = {
        "error": Attribute(str, "LOADING"),
        "commands": Attribute(list, []),
        "times": Attribute(int, low=0),
    }

    __slots__ = ("_commands", "_kept", "_replies", "_waiting", "_wanted")

    def __init__(self, attributes: Mapping[str, Any], rng: Random, tally: Tally, memory: Tally) -> None:
        super().__init__(attributes, rng, tally, memory)
        self._commands, self._replies = RespValues(), RespValues()
        self._kept = b""
        self._waiting: deque[bytes | None] = deque()  # None: the server's reply; bytes: ours
        self._wanted = frozenset(name.upper() for name in attributes["commands"])

    @classmethod
    def check(cls, attributes: Mapping[str, Any]) -> None:
        """An error reply is one line."""
        if not attributes["error"] or re.search(r"[\r\n]", attributes["error"]):
            raise AttributeRefusedError("error", attributes["error"], "one line, not empty")
        if not all(attributes["commands"]):
            raise AttributeRefusedError("commands", attributes["commands"], "names of commands")

    def feed(self, data: bytes, now: float) -> list[Timed]:
        """Complete commands decide; an unfinished one is kept."""
        if self._commands.is_broken():
            return [Timed(now, data)]
        result: list[Timed] = []
        start = 0
        while (seam := self._commands.next_seam(data, start)) >= 0:
            command, self._kept = self._kept + data[start:seam], b""
            start = seam
            result += self._decide(command, now)
            if self._commands.is_broken():
                break
        self._kept += data[start:]
        return result + (self.remove(now) if self._commands.is_broken() else [])

    def _decide(self, command: bytes, now: float) -> list[Timed]:
        name = command_name(command)
        if name in _UNPAIRED:
            self._commands.broken = True
        if not name or name in _UNPAIRED or (self._wanted and name not in self._wanted) or not self._may_act():
            if name:
                self._waiting.append(None)
            return [Timed(now, command)]
        text = self.attributes["error"]
        reply = f"-{REDIS_ERRORS.get(text, text)}\r\n".encode()
        if self._waiting:
            self._waiting.append(reply)
            return []
        return [Timed(now, reply, back=True)]

    def answer(self, data: bytes, now: float) -> list[Timed]:
        """Pass the server's replies; ours go in where their turn comes."""
        if self._replies.is_broken():
            return [Timed(now, data)]
        result: list[Timed] = []
        start = 0
        while (seam := self._replies.next_seam(data, start)) >= 0:
            result.append(Timed(now, data[start:seam]))
            start = seam
            if not self._replies.is_push and self._waiting:
                self._waiting.popleft()
                while self._waiting and self._waiting[0] is not None:
                    result.append(Timed(now, self._waiting.popleft() or b""))
        if start < len(data):
            result.append(Timed(now, data[start:]))
        return result

    def close(self, end: End, now: float) -> list[Timed]:
        """An unfinished command still belongs to the server."""
        return [*self.remove(now), Timed(now, end)]

    def update(self, attributes: Mapping[str, Any], now: float) -> None:
        """The commands may have changed."""
        super().update(attributes, now)
        self._wanted = frozenset(name.upper() for name in attributes["commands"])

    def remove(self, now: float, *, is_spared: bool = False) -> list[Timed]:
        """Hand on what was kept of an unfinished command, and answers whose turn has not come."""
        kept, self._kept = self._kept, b""
        owed = [Timed(now, reply, back=True) for reply in self._waiting if reply is not None]
        self._waiting.clear()
        return ([Timed(now, kept)] if kept else []) + owed


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
    parts = value.split(b"\r\n", 3)
    return parts[2].decode("latin-1").upper() if len(parts) > 2 else ""
