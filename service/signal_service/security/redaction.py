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
from signal_service.security.names import digits_tell, is_secret_name
from signal_service.security.own_secrets import MASK, OwnSecrets, Span, replace
from signal_service.security.views import ENCODED, View

_ENCODED = patterns.compiled(ENCODED, capture=False)
_MASK = MASK.encode()
_VIEWS_MAX = 5
_DEPTH_MAX = 24
_CARD_LENGTH_MIN = 12
_PLAIN = frozenset({int, float, bool, type(None)})
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
        literals = b"|".join(map(_literal, own.fragments))
        self._own = own
        self._which = patterns.which([literals] if literals else [])
        self._first = patterns.compiled(
            b"|".join(filter(None, (ENCODED, patterns.SUSPICIOUS, literals))), capture=False
        )

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
        """A JSON value with every secret masked, under telling names whatever it is, and in pieces over its fields."""
        return self._walk(self.names(value), 0)

    def names(self, value: Any) -> Any:
        """Only what the final text no longer shows: values of telling names whole, secrets in pieces over fields."""
        return self.names_of([value])[0]

    def names_of(self, values: list[Any]) -> list[Any]:
        """``names`` of each, but for many records at the price of one search."""
        texts: list[str] = []
        masked = [_mask_names(value, texts, 0) for value in values]
        if len(texts) > 1 and self._own.in_pieces(texts):
            masked = [self._join_pieces(value) for value in masked]
        return masked

    def _join_pieces(self, value: Any) -> Any:
        texts: list[str] = []
        _mask_names(value, texts, 0)
        if not self._own.in_pieces(texts):
            return value
        pieces = iter(self._own.mask_pieces(texts))
        return _with_texts(value, pieces, 0)

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
        return shown if _is_json(shown) else json.dumps(self.value(json.loads(data)), ensure_ascii=False).encode()

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

    def _walk(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping) and depth < _DEPTH_MAX:
            return {self.text(str(key)): self._walk(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple) and depth < _DEPTH_MAX:
            return [self._walk(item, depth + 1) for item in value]
        if value is None or isinstance(value, bool | int | float):
            plain = str(value)
            return value if len(plain) < _CARD_LENGTH_MIN or self.text(plain) == plain else MASK
        return self.text(str(value))


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


def _mask_names(value: Any, texts: list[str], depth: int) -> Any:
    """``value`` with what stands under telling names masked; all other texts in it are put on ``texts`` in order."""
    if isinstance(value, str):
        texts.append(value)
        return value
    if type(value) in _PLAIN or depth >= _DEPTH_MAX:
        return value
    if isinstance(value, dict):
        return {key: _mask_item(key, item, texts, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mask_names(item, texts, depth + 1) for item in value]
    return _mask_names(dict(value), texts, depth) if isinstance(value, Mapping) else value


def _mask_item(key: Any, value: Any, texts: list[str], depth: int) -> Any:
    if not is_secret_name(key if type(key) is str else str(key)):
        return _mask_names(value, texts, depth)
    if value is None or isinstance(value, bool) or value in ("", MASK):
        return value
    if isinstance(value, int | float) and not digits_tell(str(key), str(value)):
        return value
    return MASK


def _with_texts(value: Any, texts: Iterator[str], depth: int) -> Any:
    """``value`` with its texts replaced one after the other, in the order of ``_mask_names``."""
    if isinstance(value, str):
        return next(texts)
    if depth < _DEPTH_MAX and isinstance(value, dict):
        return {
            key: item if _is_masked(key, item) else _with_texts(item, texts, depth + 1) for key, item in value.items()
        }
    if depth < _DEPTH_MAX and isinstance(value, list):
        return [_with_texts(item, texts, depth + 1) for item in value]
    return value


def _is_masked(key: Any, value: Any) -> bool:
    return is_secret_name(str(key)) and (value is None or isinstance(value, bool | int | float) or value in ("", MASK))
