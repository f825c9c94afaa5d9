"""Redaction: the last stage before a byte leaves the process.

All rules look at the text as it was; their spans are united and masked at once, so no rule can hide a secret from
another. Percent-encoded and JSON-escaped stretches are decoded, looked at, and replaced only when something was
found. What is found is never given out, not even in part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from signal_service.security.own_secrets import MASK, OwnSecrets, Span, replace
from signal_service.security.patterns import NUMBER, RULES, back_to, digits_tell, is_secret_name

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_PERCENT_BACK = re.compile(r"""[^\s"'<>&?;,\\]{0,512}""")
_PERCENT_ON = re.compile(r"""[^\s"'<>&?;,\\]*+""")
_ESCAPED = re.compile(r"""\\{1,8}(?:u00([0-7][0-9A-Fa-f])|x([0-7][0-9A-Fa-f])|(/))""")
_ESCAPED_BACK = re.compile(r"""[^\s"<>]{0,512}""")
_ESCAPED_ON = re.compile(r"""[^\s"<>]*+""")
_DECODINGS_MAX = 3
_DEPTH_MAX = 24
_CARD_LENGTH_MIN = 12
_PLAIN = frozenset({int, float, bool, type(None)})


class Redactor:
    """Takes secrets out of texts, bytes and JSON values; the service's own ones can be added at any time.

    Args:
        own_secrets: known secrets of the service, 12 characters and more; see ``OwnSecrets``.
    """

    def __init__(self, own_secrets: Iterable[str] = ()) -> None:
        self._own = OwnSecrets(own_secrets)

    def add(self, *secrets: str) -> None:
        """Know these secrets too, from now on."""
        self._own = OwnSecrets((*self._own.secrets, *secrets))

    def replace(self, secrets: Iterable[str]) -> None:
        """Know these secrets instead of those before."""
        self._own = OwnSecrets(secrets)

    def text(self, text: str) -> str:
        """``text`` with every secret masked; in time linear in its length."""
        return self._text(text, _DECODINGS_MAX)

    def bytes(self, data: bytes) -> bytes:
        """The same for bytes; what is not UTF-8 passes unchanged around the masks."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

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

    def _text(self, text: str, decodings: int) -> str:
        lowered = text.lower()
        if len(lowered) != len(text):  # a few letters grow in lower case; positions must agree
            lowered = "".join(char if len(char.lower()) > 1 else char.lower() for char in text)
        spans = list(self._own.spans(text))
        for rule in RULES:
            spans += rule(text, lowered)
        text = _replace(text, spans) if spans else text
        if decodings:
            text = _per_stretch(
                text, "%", _PERCENT, _PERCENT_BACK, _PERCENT_ON, lambda one: self._decoded(one, decodings)
            )
            for anchor in ("\\u00", "\\x", "\\/"):
                text = _per_stretch(
                    text, anchor, _ESCAPED, _ESCAPED_BACK, _ESCAPED_ON, lambda one: self._unescaped(one, decodings)
                )
        return text

    def _decoded(self, stretch: str, decodings: int) -> str:
        plain = unquote(stretch, errors="replace")
        masked = self._text(plain, decodings - 1)
        return stretch if masked == plain else quote(masked, safe="/:=@[]+ ").replace(" ", "%20")

    def _unescaped(self, stretch: str, decodings: int) -> str:
        plain = _ESCAPED.sub(lambda hit: hit[3] or chr(int(hit[1] or hit[2], 16)), stretch)
        masked = self._text(plain, decodings - 1)
        if masked == plain:
            return stretch
        return json.dumps(masked)[1:-1]

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


def _per_stretch(
    text: str,
    anchor: str,
    code: re.Pattern[str],
    back: re.Pattern[str],
    on: re.Pattern[str],
    change: Callable[[str], str],
) -> str:
    """``text`` with every unbroken stretch changed that holds an encoded character; each is looked at once."""
    hit = text.find(anchor)
    if hit < 0:
        return text
    parts: list[str] = []
    done = 0
    while hit >= 0:
        if code.match(text, hit) is None:
            hit = text.find(anchor, hit + 1)
            continue
        start = max(done, back_to(back, text, hit, 512))
        match = on.match(text, hit)
        end = match.end() if match is not None else hit + 1
        parts += [text[done:start], change(text[start:end])]
        done = end
        hit = text.find(anchor, end)
    parts.append(text[done:])
    return "".join(parts)


def _replace(text: str, spans: list[Span]) -> str:
    """Mask the spans; a bare number of a JSON text becomes 0, a mask without quotes would break its line."""
    spans = [_whole_escapes(text, *span) for span in spans] if "\\" in text else spans
    numbers = {span for span in spans if _is_bare_number(text, *span)}
    if not numbers:
        return replace(text, spans)
    for start, end in sorted(numbers, reverse=True):
        text = f"{text[:start]}{'0':<{end - start}}{text[end:]}"
    return replace(text, (span for span in spans if span not in numbers))


def _whole_escapes(text: str, start: int, end: int) -> Span:
    """The span widened so that it cuts no backslash from what it escapes: the text may be JSON and must stay it."""
    if _backslashes_before(text, start) % 2:
        start -= 1
    if _backslashes_before(text, end) % 2 and end < len(text):
        end += 1
    return start, end


def _backslashes_before(text: str, at: int) -> int:
    start = at
    while start and text[start - 1] == "\\":
        start -= 1
    return at - start


def _is_bare_number(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - 4) : start].removesuffix("-")
    standing = text[end : end + 1] in {",", "}", "]", "\n"} and before.endswith(('":', '": ', "[", ",", ", "))
    return standing and NUMBER.fullmatch(text, start, end) is not None


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
    if isinstance(value, int | float) and not digits_tell(str(key)):
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
