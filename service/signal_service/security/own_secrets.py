"""The service's own secrets: found whole, truncated, encoded, or in pieces over the fields of one record.

A secret in a log is rarely whole: a line is cut at some width, a client library prints the first half, a header is
split at a comma. So what is looked for are *fragments*, sampled so densely that every prefix or suffix of
``END_LENGTH_MIN`` characters, and every other part of ``RUN_LENGTH_MIN``, holds at least one; what was hit is then
grown to the longest common run. Eight characters are the least that is both hard to guess from (what is left of a
12-character secret is not) and does not turn up in ordinary text; a run of lower-case letters alone might well be an
English word, and needs twelve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import AnyStr
from urllib.parse import urlsplit

Span = tuple[int, int]

SECRET_LENGTH_MIN = 12
END_LENGTH_MIN = 8
RUN_LENGTH_MIN = 16
MASK = "[redacted]"

_STRIDE = RUN_LENGTH_MIN - END_LENGTH_MIN + 1  # every window of RUN_LENGTH_MIN then holds a whole fragment
_NOT_KEPT = bytes(code for code in range(128) if not chr(code).isalnum())


class OwnSecrets:
    """Finds the given secrets in texts; immutable, so a swap of the whole is atomic.

    Args:
        secrets: at least 12 characters each; shorter ones are found in no text without also hiding harmless ones, and
            are left to the patterns. Of a URL only the password counts: its host and port stand in harmless lines.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.secrets = tuple(sorted({part for secret in secrets for part in _parts(secret)}))
        plain = (secret.encode("utf-8", "surrogatepass") for secret in self.secrets)
        self._samples = tuple((form[at : at + END_LENGTH_MIN], at, form) for form in plain for at in _sample(len(form)))
        self.fragments = tuple(fragment for fragment, _, _ in self._samples)
        self._condensed = tuple(found for found in map(_condense, self.secrets) if len(found) >= END_LENGTH_MIN)

    def spans(self, text: bytes) -> Iterator[Span]:
        """Where ``text`` holds a secret or enough of one; a text without any of ``fragments`` holds none."""
        for fragment, at, form in self._samples:
            hit = text.find(fragment)
            while hit >= 0:
                start, end = _grow(text, hit, form, at)
                if _tells(text, start, end):
                    yield start, end
                hit = text.find(fragment, max(end, hit + 1))

    def in_pieces(self, texts: Iterable[str]) -> bool:
        """Whether the texts, read on end and without punctuation, spell a secret; cheap, meant for whole batches."""
        if not self._condensed:
            return False
        joined = _condense("".join(texts))
        return any(secret in joined for secret in self._condensed)

    def mask_pieces(self, texts: list[str]) -> list[str]:
        """The texts with the pieces of every secret masked that they spell together."""
        joined = "".join(texts)
        kept = [index for index, char in enumerate(joined) if not char.isascii() or char.isalnum()]
        condensed = "".join(joined[index] for index in kept)
        marked: list[Span] = []
        for secret in self._condensed:
            plain = secret.decode("utf-8", "surrogatepass")
            hit = condensed.find(plain)
            while hit >= 0:
                marked.append((kept[hit], kept[hit + len(plain) - 1] + 1))
                hit = condensed.find(plain, hit + len(plain))
        masked, offset = [], 0
        for text in texts:
            inside = [(max(a - offset, 0), min(b - offset, len(text))) for a, b in marked]
            masked.append(replace(text, [(a, b) for a, b in inside if a < b], lambda _: MASK))
            offset += len(text)
        return masked


def replace(text: AnyStr, spans: Iterable[Span], mask: Callable[[int], AnyStr]) -> AnyStr:
    """``text`` with every span replaced by what ``mask`` gives for its start, touching ones by one."""
    parts: list[AnyStr] = []
    done = 0
    for start, end in sorted(spans):
        if end <= done:
            continue
        if start >= done and (start > done or not parts):
            parts += [text[done:start], mask(start)]
        done = end
    parts.append(text[done:])
    return text[:0].join(parts)


def _parts(secret: str) -> Iterator[str]:
    if "://" not in secret:
        candidates = [secret]
    else:
        try:
            candidates = [urlsplit(secret).password or ""]
        except ValueError:  # not a URL after all, such as a broken IPv6 address
            candidates = [secret]
    return (found for found in candidates if len(found) >= SECRET_LENGTH_MIN)


def _sample(length: int) -> list[int]:
    last = length - END_LENGTH_MIN
    return sorted({*range(0, last + 1, _STRIDE), last}) if last >= 0 else []


def _grow(text: bytes, hit: int, form: bytes, at: int) -> Span:
    back = 0
    while back < min(at, hit) and text[hit - back - 1] == form[at - back - 1]:
        back += 1
    ahead = END_LENGTH_MIN
    while at + ahead < len(form) and hit + ahead < len(text) and text[hit + ahead] == form[at + ahead]:
        ahead += 1
    return hit - back, hit + ahead


def _tells(text: bytes, start: int, end: int) -> bool:
    if end - start >= RUN_LENGTH_MIN:
        return True
    run = text[start:end]
    return any(48 <= char <= 57 for char in run) or not run.islower()


def _condense(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").translate(None, _NOT_KEPT)
