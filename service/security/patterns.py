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

SECRET_NAMES = {"auth", "session", "sid", "pin", "pan", "dsn", "jwt", "email", "phone", "mobile", "msisdn"}
"""Names that name a secret only when they stand alone."""

HARMLESS_ENDINGS = ("tokens", "count", "limit", "type", "ttl", "expires", "expiresin", "length", "sha256", "digest")
"""``token_count`` and ``key_sha256`` tell nothing."""

_STEMS = (
    *("passw", "passphrase", "pwd", "secret", "token", "credential", "authorization", "cookie", "cvv", "session"),
    *("apikey", "api_key", "api-key", "accesskey", "access_key", "access-key", "privatekey", "private_key"),
    *("signingkey", "signing_key", "encryption_key", "audit_key", "redis_url", "database_url", "card_number"),
    *('"auth"', "auth=", '"pin"', '"pan"', '"sid"', "sid=", "dsn", "jwt", "phone", "email"),
)
_NAME_REST = re.compile(r"""["']?[\w.-]{0,40}""")
_NAME_BACK = re.compile(r"[\w.-]{0,40}\Z")
_ASSIGN = re.compile(
    r"""(?P<close>\\{0,7}["'])?(?:\s{0,8}(?:=>|[:=])|(?<=["']),)\s{0,8}(?:\[\s{0,8}|\(\s{0,8})?b?(?P<slash>\\{0,7})(?P<open>["'])?"""
)
_IN_DOUBLE = re.compile(r'(?:[^"\\]|\\.)++', re.DOTALL)
_IN_SINGLE = re.compile(r"""(?:[^'"\\\n]|\\.)++""")
_IN_ESCAPED = re.compile(r"""(?:[^"'\\]|\\{1,7}[^"'\\])++""")
_BARE = re.compile(r"""(?:[^\s"'\\&,;)}\]\[{(]|\\[^"'nrt]|[,;)}\]](?![\s"'\\,;)}\]]|\Z))++""")
_REST_OF_LINE = re.compile(r"""(?:[^"\\\r\n]|\\[^"nr])++""")
_LITERAL = re.compile(r"(?:null|none|true|false|-?\d{1,19}(?:\.\d{1,19})?)(?![\w.])", re.IGNORECASE)
_DIGITS_TELL = re.compile(r"pass|pwd|pin|pan|cvv|card|phone|mobile|msisdn|secret")

_URL = re.compile(r"""[^\s"'<>\\|]++""")
_SCHEME_BACK = re.compile(r"[a-z][a-z0-9+.-]{1,30}\Z")
_DATABASE = re.compile(
    r"(?:rediss?|valkeys?|unix|postgres(?:ql)?|mysql|mariadb|mongodb|mssql|oracle|amqps?|clickhouse|cockroachdb|jdbc)\b"
)
_USERINFO = re.compile(r"""[^\s"'<>\\/?#@]{1,512}@(?:[^\s"'<>\\/?#@]{1,256}@)?""")

_BEARER = re.compile(r"""(?:bearer|token)[\s+:=]{1,4}(?:token\s)?["']?([\w.~+/=-]{6,8}[\w.~+/=-]*+)""", re.IGNORECASE)
_BASIC = re.compile(
    r"""(?:basic|digest|negotiate)[\s+]{1,4}([A-Za-z0-9+/=_-]{8,16}[A-Za-z0-9+/=_-]*+)""", re.IGNORECASE
)
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,16}[A-Za-z0-9_.=-]*+")
_KEY_PREFIX = {
    "_live_": re.compile(r"_live_[A-Za-z0-9_-]{4,8}[A-Za-z0-9_-]*+"),
    "_test_": re.compile(r"_test_[A-Za-z0-9_-]{8,9}[A-Za-z0-9_-]*+"),
    "_demo_": re.compile(r"_demo_[A-Za-z0-9_-]{8,9}[A-Za-z0-9_-]*+"),
    "sk-": re.compile(r"sk-[A-Za-z0-9_-]{16,17}[A-Za-z0-9_-]*+"),
    "sk_": re.compile(r"sk_[A-Za-z0-9_-]{8,9}[A-Za-z0-9_-]*+"),
    "pk_": re.compile(r"pk_[A-Za-z0-9_-]{12,13}[A-Za-z0-9_-]*+"),
    "gh": re.compile(r"gh(?:[opsur]_|ithub_pat_)[A-Za-z0-9_]{10,16}[A-Za-z0-9_]*+"),
    "github_pat_": re.compile(r"github_pat_[A-Za-z0-9_]{10,16}[A-Za-z0-9_]*+"),
    "xox": re.compile(r"xox[abeprs]-[A-Za-z0-9-]{10,16}[A-Za-z0-9-]*+"),
    "glpat-": re.compile(r"glpat-[A-Za-z0-9_-]{10,16}[A-Za-z0-9_-]*+"),
    "AKIA": re.compile(r"AKIA[A-Z0-9]{12,16}"),
    "ASIA": re.compile(r"ASIA[A-Z0-9]{12,16}"),
    "AIza": re.compile(r"AIza[A-Za-z0-9_-]{20,35}[A-Za-z0-9_-]*+"),
}
_KEY_BACK = re.compile(r"[A-Za-z0-9]{0,16}\Z")
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:[A-Za-z0-9+/=:,\s-]|\\{1,7}[nrt])*+")

_EMAIL_LOCAL = re.compile(r"[\w.+-]{1,64}\Z")
_EMAIL_DOMAIN = re.compile(r"@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])")
_PLUS_PHONE = re.compile(r"\+[1-9](?:[ .()-]{0,2}\d){7,14}(?!\w)")
_FLOAT = re.compile(r"\+\d{1,20}\.\d{1,20}\Z")
_NUMBER = re.compile(
    r"\d(?<![\w.].)(?:"
    r"\d{12,18}(?!\w|\.\d)"  # a card in one piece
    r"|\d{3}(?P<s>[ +-])\d{4}(?P=s)\d{4}(?P=s)\d{1,7}(?!\w)"  # 4-4-4-4
    r"|\d{3}(?P<t>[ +-])\d{6}(?P=t)\d{4,5}(?!\w)"  # 4-6-5
    r"|(?P<phone>\d{2}(?:\) ?\d{3}[ .-]|(?P<u>[ .-])\d{3}(?P=u))\d{4}(?!\w|[. -]\d)"  # 999-999-9999, (999) 999-9999
    r"|(?<=0)\d{2,4}[ /-]\d{3,4}[ -]?\d{3,6}(?!\w|[. -]\d)))"  # 0999 9999 999
)
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


def _anchors(text: str, anchor: str) -> Iterator[int]:
    hit = text.find(anchor)
    while hit >= 0:
        yield hit
        hit = text.find(anchor, hit + 1)


def keyed(text: str, lowered: str) -> Iterator[Span]:
    """Values of fields, headers, parameters and assignments whose name says that they are secret."""
    for stem in _STEMS:
        for hit in _anchors(lowered, stem):
            span = _keyed_at(text, hit, stem)
            if span is not None:
                yield span


def _keyed_at(text: str, hit: int, stem: str) -> Span | None:
    start = hit + 1 if stem[0] == '"' else hit
    back = _NAME_BACK.search(text, max(0, start - 40), start)
    rest = _NAME_REST.match(text, start)
    if back is None or rest is None:
        return None
    name = back.group() + rest.group()
    assign = _ASSIGN.match(text, rest.end())
    if assign is None or not is_secret_name(name):
        return None
    literal = _LITERAL.match(text, assign.end())
    if literal is not None and not (assign["open"] or (digits_tell(name) and literal.group()[-1].isdigit())):
        return None
    value = _value_pattern(name.lower(), assign).match(text, assign.end())
    return value.span() if value is not None else None


def _value_pattern(name: str, assign: re.Match[str]) -> re.Pattern[str]:
    if assign["open"]:
        if assign["slash"]:
            return _IN_ESCAPED
        return _IN_DOUBLE if assign["open"] == '"' else _IN_SINGLE
    if "cookie" in name or "authorization" in name:
        return _REST_OF_LINE
    return _BARE


def urls(text: str, lowered: str) -> Iterator[Span]:
    """Database and Redis URLs whole but for the scheme; of any other URL the user and password."""
    for hit in _anchors(text, "://"):
        scheme = _SCHEME_BACK.search(lowered, max(0, hit - 31), hit)
        if scheme is None:
            continue
        database = _DATABASE.match(scheme.group())
        match = (_URL if database else _USERINFO).match(text, hit + 3)
        if match is not None:
            yield match.start(), match.end() - (0 if database else 1)


def tokens(text: str, lowered: str) -> Iterator[Span]:
    """Bearer and basic credentials, JWTs, keys of well-known shapes, private keys."""
    for stem, pattern in (("bearer", _BEARER), ("basic", _BASIC), ("digest", _BASIC)):
        for hit in _anchors(lowered, stem):
            match = pattern.match(text, hit)
            if match is not None and (stem == "bearer" or not match[1].isalpha() or not match[1].islower()):
                yield match.span(1)
    for hit in _anchors(text, "eyJ"):
        match = _JWT.match(text, hit)
        if match is not None:
            yield match.span()
    for hit in _anchors(text, "-----BEGIN"):
        match = _PEM.match(text, hit)
        if match is not None:
            yield match.span()
    for anchor, pattern in _KEY_PREFIX.items():
        for hit in _anchors(text, anchor):
            match = pattern.match(text, hit)
            if match is not None and (hit == 0 or anchor[0] == "_" or not text[hit - 1].isalnum()):
                back = _KEY_BACK.search(text, max(0, hit - 16), hit) if anchor[0] == "_" else None
                yield (back.start() if back else hit), match.end()


def people(text: str, lowered: str) -> Iterator[Span]:
    """E-mail addresses, international phone numbers."""
    for hit in _anchors(text, "@"):
        domain = _EMAIL_DOMAIN.match(text, hit)
        local = _EMAIL_LOCAL.search(text, max(0, hit - 64), hit) if domain else None
        if domain is not None and local is not None:
            yield local.start(), domain.end()
    for hit in _anchors(text, "+"):
        phone = _PLUS_PHONE.match(text, hit)
        if phone is None or (hit and text[hit - 1].isalnum()) or _FLOAT.match(phone.group()):
            continue
        yield phone.span()


def numbers(text: str, lowered: str) -> Iterator[Span]:
    """Card numbers (issuer and Luhn) and phone numbers as they are written nationally."""
    for match in _NUMBER.finditer(text):
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
