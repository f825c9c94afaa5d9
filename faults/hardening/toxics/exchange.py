"""Toxics that answer in the server's place: http_error and redis_error.

They see both directions. A request that matches is swallowed and its answer is put where the server's would have
been; all others pass as they came. ``stream`` says nothing here: requests always travel upstream.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from http import HTTPStatus
from random import Random
from typing import Any, ClassVar

from hardening.toxics.base import Attribute, AttributeRefusedError, End, Tally, Timed, Toxic
from hardening.toxics.framing import HttpRequests, Request, RespValues, command_name

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


class ExchangeToxic(Toxic):
    """Base: how often it may still act (``times``, over all connections; 0 is always)."""

    is_exchange: ClassVar[bool] = True

    __slots__ = ()

    def _may_act(self) -> bool:
        times = self.attributes["times"]
        if times and self.memory.get("answers", 0) >= times:
            return False
        self.memory.count("answers")
        self.tally.count("injected_answers")
        return True


class HttpError(ExchangeToxic):
    """Answers matching HTTP/1.x requests with ``status``, ``headers`` and ``body``.

    ``path`` is a regular expression searched in the request's target, ``method`` a name; empty ones match all.
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
        self._pattern = re.compile(attributes["path"])

    @classmethod
    def check(cls, attributes: Mapping[str, Any]) -> None:
        """The pattern must compile, and nothing may break out of its header line."""
        try:
            re.compile(attributes["path"])
        except re.error as error:
            raise AttributeRefusedError("path", attributes["path"], f"a regular expression ({error})") from error
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
        self._pattern = re.compile(attributes["path"])

    def remove(self, now: float, *, is_spared: bool = False) -> list[Timed]:
        """Hand on what was kept of an unfinished head."""
        rest = self._requests.unread()
        return [Timed(now, rest)] if rest else []

    def _matches(self, request: Request) -> bool:
        method = self.attributes["method"]
        return (not method or method.upper() == request.method) and bool(self._pattern.search(request.target))

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
