"""Redaction: the last stage before a byte leaves the process.

Input are texts, log records and JSON values; output are the same with ``[redacted]`` in the place of each secret, and
nothing of what was found is ever given out. One automaton reads a text; only where it finds something are the rules
of ``patterns`` applied, to the text as it is and to every view of it with escapes undone. Their spans are united and
masked at once, so that no rule can hide a secret from another. A JSON text stays JSON. Nothing here raises.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from signal_service.security import patterns
from signal_service.security.names import kind_of
from signal_service.security.own_secrets import MASK, OwnSecrets, Span, replace
from signal_service.security.views import ENCODED, View

_ENCODED = patterns.compiled(ENCODED, capture=False)
_MASK = MASK.encode()
_VIEWS_MAX = 5
_DEPTH_MAX = 24
_BETWEEN_RECORDS = b"}\n{"
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


class Redactor:
    """Takes secrets out of texts and JSON values; the service's own ones can be added at any time.

    Args:
        own_secrets: known secrets of the service, 12 characters and more; see ``OwnSecrets``.
    """

    def __init__(self, own_secrets: Iterable[str] = ()) -> None:
        self._know(OwnSecrets(own_secrets))

    def _know(self, own: OwnSecrets) -> None:
        self._own = own
        self._first, self._which = _automata(b"|".join(map(_literal, own.fragments)))

    def add(self, *secrets: str) -> None:
        """Know these secrets too, from now on."""
        self._know(OwnSecrets((*self._own.secrets, *secrets)))

    def text(self, text: str) -> str:
        """``text`` with every secret masked; in time linear in its length."""
        data = text.encode("utf-8", "surrogatepass")
        parts: list[bytes] = []
        done = at = 0
        while (hit := patterns.find(self._first, data, at)[0][0]) >= 0:
            start, at = _record(data, done, hit)
            parts += [data[done:start], self._masked(data[start:at])]
            done = at
        return (b"".join((*parts, data[done:]))).decode("utf-8", "surrogatepass") if parts else text

    def value(self, value: Any) -> Any:
        """A JSON value with every secret masked: in texts, under the names of secrets, in pieces over its fields."""
        return json.loads(self.text(json.dumps(self.pieces([value])[0], default=_plain)))

    def pieces(self, values: list[Any]) -> list[Any]:
        """The values with own secrets masked that their texts spell on end, which ``text`` no longer shows."""
        if not self._own.in_pieces(text for value in values for text in _texts(value, 0)):
            return values
        return [self._without_pieces(value) for value in values]

    def _without_pieces(self, value: Any) -> Any:
        texts = list(_texts(value, 0))
        if len(texts) < 2 or not self._own.in_pieces(texts):
            return value
        return _with_texts(value, iter(self._own.mask_pieces(texts)), 0)

    def _masked(self, data: bytes) -> bytes:
        found = list(self._spans(data))
        if not found:
            return data
        if data[:1] not in b"{[" or not _is_json(data):
            return replace(data, (_whole(data, *span) for span in found), lambda _: _MASK)
        strings = [match.span() for match in _STRING.finditer(data)]
        starts = [start for start, _ in strings]
        inside: list[Span] = []
        outside: set[int] = set()
        for start, end in (_whole(data, *span) for span in found):
            string = bisect_right(starts, start) - 1
            if string >= 0 and start < strings[string][1]:
                inside.append((max(start, starts[string] + 1), min(end, strings[string][1] - 1)))
            else:
                inside.append((start, end))
                outside.add(start)
        shown = replace(data, inside, lambda start: b'"' + _MASK + b'"' if start in outside else _MASK)
        return shown if _is_json(shown) else json.dumps(self._each(json.loads(data)), ensure_ascii=False).encode()

    def _each(self, value: Any) -> Any:
        """The slow way, for a JSON text whose structure a mask would break: text by text."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): MASK if item and kind_of(key) else self._each(item) for key, item in value.items()}
        return [self._each(item) for item in value] if isinstance(value, list) else value

    def _spans(self, data: bytes) -> Iterator[Span]:
        views: list[View] = []
        shown = data
        while True:
            rows = self._which.Match(shown)
            for span in (*self._own.spans(shown), *patterns.spans(shown, rows)) if rows else ():
                for view in reversed(views):
                    span = view.origin(span)
                yield span
            if len(views) == _VIEWS_MAX or patterns.find(_ENCODED, shown, 0)[0][0] < 0:
                return
            views.append(View(shown))
            shown = views[-1].data


@lru_cache(maxsize=4)  # a simulated world begins a service for each schedule
def _automata(literals: bytes) -> tuple[Any, Any]:
    """What finds the first suspicious place of a text, and what says which rows of the table match."""
    first = b"|".join(filter(None, (ENCODED, patterns.SUSPICIOUS, literals)))
    return patterns.compiled(first, capture=False), patterns.which([literals] if literals else [])


@lru_cache(maxsize=1)
def _without_own() -> Redactor:
    return Redactor()


def redact(text: str) -> str:
    """``text`` with everything masked that looks like a secret or stands under the name of one."""
    return _without_own().text(text)


def _literal(fragment: bytes) -> bytes:
    return b"".join(b"\\x%02x" % char for char in fragment)


def _record(data: bytes, done: int, hit: int) -> Span:
    """The line around ``hit`` in a text of JSON lines; of any other text all that is left."""
    start, end = data.rfind(_BETWEEN_RECORDS, done, hit), data.find(_BETWEEN_RECORDS, hit)
    return (done if start < 0 else start + 2), (len(data) if end < 0 else end + 1)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return False
    return True


def _whole(data: bytes, start: int, end: int) -> Span:
    """The span widened so that it cuts neither a character nor a backslash from what it escapes."""
    while start and 0x80 <= data[start] < 0xC0:
        start -= 1
    while end < len(data) and 0x80 <= data[end] < 0xC0:
        end += 1
    if _backslashes_before(data, start) % 2:
        start -= 1
    if _backslashes_before(data, end) % 2 and end < len(data):
        end += 1
    return start, end


def _backslashes_before(data: bytes, at: int) -> int:
    start = at
    while start and data[start - 1] == 0x5C:
        start -= 1
    return at - start


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _texts(value: Any, depth: int) -> Iterator[str]:
    """The texts of a JSON value in their order."""
    if isinstance(value, str):
        yield value
    elif depth < _DEPTH_MAX and isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item, depth + 1)


def _with_texts(value: Any, texts: Iterator[str], depth: int) -> Any:
    """``value`` with its texts replaced one after the other, in the order of ``_texts``."""
    if isinstance(value, str):
        return next(texts)
    if depth < _DEPTH_MAX and isinstance(value, dict):
        return {key: _with_texts(item, texts, depth + 1) for key, item in value.items()}
    if depth < _DEPTH_MAX and isinstance(value, list | tuple):
        return [_with_texts(item, texts, depth + 1) for item in value]
    return value
