"""What a secret looks like: a table of linear-time patterns, each with a check where the shape alone does not decide.

Input is a text in UTF-8 bytes, output are spans of bytes. The patterns run on RE2, whose time is linear in the text
whatever stands in it; ``SUSPECT`` is all of them in one automaton, so that a harmless text is read once. The prefixes
of keys are those that their issuers document. Nothing here raises.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import re2

from signal_service.security import names

Span = tuple[int, int]
Check = Callable[[bytes, Sequence[Span]], Span | None]
"""Of a text and the spans of a match and its groups: the span to mask, None, or an empty one to go on from."""

_ROW_BYTES, _WHOLE_BYTES = 2 << 20, 16 << 20
"""What the automata of one row and of the whole table may grow to; beyond it they begin again, and stay linear."""
_NO_DIGITS = bytes(code for code in range(256) if not 48 <= code <= 57)


def _options(*, capture: bool) -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = not capture
    options.max_mem = _ROW_BYTES if capture else _WHOLE_BYTES
    options.log_errors = False
    return options


def compiled(pattern: bytes, *, capture: bool = True) -> Any:
    """``pattern`` for bytes; its ``Match(anchor, text, start, end)`` gives the spans of the match and its groups."""
    return re2._re2.RE2(pattern, _options(capture=capture))  # noqa: SLF001 - the wrapper makes an object of each match


def which(extra: Iterable[bytes]) -> Any:
    """All patterns of the table and ``extra`` as one; its ``Match(text)`` gives the numbers of those that match."""
    every = re2.Set.SearchSet(_options(capture=False))
    for pattern in (*(shape.pattern for shape in SHAPES), *extra):
        every.Add(pattern)
    every.Compile()
    return every


def find(pattern: Any, text: bytes, start: int) -> list[Span]:
    """Spans of the first match at or after ``start``; the first is (-1, -1) where there is none."""
    spans: list[Span] = pattern.Match(re2._Anchor.UNANCHORED, text, start, len(text))  # noqa: SLF001
    return spans


class Shape(NamedTuple):
    """One row of the table: group 1 of ``pattern`` is masked, or the whole of it; ``retry`` looks again inside."""

    pattern: bytes
    check: Check | None = None
    retry: bool = False


_DIGIT_OR_CAPITAL = re.compile(rb"[0-9A-Z]|[A-Za-z]{16}")
_DIGIT_OR_RUN = re.compile(rb"\d|[A-Za-z]{16}")


def _has_digit(text: bytes, spans: Sequence[Span]) -> Span | None:
    body = text[slice(*spans[-1])]
    return spans[0] if _DIGIT_OR_RUN.search(body) else None


def _key(text: bytes, spans: Sequence[Span]) -> Span | None:
    return spans[0] if _DIGIT_OR_CAPITAL.search(text[slice(*spans[0])], 6) else None


def _has_both(text: bytes, spans: Sequence[Span]) -> Span | None:
    body = text[slice(*spans[-1])]
    digits = sum(48 <= char <= 57 for char in body)
    return spans[0] if digits and (not body.islower() or (len(body) >= 16 and digits > 1)) else None


_WORD_OR_NAME = re.compile(rb"[A-Za-z][a-z]{1,19}|[a-z_-]{1,40}=")


def _bearer(text: bytes, spans: Sequence[Span]) -> Span | None:
    return None if _WORD_OR_NAME.fullmatch(text[slice(*spans[1])].rstrip(b".")) else spans[1]


def _basic(text: bytes, spans: Sequence[Span]) -> Span | None:
    value = text[slice(*spans[1])][:2048].rstrip(b"=")
    decoded = base64.b64decode(value + b"=" * (-len(value) % 4), altchars=b"-_" if b"_" in value else None)
    return spans[1] if b":" in decoded or any(48 <= char <= 57 for char in value) else None


def _named(text: bytes, spans: Sequence[Span]) -> Span | None:
    kind = names.kind_of(text[slice(*spans[1])].decode("latin-1"))
    start, end = spans[2]
    harmless = not kind or names.is_harmless(text[start:end], text[slice(*spans[1])], kind, quoted=False)
    return None if harmless else (start, end)


def _keyed(text: bytes, spans: Sequence[Span]) -> Span | None:
    start, end = spans[1]
    return names.value_beside(text, text[start:end], end)


def _spoken(text: bytes, spans: Sequence[Span]) -> Span | None:
    word, value = text[slice(*spans[1])], text[slice(*spans[2])]
    return spans[2] if names.spoken(word, value) else None


def _credentials(text: bytes, spans: Sequence[Span]) -> Span | None:
    return None if text[slice(*spans[1])].isdigit() and spans[1] else spans[1]


def _auth(text: bytes, spans: Sequence[Span]) -> Span | None:
    value = text[slice(*spans[1])]
    return None if value.isalpha() and value.islower() else spans[1]


_PEM_MAX_BYTES = 20_000
_PEM_BODY = re.compile(rb"(?:[A-Za-z0-9+/=_:,\s-]|\\{1,7}[nrt])*+")


def _pem(text: bytes, spans: Sequence[Span]) -> Span | None:
    """A private key to its end, whatever stands before its lines; a cut one as far as it reads as base64."""
    start, end = spans[0]
    close = text.find(b"-----END", end, end + _PEM_MAX_BYTES)
    if close >= 0:
        line = re.compile(rb"-----END[A-Z0-9 ]{0,60}-{0,5}").match(text, close)
        return start, line.end() if line is not None else close
    body = _PEM_BODY.match(text, end)
    return start, body.end() if body is not None else end


_DATABASE = re.compile(
    rb"(?:rediss?|valkeys?|unix|postgres(?:ql)?|mysql|mariadb|mongodb|mssql|oracle|amqps?|clickhouse|cockroachdb|jdbc)"
    rb"(?![a-z])",
    re.IGNORECASE,
)
_USER = re.compile(rb"[^/?#@]{0,512}+@(?:[^/?#@]{1,256}+@)?")
_PORT = re.compile(rb"[^/?#@:]{0,255}(?::\d{1,5})?(?:[/?#]|$)")


def _url(text: bytes, spans: Sequence[Span]) -> Span | None:
    """The user and password of a URL; of a database all but the scheme, its host is known by its password."""
    start, end = spans[2]
    body = text[start:end]
    user = _USER.match(body)
    at = user.end() if user is not None else 0 if _PORT.match(body) or body[:1] == b"[" else body.rfind(b"@") + 1
    login, _, password = body[: max(at - 1, 0)].partition(b":")
    if not password and not (len(login) >= 8 and (len(login) >= 20 or any(48 <= char <= 57 for char in login))):
        return None
    return start, end if _DATABASE.search(text[slice(*spans[1])]) else start + at - 1


_FILES = frozenset({b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"js", b"css", b"py", b"service"})


def _email(text: bytes, spans: Sequence[Span]) -> Span | None:
    return None if text[slice(*spans[0])].rpartition(b".")[2].lower() in _FILES else spans[0]


_PLUS = re.compile(rb"\+[1-9](?:[ .()/-]{0,2}\d){7,14}(?!\w|\.\d)")
_FLOAT = re.compile(rb"\+\d{1,20}\.\d{1,20}(?![\d.-])")


def _plus_phone(text: bytes, spans: Sequence[Span]) -> Span | None:
    start = spans[0][0]
    match = _PLUS.match(text, start)
    if match is None or text[start - 1 : start].isalnum() or _FLOAT.match(text, start):
        return None
    digits = match.group().translate(None, _NO_DIGITS)
    if digits == match.group()[1:]:  # nothing between the digits: a change of a volume is written so too
        american = digits[0] != 49 or (len(digits) == 11 and digits[1] > 49 and digits[4] > 49)
        if len(digits) < 9 or digits.endswith(b"00000") or not american:
            return None
    return match.span()


def _phone(text: bytes, spans: Sequence[Span]) -> Span | None:
    start, end = spans[0]
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if after[:1].isalnum() or (after[:1] in (b".", b"-", b" ") and after[1:].isdigit()):
        return None
    if len(before) == 2 and before[1:] in (b" ", b".", b"-") and before[:1].isalnum() and before != b"1-":
        if before[1:] != b" " or before[:1].isdigit():
            return None
    elif before[1:].isalnum():
        return None
    digits = text[start:end].translate(None, _NO_DIGITS)
    if digits[0] == 48:
        return spans[0] if 10 <= len(digits) <= 12 else None
    return spans[0] if len(digits) == 10 and digits[0] > 49 and digits[3] > 49 else None


def _called(text: bytes, spans: Sequence[Span]) -> Span | None:
    value = text[slice(*spans[1])]
    digits = value.translate(None, _NO_DIGITS)
    fits = 7 <= len(digits) <= 15 and (digits != value or (len(digits) >= 10 and digits[0] == 48))
    return spans[1] if fits else None


_ISSUERS = (
    *((4, 4, {13, 16, 19}), (51, 55, {16}), (2221, 2720, {16}), (34, 34, {15}), (37, 37, {15}), (2200, 2204, {16})),
    *((6011, 6011, {16, 19}), (644, 659, {16, 19}), (62, 62, {16, 17, 18, 19}), (3528, 3589, {16, 19})),
    *((300, 305, {14}), (36, 36, {14}), (38, 39, {14}), (5018, 5018, {16}), (5020, 5020, {16}), (5038, 5038, {16})),
    *((6304, 6304, {16, 18, 19}), (6759, 6763, {16, 18, 19})),
)
"""First digits from, to, and the lengths that the issuer gives out; no epoch time of this century begins so."""
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def _card(text: bytes, spans: Sequence[Span]) -> Span | None:
    start, end = spans[1]
    if text[end : end + 1] == b"." and text[end + 1 : end + 2].isdigit():
        return None
    if not _is_card(text[start:end].translate(None, b" +-.").decode()):
        return None
    around = _UUID.finditer(text, max(0, start - 36), end + 36)
    return None if any(uuid.start() < end and start < uuid.end() for uuid in around) else (start, end)


def _is_card(digits: str) -> bool:
    if not _is_issued(digits[:4], len(digits)):
        return False
    return (sum(map(int, digits[-1::-2])) + sum(map(int, digits[-2::-2].translate(_DOUBLED)))) % 10 == 0


_DOUBLED = str.maketrans("0123456789", "0246813579")


@lru_cache(maxsize=4096)
def _is_issued(first: str, length: int) -> bool:
    return any(low <= int(first[: len(str(low))]) <= high and length in lengths for low, high, lengths in _ISSUERS)


def _iban(text: bytes, spans: Sequence[Span]) -> Span | None:
    plain = text[slice(*spans[0])].replace(b" ", b"").decode()
    for length in range(min(len(plain), 34), 14, -1):  # a word in capitals may follow
        number = plain[4:length] + plain[:4]
        if int("".join(str(int(char, 36)) for char in number)) % 97 == 1:
            start, end = spans[0]
            return start, end if length == len(plain) else _after(text, start, length)
    return None


def _after(text: bytes, at: int, letters: int) -> int:
    while letters:
        letters -= text[at : at + 1] != b" "
        at += 1
    return at


_GROUPS = rb"|".join(
    rb"[2-6]\d{3}S\d{4}S\d{4}S\d{1,7}|3\d{3}S\d{6}S\d{4,5}".replace(b"S", gap)
    for gap in (rb" ", rb"[+]", rb"-", rb"[.]")
)
_WORD = rb"[A-Za-z0-9_-]"
_KEYS = (
    rb"(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA)[A-Z0-9]{12,}",
    rb"AIza[\w-]{20,}|ya29\.[\w-]{10,}|GOCSPX-[\w-]{10,}|GOOG[0-9A-Z]{18,}",
    rb"gh[oprsu]_[A-Za-z0-9_]{10,}|github_pat_\w{10,}|v1\.[0-9a-f]{40}",
    rb"gl[a-z]{2,8}-[\w.-]{16,}|GR1348941[\w-]{10,}",
    rb"xox[a-z](?:\.xox[a-z])?-[\w-]{8,}|xapp-\d-[\w-]{8,}",
    (
        rb"(?:whsec|npm|hf|api_org|pplx|gsk|r8|figd|fig[ou]|sbp|ntn|lin_api|lin_oauth|shippo_(?:live|test)|CCIPAT|rdme|tfp|pnu|"
        rb"pul|glsa|glc|fm[12]|fo1|sntry[su]|nvapi|xai|fw|dp\.(?:pt|st|ct|sa|scim|audit)|hv[srb]|SG|PMAK|NRAK|NRII|NRJS|HRKU|"
        rb"FLWSECK_TEST|sq0[a-z]{3}|ops|sk-ant|sk-proj|rubygems|pscale_[a-z]{2,5}|do[opr]_v1|dckr_[a-z]{3})[_.-]\w[\w.=+/-]{15,}"
    ),
    rb"(?:ATATT3|ATCTT3|EZ[AT]K|AKCp|LTAI|AKID|dapi)[A-Za-z0-9][\w.=+/-]{15,}",
    rb"shp[a-z]{2}_[0-9A-Za-z]{16,}|dt0[a-z]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{16,}|AGE-SECRET-KEY-1[0-9A-Z]{20,}",
    rb"pypi-AgE[\w-]{10,}|access-(?:sandbox|development|production)-[0-9a-f-]{36}|duffel_(?:test|live)_[\w=-]{16,}",
    rb"(?:SK|AC)[0-9a-f]{32}|key-[0-9a-f]{32}|[0-9a-f]{32}-us\d{1,2}|\d{8,10}:AA[\w-]{16,}|[sb]\.[A-Za-z0-9]{24}",
    rb"[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}|[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40,}|EAA[0-9A-Za-z]{40,}",
    rb"eyJ[\w-]{8,}(?:\.[\w=-]*)*|LS0tLS1CRUdJTi[A-Za-z0-9+/=_-]{8,}",
)
SHAPES: tuple[Shape, ...] = (
    Shape(names.NAMED, _keyed),
    Shape(names.FLAG, _named),
    Shape(names.ELEMENT, _named),
    Shape(names.SPOKEN, _spoken),
    Shape(rb"\b(?:" + rb"|".join(_KEYS) + rb")", _key),
    Shape(rb"\b[\w.-]{3}8Q~[\w~.-]{31,34}"),
    Shape(rb"\b(?:sk|pk|rk|tok|svc)_(?:live_|test_|prod_|demo_)?([A-Za-z0-9_-]{8,})", _has_digit),
    Shape(rb"\bsk-([A-Za-z0-9_-]{16,})", _has_digit),
    Shape(rb"\b[A-Za-z0-9]{1,16}_(?:live|test|demo|prod)_([A-Za-z0-9]{8,})", _has_both),
    Shape(rb"(?i)hooks\.slack\.com/(?:services|workflows|triggers)/([\w/]{16,})"),
    Shape(rb"(?i)\bbearer[\s+:=]{1,4}(?:token\s)?[\"']?([\w.~+/-]{6,}=*)", _bearer),
    Shape(rb"(?i)\bbasic[\s+]{1,4}([A-Za-z0-9+/=_-]{8,})", _basic),
    Shape(rb"(?i)\bdigest\s+(username=[^\r\n]+)"),
    Shape(rb"(?i)\b(?:aws4-hmac-sha256|hmac-sha\d+|negotiate|ntlm)\s+((?:[A-Za-z]+=)?[A-Za-z0-9+/=_-]{16,}[^\r\n]*)"),
    Shape(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----", _pem),
    Shape(rb"(?i)\bsetuser\s[^\r\n>]*>([^\s\"'\\]+)"),
    Shape(rb"(?i)\bssn[\"']?\W{1,4}(\d{3}-\d{2}-\d{4})\b"),
    Shape(rb"\bAUTH(?:[\"']?\s+[\"']?[a-z][a-z0-9_-]*)?[\"']?\s+[\"']([^\"']+)"),
    Shape(rb"\bAUTH\s+(?:[a-z]+\s+|PLAIN\s+|LOGIN\s+)?([^\s\"'\\]*[0-9A-Z!@#$%^&*=+/-][^\s\"'\\]*)", _auth),
    Shape(
        rb"(?i)\b(?:requirepass|masterauth|identified\s+(?:with\s+\w+\s+)?by(?:\s+password)?)[\"']?\s+[\"']?([^\s\"'\\;]+)"
    ),
    Shape(rb"(?:^|[\s\"'])(?:-u|--user|--proxy-user|-U)[\"',= ]{1,4}[\"']?[^\s\"':/]+:([^\s\"'\\]+)", _credentials),
    Shape(
        rb"\b(?:mysql\w*|mariadb\w*|sshpass|redis-cli|valkey-cli)\b(?:\s+[^\s-]\S*|\s+-[^pa\s]\S*)*\s+-[pa]\s?[\"']?([^\s\"'\\]{4,})"
    ),
    Shape(rb"(?i)\bmachine\s+\S+\s+login\s+\S+\s+password\s+(\S+)"),
    Shape(rb"([A-Za-z][A-Za-z0-9+.-]*)://((?:[^\s\"'<>\\|]|[\"'][\w.])*@(?:[^\s\"'<>\\|]|[\"'][\w.])*)", _url),
    Shape(rb"[\w.+\x80-\xff-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}\b", _email),
    Shape(rb"\+[1-9][\d .()/-]{6,}\d", _plus_phone, retry=True),
    Shape(rb"\(\d{3}\) ?\d{3}[ .-]\d{4}|\b\d{3}-\d{3}-\d{4}|\b\d{3}\.\d{3}\.\d{4}", _phone, retry=True),
    Shape(rb"\b0[1-9]\d{1,3}[ /-]\d{3,4}[ -]?\d{3,6}", _phone, retry=True),
    Shape(
        rb"(?i)\b(?:call(?:ed|ing)?|phone|tel(?:ephone)?|mobile|cell|fax|dial(?:led)?|sms|whatsapp|hotline)(?:\snumber)?\b[.:]?\s{1,3}"
        rb"(?:(?:no|nr|number|us|me|him|her|at|on|to|is|was)[.:]?\s+)?([(\d][\d ()/-]{5,20}\d)\b",
        _called,
    ),
    Shape(rb"(?:^|[^\w.])([2-6]\d{12,18}|" + _GROUPS + rb")\b", _card, retry=True),
    Shape(rb"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b", _iban),
)
_COMPILED = tuple((compiled(shape.pattern), shape.check, shape.retry) for shape in SHAPES)
SUSPICIOUS = rb"|".join(b"(?:" + shape.pattern + b")" for shape in SHAPES)
"""Every pattern of the table, as one."""


def spans(text: bytes, rows: Iterable[int]) -> Iterator[Span]:
    """What ``text`` holds of the shapes in these rows of the table."""
    for pattern, check, retry in (_COMPILED[row] for row in rows if row < len(SHAPES)):
        at = 0
        while (found := find(pattern, text, at))[0][0] >= 0:
            start, end = found[0]
            span = check(text, found) if check is not None else found[-1]
            if span is not None:
                if span[0] < span[1]:
                    yield span
                end = max(end, span[1])
            at = start + 1 if span is None and retry else max(end, at + 1)
