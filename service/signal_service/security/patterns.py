"""What a secret looks like: each rule is an anchor that is searched as plain text, and a bounded look around it.

Searching a literal runs at memory speed and a pattern runs only where an anchor stands, so a megabyte costs
milliseconds. Every repetition is either bounded or possessive and last, so that no input, however hostile, makes a
rule read a character more than a fixed number of times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

Span = tuple[int, int]

SECRET_PARTS = (
    *("password", "passwd", "passphrase", "pwd", "secret", "token", "credential", "authorization", "cookie"),
    *("apikey", "accesskey", "privatekey", "signingkey", "encryptionkey", "auditkey", "sessionid", "sessionkey"),
    *("redisurl", "databaseurl", "cardnumber", "cvv"),
)
"""A name that contains one of these, read without ``-``, ``_`` and ``.``, names a secret."""

SECRET_NAMES = {"auth", "pass", "session", "sid", "pin", "pan", "dsn", "jwt", "email", "phone", "mobile", "msisdn"}
"""Names that name a secret only when they stand alone."""

HARMLESS_ENDINGS = ("tokens", "count", "limit", "type", "ttl", "expires", "expiresin", "length", "sha256", "digest")
"""``token_count`` and ``key_sha256`` tell nothing."""

_STEMS = ("pass", "pwd", "secret", "token", "cookie", "sess", "key", "auth")
"""Where the search for such a name begins; what else may bear such a name is found by its own shape."""

_NAME_REST = re.compile(r"""["']?[\w.-]{0,40}""")
_NAME_BACK = re.compile(r"[\w.-]{0,40}")
_ASSIGN = re.compile(
    r"""(?P<close>\\{0,7}["'])?(?:\s{0,8}(?:=>|[:=])|(?<=["']),)\s{0,8}(?:\[\s{0,8}|\(\s{0,8})?b?(?P<slash>\\{0,7})(?P<open>["'])?"""
)
_COLON = re.compile(r"""\\{0,7}["']\s{0,8}:""")
_IN_DOUBLE = re.compile(r'(?:[^"\\]|\\.)++', re.DOTALL)
_IN_SINGLE = re.compile(r"""(?:[^'"\\\n]|\\.)++""")
_IN_ESCAPED = re.compile(r"""(?:[^"'\\]|\\{1,7}[^"'\\])++""")
_BARE = re.compile(r"""(?:[^\s"'\\&,;)}\]\[{(]|\\[^"'nrt]|[,;)}\]](?![\s"'\\,;)}\]]|\Z))++""")
_REST_OF_LINE = re.compile(r"""(?:[^"\\\r\n]|\\[^"nr])++""")
NUMBER = re.compile(r"-?\d{1,512}(?:\.\d{1,512})?(?:[eE][+-]?\d{1,4})?")
_LITERAL = re.compile(rf"(?:null|none|true|false|nan|-?infinity|{NUMBER.pattern})(?![\w.])", re.IGNORECASE)
_DIGITS_TELL = re.compile(r"pass|pwd|pin|pan|cvv|card|phone|mobile|msisdn|secret")

_URL = re.compile(r"""[^\s"'<>\\|]++""")
_SCHEME_BACK = re.compile(r"[a-z0-9+.-]{1,31}")
_DATABASE = re.compile(
    r"(?:rediss?|valkeys?|unix|postgres(?:ql)?|mysql|mariadb|mongodb|mssql|oracle|amqps?|clickhouse|cockroachdb|jdbc)\b"
)
_USERINFO = re.compile(r"""[^\s"'<>\\/?#@]{1,512}@(?:[^\s"'<>\\/?#@]{1,256}@)?""")

_BEARER = re.compile(r"""bearer[\s+:=]{1,4}(?:token\s)?["']?([\w.~+/=-]{6,8}[\w.~+/=-]*+)""", re.IGNORECASE)
_BASIC = re.compile(r"""basic[\s+]{1,4}([A-Za-z0-9+/=_-]{8,16}[A-Za-z0-9+/=_-]*+)""", re.IGNORECASE)
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,16}[A-Za-z0-9_.=-]*+")
_KEY_PREFIX = {
    "_live_": re.compile(r"_live_[A-Za-z0-9_-]{4,8}[A-Za-z0-9_-]*+"),
    "_test_": re.compile(r"_test_[A-Za-z0-9_-]{8,9}[A-Za-z0-9_-]*+"),
    "_demo_": re.compile(r"_demo_[A-Za-z0-9_-]{8,9}[A-Za-z0-9_-]*+"),
    "sk-": re.compile(r"sk-[A-Za-z0-9_-]{16,17}[A-Za-z0-9_-]*+"),
    "sk_": re.compile(r"sk_[A-Za-z0-9_-]{8,9}[A-Za-z0-9_-]*+"),
    "tok_": re.compile(r"tok_[A-Za-z0-9_-]{12,13}[A-Za-z0-9_-]*+"),
    "ghp_": re.compile(r"ghp_[A-Za-z0-9_]{10,16}[A-Za-z0-9_]*+"),
    "github_pat_": re.compile(r"github_pat_[A-Za-z0-9_]{10,16}[A-Za-z0-9_]*+"),
    "AKIA": re.compile(r"AKIA[A-Z0-9]{12,16}"),
    "AIza": re.compile(r"AIza[A-Za-z0-9_-]{20,35}[A-Za-z0-9_-]*+"),
}
_KEY_BACK = re.compile(r"[A-Za-z0-9]{0,16}")
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:[A-Za-z0-9+/=:,\s-]|\\{1,7}[nrt])*+")

_EMAIL_LOCAL = re.compile(r"[\w.+-]{1,64}")
_EMAIL_DOMAIN = re.compile(r"@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])")
_PLUS_PHONE = re.compile(r"\+[1-9](?:[ .()-]{0,2}\d){7,14}(?!\w|\.\d)")
_FLOAT = re.compile(r"\+\d{1,20}\.\d{1,20}(?![\d.-])")
_NUMBER = re.compile(
    r"\d(?<![\w.].)(?:"
    r"\d{12,18}(?!\w|\.\d)"  # a card in one piece
    r"|\d{3}(?P<s>[ +-])\d{4}(?P=s)\d{4}(?P=s)\d{1,7}(?!\w)"  # 4-4-4-4
    r"|\d{3}(?P<t>[ +-])\d{6}(?P=t)\d{4,5}(?!\w)"  # 4-6-5
    r"|(?P<phone>\d{2}(?:\) ?\d{3}[ .-]|(?P<u>[ .-])\d{3}(?P=u))\d{4}(?!\w|[. -]\d)"  # 999-999-9999, (999) 999-9999
    r"|(?<=0)[1-9]\d{1,3}[ /-]\d{3,4}[ -]?\d{3,6}(?!\w|[. -]\d)))",  # 0999 9999 999
    re.ASCII,
)
_NUMBER_MAX = 24
_CLASSES = bytes(57 if chr(code) in "0123456789" else 32 if chr(code) in "+-/" else code for code in range(256))
_SHAPES = ((b"9" * 13, 0), (b"999 9999", 12), (b".999.9999", 4))
"""What each number below holds after ``_CLASSES``, and how far before it the number may begin."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_ISSUERS = (
    *((4, 4, {13, 16, 19}), (51, 55, {16}), (2221, 2720, {16}), (34, 34, {15}), (37, 37, {15}), (2200, 2204, {16})),
    *((6011, 6011, {16, 19}), (644, 659, {16, 19}), (62, 62, {16, 17, 18, 19}), (3528, 3589, {16, 19})),
    *((300, 305, {14}), (36, 36, {14}), (38, 39, {14}), (5018, 5018, {16}), (5020, 5020, {16}), (5038, 5038, {16})),
    *((6304, 6304, {16, 18, 19}), (6759, 6763, {16, 18, 19})),
)
"""First digits from, to, and the lengths that the issuer gives out; no epoch time of this century begins so."""


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a field, header, parameter or variable of this name holds a secret."""
    plain = name.lower().replace("-", "").replace("_", "").replace(".", "")
    if plain.endswith(HARMLESS_ENDINGS):
        return False
    return plain in SECRET_NAMES or any(part in plain for part in SECRET_PARTS)


@lru_cache(maxsize=4096)
def digits_tell(name: str) -> bool:
    """Whether under this name even a bare number is a secret: a PIN is, a ``token`` of 5 is a count."""
    return _DIGITS_TELL.search(name.lower()) is not None


def back_to(pattern: re.Pattern[str], text: str, at: int, width: int) -> int:
    """Where the characters of ``pattern`` that end at ``at`` begin, at most ``width`` before; read backwards, once."""
    match = pattern.match(text[max(0, at - width) : at][::-1])
    return at - match.end() if match is not None else at


def keyed(text: str, lowered: str) -> Iterator[Span]:
    """Values of fields, headers, parameters and assignments whose name says that they are secret."""
    for stem in _STEMS:
        hit = lowered.find(stem)
        while hit >= 0:
            alone = stem == "key" and lowered[hit - 1 : hit] == '"'  # "key" says nothing, and is everywhere
            span = None if alone else _keyed_at(text, hit)
            if span is not None:
                yield span
            hit = lowered.find(stem, span[1] if span is not None else hit + 1)


def _keyed_at(text: str, start: int) -> Span | None:
    rest = _NAME_REST.match(text, start)
    assign = _ASSIGN.match(text, rest.end()) if rest is not None else None
    if rest is None or assign is None:
        return None
    name = text[back_to(_NAME_BACK, text, start, 40) : rest.end()]
    if not is_secret_name(name):
        return None
    literal = _LITERAL.match(text, assign.end())
    if literal is not None and not (assign["open"] or (digits_tell(name) and literal.group()[-1].isdigit())):
        return None
    value = _value_pattern(name.lower(), assign).match(text, assign.end())
    if value is None or ("," in assign.group() and _COLON.match(text, value.end())):
        return None  # the name was a value itself, and what follows is the next name
    return value.span()


def _value_pattern(name: str, assign: re.Match[str]) -> re.Pattern[str]:
    if assign["open"]:
        if assign["slash"]:
            return _IN_ESCAPED
        return _IN_DOUBLE if assign["open"] == '"' else _IN_SINGLE
    if not assign["close"] and ("cookie" in name or "authorization" in name):
        return _REST_OF_LINE
    return _BARE


def _matches(pattern: re.Pattern[str], anchor: str, text: str, searched: str) -> Iterator[re.Match[str]]:
    """Matches of ``pattern`` where ``anchor`` stands; what one match took is not looked at again."""
    hit = searched.find(anchor)
    while hit >= 0:
        match = pattern.match(text, hit)
        if match is not None:
            yield match
        hit = searched.find(anchor, hit + 1 if match is None else max(match.end(), hit + 1))


def urls(text: str, lowered: str) -> Iterator[Span]:
    """Database and Redis URLs whole but for the scheme; of any other URL the user and password."""
    hit = text.find("://")
    while hit >= 0:
        scheme = lowered[back_to(_SCHEME_BACK, lowered, hit, 31) : hit]
        database = _DATABASE.search(scheme)
        match = (_URL if database else _USERINFO).match(text, hit + 3)
        if match is not None:
            yield match.start(), match.end() - (0 if database else 1)
        hit = text.find("://", match.end() if match is not None else hit + 3)


def tokens(text: str, lowered: str) -> Iterator[Span]:
    """Bearer and basic credentials, JWTs, keys of well-known shapes, private keys."""
    for stem, pattern in (("bearer", _BEARER), ("basic ", _BASIC)):
        for match in _matches(pattern, stem, text, lowered):
            if stem == "bearer" or not match[1].isalpha() or not match[1].islower():
                yield match.span(1)
    for anchor, pattern in (("eyJ", _JWT), ("-----BEGIN", _PEM)):
        for match in _matches(pattern, anchor, text, text):
            yield match.span()
    for anchor, pattern in _KEY_PREFIX.items():
        for match in _matches(pattern, anchor, text, text):
            start = match.start()
            if anchor[0] == "_":
                yield back_to(_KEY_BACK, text, start, 16), match.end()
            elif not (start and text[start - 1].isalnum()):
                yield match.span()


def people(text: str, lowered: str) -> Iterator[Span]:
    """E-mail addresses, international phone numbers."""
    for domain in _matches(_EMAIL_DOMAIN, "@", text, text):
        start = back_to(_EMAIL_LOCAL, text, domain.start(), 64)
        if start < domain.start():
            yield start, domain.end()
    for phone in _matches(_PLUS_PHONE, "+", text, text):
        start = phone.start()
        if not (start and text[start - 1].isalnum()) and not _FLOAT.match(text, start):
            yield phone.span()


def _numbers(text: str) -> Iterator[re.Match[str]]:
    """Candidates: shapes of digits and separators are found as fast as a literal, and looked at in full only there."""
    shapes = text.encode("latin-1", "replace").translate(_CLASSES)
    for shape, back in _SHAPES:
        hit = shapes.find(shape)
        while hit >= 0:
            end = hit + len(shape)
            for match in _NUMBER.finditer(text, max(0, hit - back), end + _NUMBER_MAX):
                end = max(end, match.end())
                yield match
            hit = shapes.find(shape, end)


def numbers(text: str, lowered: str) -> Iterator[Span]:
    """Card numbers (issuer and Luhn) and phone numbers as they are written nationally."""
    for match in _numbers(text):
        start, end = match.span()
        if match["phone"] is not None:
            if _is_phone(text, start, end):
                yield start, end
        elif _is_card("".join(filter(str.isdigit, match.group()))) and not _in_uuid(text, start, end):
            yield start, end


def _is_phone(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - 2) : start]
    if len(before) == 2 and before[1] in " .-" and before[0].isalnum() and before != "1-":
        return before[1] == " " and before[0].isalpha()
    digits = [char for char in text[start:end] if char.isdigit()]
    if digits[0] == "0":
        return 10 <= len(digits) <= 12
    return digits[0] > "1" and digits[3] > "1"


def _is_card(digits: str) -> bool:
    length = len(digits)
    if not any(low <= int(digits[: len(str(low))]) <= high and length in lengths for low, high, lengths in _ISSUERS):
        return False
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0


def _in_uuid(text: str, start: int, end: int) -> bool:
    around = _UUID.finditer(text, max(0, start - 36), end + 36)
    return any(uuid.start() < end and start < uuid.end() for uuid in around)


RULES: tuple[Callable[[str, str], Iterator[Span]], ...] = (keyed, urls, tokens, people, numbers)
