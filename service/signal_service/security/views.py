"""A text as it reads once its escapes are undone, with the way back to where each character came from.

Input and output are UTF-8 bytes. One step undoes JSON and Python escapes, percent codes, terminal colours and letters
of another width at once; a text that was encoded several times takes as many steps. A span found in a view names the
whole of the escapes it covers, so that a mask never cuts one.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right

Span = tuple[int, int]

ENCODED = (
    rb"\\[ux\"'\\/bfnrt]|%[0-9A-Fa-f]{2}|\x1b\[|\xc2\xa0|\xe2\x80[\x80-\xaf]|\xe3\x80\x80|\xef[\xbc\xbd][\x80-\xbf]"
)
"""What makes a further step worth while."""

_ESCAPE = re.compile(
    rb"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'\\/bfnrt]))|%([0-9A-Fa-f]{2})|\x1b(\[[0-9;]{0,16}[A-Za-z])"
    rb"|\xc2\xa0|\xe2\x80[\x80-\xaf]|\xe3\x80\x80|\xef[\xbc\xbd][\x80-\xbf]"  # no group first: found at memory speed
)
_CONTROL = {b"b": b" ", b"f": b" ", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_FOLDED = {range(0x200B, 0x2010): b"", range(0x2010, 0x2016): b"-", range(0x2018, 0x201C): b"'"}
_FOLDED |= {range(0x201C, 0x2020): b'"', range(0x2028, 0x202F): b" "}


def fold(char: str) -> bytes:
    """A blank, hyphen, quote or letter of another width as the plain one."""
    code = ord(char)
    known = next((plain for codes, plain in _FOLDED.items() if code in codes), None)
    return unicodedata.normalize("NFKC", char).encode("utf-8", "surrogatepass") if known is None else known


def _undone(match: re.Match[bytes]) -> bytes:
    what = match.lastindex
    if what == 3:
        return _CONTROL.get(match[3], match[3])
    if what == 4:
        return bytes((int(match[4], 16),))
    if what == 5:
        return b""
    return fold(chr(int(match[what], 16)) if what else match[0].decode())


class View:
    """``data`` with one layer of escapes undone."""

    def __init__(self, data: bytes) -> None:
        parts: list[bytes] = []
        self._here: list[int] = []  # where each piece begins in this view
        self._there: list[Span] = []  # and the stretch of ``data`` that it came from
        here = done = 0
        for match in _ESCAPE.finditer(data):
            start, end = match.span()
            if done < start:
                self._here.append(here)
                self._there.append((done, start))
                parts.append(data[done:start])
                here += start - done
            plain = _undone(match)
            if plain:
                self._here.append(here)
                self._there.append((start, end))
                parts.append(plain)
                here += len(plain)
            done = end
        self._here.append(here)
        self._there.append((done, len(data)))
        self.data = b"".join((*parts, data[done:]))

    def origin(self, span: Span) -> Span:
        """The stretch of the text one step before that ``span`` of this view was made from."""
        return self._at(span[0])[0], self._at(max(span[0], span[1] - 1))[1]

    def _at(self, place: int) -> Span:
        piece = bisect_right(self._here, place) - 1
        offset = place - self._here[piece]
        start, end = self._there[piece]
        last = piece + 1 == len(self._here)
        literal = last or self._here[piece + 1] - self._here[piece] == end - start
        return (start + offset, start + offset + 1) if literal else (start, end)
