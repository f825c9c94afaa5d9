"""Names that declare a secret, and the value that stands beside such a name in a text.

Input is a text in UTF-8 bytes, output are spans of bytes. A name may stand in JSON, YAML, XML, a header, a query, an
assignment, an argument list or a pair of fields. Nothing here raises.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Span = tuple[int, int]
Kind = Literal["", "plain", "weak", "digits", "line", "signed", "url"]

_STRONG = (
    r"pass_?(?:word|wd|wort|code)|pswd|pwd|secret|token|credential|"
    r"(?:api|access|account|private|priv|secret|signing|encryption|master|auth|audit|ssh|session|license|webhook|storage)"
    r"_?key|session_?id|security_?code|hmac|set_?cookie|otp_?code|bearer"
)
_LINE = r"authorization|cookie|pass_?phrase|mnemonic|seed_?phrase|recovery_?phrase"
_DIGITS = (
    r"(?:card|account|credit_?card|debit_?card)_?(?:number|num|no|nr)|credit_?card|cvv2?|cvc2?|csc|iban|ssn|msisdn|"
    r"(?:tele|cell_?)?phone(?:_?(?:number|num|no|nr))?|mobile(?:_?(?:number|num|no|nr|phone))?|e_?mail(?:_?addr(?:ess)?)?"
)
_LAST = r"auth|pass|session|sid|jwt|pw|totp|otp|sas|sessid|phpsessid|jsessionid"
_LAST_DIGITS = r"pin|pan|pin_?code|tel|fax"
_SIGNED = r"sig|signature(?:_?\d{1,3})?"
_URLS = r"dsn|conn(?:ection)?_?str(?:ing)?|(?:redis|database|db|broker|mongo(?:db)?|postgres|amqp)_?ur[li]"
_SUFFIX = r"s?(?:_?(?:values?|hash|text|string|confirm(?:ation)?|new|old|data|b64|base64|plain|id))?"
_DECLARES = re.compile(
    rf"(?P<url>(?:^|_)(?:{_URLS})$)|(?P<signed>(?:^|_)(?:{_SIGNED})$)|"
    rf"(?P<line>(?:{_LINE})s?(?![a-z]))|(?P<plain>(?:{_STRONG}){_SUFFIX}(?![a-z]))|"
    rf"(?P<digits>(?:^|_|(?<=user)|(?<=customer))(?:{_DIGITS})s?(?:_?\d)?$|(?:^|_)(?:{_LAST_DIGITS})\d?$)|"
    rf"(?P<weak>(?:^|_)(?:{_LAST})\d?$)"
)
"""Groups name how a value is read; a name is matched in lower case with ``_`` between its words."""

_HARMLESS = re.compile(
    r"(?:count|limit|type|ttl|expires|expiresin|length|sha256|digest)$|"
    r"_(?:len|size|sha1|md5|fingerprint|name|file|path|dir|policy|version|format|bucket|budget|min|max|age|kind|status|"
    r"state|errors?|valid|invalid|required|enabled|disabled|hint|strength|rotation|rotated|used|remaining|total|rate|"
    r"field|label|prefix|at|in|on|ms|seconds|ur[li]|endpoint|issuer|alg(?:orithm)?|method|mode|scheme|changed|"
    r"created|updated|reset|attempts?|failures?|details|usage|per)$"
)
"""Endings that describe a secret without giving it away: ``token_count``, ``key_sha256``."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_DIGITS_TELL = re.compile(r"pass|pwd|secret|otp|_?code$")
_NUMBER = r"-?\d{1,512}(?:\.\d{1,512})?(?:[eE][+-]?\d{1,4})?"
NUMBER = re.compile(_NUMBER)
_LITERAL = re.compile(rf"(?:null|none|nil|undefined|true|false|nan|-?infinity|{_NUMBER})".encode(), re.IGNORECASE)
_PLACEHOLDER = re.compile(
    rb"\$\{[\w.:-]{0,64}\}|%\([\w.]{0,64}\)s|%s|\{\}|\*{2,64}|\.{3}|<[a-z_ -]{0,40}>|\[redacted\]"
)
_VALUE_LOOKED_AT_BYTES = 2048
LONG_NUMBER_DIGITS = 9
"""A token of 5 is a count; a number of as many digits under the name of a token is the token."""

STEMS = (
    rb"pass|pwd|pswd|secret|token|credential|authorization|cookie|bearer|hmac|mnemonic|phrase|"
    rb"(?:api|access|account|private|priv|signing|encryption|master|auth|audit|ssh|session|license|webhook|storage)[_.-]?key|"
    rb"session|security[_.-]?code|otp|card|number|cvv|cvc|csc|iban|ssn|msisdn|phone|mobile|mail"
)
_ENDS = (
    rb"auth|sid|jwt|pw|sas|sessid|pin|pan|pin[_.-]?code|tel|fax|sig|signature(?:[_.-]?\d{1,3})?|dsn|str(?:ing)?|ur[li]"
)
NAME = rb"(?:[\w.-]*(?:" + STEMS + rb")[\w.-]*|[\w.-]*(?:" + _ENDS + rb")\d?)"
"""Every name that may be declared (case aside); ``kind_of`` decides."""

NAMED = rb"(?i)(" + NAME + rb")(?:[\"'`]{0,2}[\])]?(?:\s{0,8}(?:=>|->|[:=])|\s{0,2},|\s{1,8}value\b)|[ \t]*\\?[ \t]*\n)"
FLAG = rb"(?i)(?:^|[\s\"'`\[(,;=:])--?(" + NAME + rb")(?:\\?\s+)[\"'`]?([^\s\"'`-][^\s\"'`]*)"
ELEMENT = rb"(?i)<(?:\w+:)?(" + NAME + rb")(?:\s[^<>]*)?>(?:<!\[CDATA\[)?([^<>]+)"
SPOKEN = (
    rb"(?i)\b(password|passwd|passphrase|passcode|secret|token|api[ _-]?key|access[ _-]?key|pwd|pin|credentials?)"
    rb"[\"'`]?\s+(?:is\s+|was\s+|of\s+)?[\"'`]?([\w!@#$%^&*+=.~/-]*\d[\w!@#$%^&*+=.~/-]*)"
)

_ASSIGN = re.compile(
    rb"(?P<close>[\"'`]{0,2})[\])]?(?:\s{0,8}(?P<sep>=>|->|:=|={1,3}|:)|(?P<comma>\s{0,2},)|\s{1,8}(?=value\b))"
    rb"(?:[ \t]{0,64}(?:\\?\r?\n(?=[ \t\"'])\s{0,64})?)"
)
_VALUE_FIELD = re.compile(rb"\s{0,64}[\"'`]?value[\"'`]?\s{0,8}(?:=>|[:=])\s{0,64}", re.IGNORECASE)
_OPEN = re.compile(rb"(?:!\w{1,20}[ \t]{1,4})?(?:b(?=[\"']))?([\"'`]{3}|[\"'`]|[\[{(]|[|>][+-]?\d?[ \t]{0,8}\r?\n)?")
_QUOTED = {
    b'"': re.compile(rb'(?:[^"\\]|\\.)*+', re.DOTALL),
    b"'": re.compile(rb"(?:[^'\\\n]|\\.)*+", re.DOTALL),
    b"`": re.compile(rb"[^`\n]*+"),
}
_BLOCK = re.compile(rb"(?:[ \t][^\n]{0,4096}+\n?)++")
_BARE = re.compile(
    rb"""(?:[^\s"'`\\&,;)}\]|]|\\[^"'nrtu/\\]|&(?![\w.%-]{1,40}=)|[,;)}\]|](?![\s"'`\\,;)}\]|]|\Z)"""
    rb"""|["'`](?=[^\s"'`,;:.)}\]|&>\\]))++"""
)
_DIGIT_RUN = re.compile(rb"[+(]?[0-9](?:[ ().\\/-]{0,2}[0-9]){3,30}|[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){8,34}")
_REST_OF_LINE = re.compile(
    rb"""(?:="[^"\r\n]{0,4096}+"(?=[;,\s]|\Z)|[^"\\\r\n]|\\[^nru]"""
    rb"""|\r?\n[ \t]{1,64}(?![\w-]{1,64}\s{0,4}[:=])(?=[^\s"]))++"""  # a folded header goes on
)
_ITEMS = re.compile(rb"(?:\s{0,64}\n[ \t]{0,64}-[ \t][^\r\n]{0,4096}+)++")
_KEY_END = re.compile(rb"[\"'`]\s{0,8}:")
_PIECE = re.compile(rb""""(?:[^"\\]|\\.)*+"?|'[^'\n]*+'?|[\[{(]|[\]})]|[^"'\[{(\]})]++""", re.DOTALL)
_LONG_RUN = re.compile(rb"[A-Za-z0-9+/=%_.~-]{16,}")
_MIXED = re.compile(rb"[A-Z!@#$%^&*+=~]")
_NUMBERED = re.compile(rb"(?:sha|md|utf|base|v|http|ipv|rule|step|case|test|user|host|node)-?\d", re.IGNORECASE)
_HAS_SECRET = re.compile(rb"://[^\s/]{0,512}@|password=|pwd=|key=|[^\s=]{1,64}:[^\s/@]{1,512}@", re.IGNORECASE)


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Kind:
    """How the value of a field, header, parameter or variable of this name is read; empty where it is no secret."""
    words = _NOT_WORD.sub("_", _CAMEL.sub("_", name).lower()).strip("_")
    found = _DECLARES.search(words)
    if found is None or (found.lastgroup != "url" and _HARMLESS.search(words)):
        return ""
    kind: Kind = found.lastgroup  # type: ignore[assignment]
    return kind


def digits_tell(name: str, number: str) -> bool:
    """Whether under this name a bare number is a secret: a PIN is, a ``token`` of 5 is a count."""
    if kind_of(name) == "digits" or _DIGITS_TELL.search(name.lower()):
        return True
    return sum(map(str.isdigit, number)) >= LONG_NUMBER_DIGITS


def value_beside(text: bytes, name: bytes, at: int) -> Span | None:
    """The secret that is assigned to ``name``, which ends at ``at``; an empty span after a value that is none."""
    kind = kind_of(name.decode("latin-1"))
    assign = _ASSIGN.match(text, at) if kind else None
    if assign is None:
        return None
    field = _VALUE_FIELD.match(text, assign.end() if assign["comma"] else assign.end("close"))
    pair = assign["comma"] is not None and field is None
    start = field.end() if field is not None else assign.end()
    if field is None and assign["sep"] is None and not (pair and assign["close"]):
        return None
    items = _ITEMS.match(text, assign.end("sep")) if assign["sep"] == b":" else None
    if items is not None:
        return items.span()
    opening = _OPEN.match(text, start)
    mark = opening[1] if opening is not None else None
    if opening is None or mark is None:
        return None if pair else _bare(text, name, kind, start, closed=bool(assign["close"]))
    if pair and mark not in _QUOTED:
        return None
    span = _opened(text, mark, opening.end())
    if pair and _KEY_END.match(text, span[1]):
        return None  # the name was a value itself, and what follows is the next name
    return (span[1], span[1]) if is_harmless(text[slice(*span)], name, kind, quoted=True) else span


def is_harmless(value: bytes, name: bytes, kind: Kind, *, quoted: bool) -> bool:
    """Whether a value under the name of a secret gives nothing away: a literal, a count, a placeholder."""
    value = value[:_VALUE_LOOKED_AT_BYTES]
    if _PLACEHOLDER.fullmatch(value):
        return True
    if kind == "url":
        return b"://" in value and not _HAS_SECRET.search(value)
    if kind == "signed":
        return _LONG_RUN.match(value) is None
    if name in {b"PWD", b"OLDPWD"} and value.startswith(b"/"):
        return True
    if quoted or not _LITERAL.fullmatch(value):
        return False
    return not (value[-1:].isdigit() and digits_tell(name.decode("latin-1"), value.decode("latin-1")))


def _bare(text: bytes, name: bytes, kind: Kind, start: int, *, closed: bool) -> Span:
    match = (_REST_OF_LINE if kind == "line" and not closed else _BARE).match(text, start)
    run = _DIGIT_RUN.match(text, start) if kind == "digits" else None
    end = max(found.end() if found is not None else start for found in (match, run))
    value = text[start:end]
    prose = kind in {"weak", "digits"} and text[start - 1 : start] == b" " and value.isalpha() and value.islower()
    assigned = closed or b"=" in text[start - 3 : start]
    placeholder = _PLACEHOLDER.match(text, start)
    harmless = not value or (placeholder is not None and placeholder.end() >= end) or (prose and not assigned)
    harmless = harmless or is_harmless(value, name, kind, quoted=False)
    return (end, end) if harmless else (start, end)


def _opened(text: bytes, mark: bytes, start: int) -> Span:
    if mark[:1] in b"|>":
        block = _BLOCK.match(text, start)
        return start, block.end() if block is not None else start
    if mark in {b"[", b"{", b"("}:
        return start - 1, _balanced(text, start)
    if len(mark) == 3:
        end = text.find(mark, start)
        return start, end if end >= 0 else len(text)
    match = _QUOTED[mark].match(text, start)
    return start, match.end() if match is not None else start


def _balanced(text: bytes, at: int) -> int:
    """Where the bracket closes that opened before ``at``; the end of the line when it never does."""
    depth, start = 1, at
    while depth and (piece := _PIECE.match(text, at)) is not None:
        at = piece.end()
        depth += (piece.group() in {b"[", b"{", b"("}) - (piece.group() in {b"]", b"}", b")"})
    if not depth:
        return at
    line = text.find(b"\n", start)
    return len(text) if line < 0 else line


def spoken(name: bytes, value: bytes) -> bool:
    """Whether a word after "password is" reads as a secret and not as the next word of the sentence."""
    value = value[:_VALUE_LOOKED_AT_BYTES]
    mixed = _MIXED.search(value) or (name[:4].lower() == b"pass" and value.isalnum() and not _NUMBERED.match(value))
    return len(value) >= 6 and not value.isdigit() and bool(mixed)
