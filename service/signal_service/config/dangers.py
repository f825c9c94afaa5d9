"""What is well formed and still no way to go live: one line for each, naming the field and what to do about it.

Never a value: it might be a secret.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

SECRET_LENGTH_MIN = 12
DISTINCT_MIN = 4
"""A secret that somebody drew at random has more different characters than three."""

_WORDS = (
    *("changeme", "change", "me", "secret", "password", "passwd", "default", "token", "test", "example", "admin"),
    *("service", "signal", "signals", "key", "api", "root", "redis", "dev", "local", "demo", "sample", "dummy", "todo"),
    *(
        "placeholder",
        "replaceme",
        "replace",
        "insecure",
        "this",
        "my",
        "your",
        "the",
        "please",
        "here",
        "with",
        "to",
        "is",
    ),
    *("in", "production", "prod", "qwerty", "letmein", "hunter", "foo", "bar", "none", "null", "empty", "unset", "xxx"),
)
# Longest first and possessive: linear, however long the secret.
_MADE_OF_WORDS = re.compile("(?:" + "|".join(sorted(_WORDS, key=len, reverse=True)) + ")++")
_RUNS = ("0123456789" * 4, "9876543210" * 4, "abcdefghijklmnopqrstuvwxyz" * 2, "0123456789abcdef" * 3)
_DIGESTS = frozenset(
    hashlib.sha256(text.encode()).hexdigest() for word in ("", *_WORDS) for text in (word, f"sk_{word}", f"{word}123")
)


def is_default(secret: str) -> bool:
    """Whether anybody would guess it: common words and digits, one character again and again, a run of the alphabet."""
    lowered = secret.lower()
    letters = re.sub(r"[^a-z]", "", lowered)
    if letters and _MADE_OF_WORDS.fullmatch(letters):
        return True
    if any(lowered in run for run in _RUNS):
        return True
    return len(secret) >= DISTINCT_MIN and len(set(secret)) < DISTINCT_MIN


def secret_dangers(name: str, secret: str) -> list[str]:
    """What is wrong with a secret that must be there; at most one line."""
    if not secret:
        return [f"{name}: missing, none may be left out"]
    if is_default(secret):
        return [f"{name}: a default value, anybody would guess it; draw one at random"]
    if len(secret) < SECRET_LENGTH_MIN:
        return [f"{name}: shorter than {SECRET_LENGTH_MIN} characters"]
    return []


def password_dangers(name: str, password: str) -> list[str]:
    """What is wrong with a password inside a URL, which may be empty; at most one line."""
    return [f"{name}: its password is a default value; draw one at random"] if password and is_default(password) else []


def origin_dangers(origins: Sequence[str]) -> list[str]:
    """``null`` is what a sandboxed page of any site sends, so it is a wildcard too."""
    if any("*" in origin or origin.lower() == "null" for origin in origins):
        return ["cors_origins: a wildcard lets every site in; list the origins"]
    return []


def key_dangers(keys: Sequence[tuple[str, str]]) -> list[str]:
    """API keys as pairs of id and SHA-256; a line for each that is the digest of a default value, one if none is."""
    if not keys:
        return ["api_keys: there is none, nobody could be served"]
    return [f"api_keys.{name}: the digest of a default value" for name, digest in keys if digest in _DIGESTS]
