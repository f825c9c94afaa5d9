"""Who may: API keys are known by their digest only, and compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from signal_service.context import Priority

HEADER_LENGTH_MAX = 512


class KeyEntry(Protocol):
    """What the settings say of one key."""

    @property
    def id(self) -> str:
        """Name of the key, not secret."""

    @property
    def key_sha256(self) -> str:
        """SHA-256 of the key, hexadecimal."""

    @property
    def user(self) -> str:
        """Whose key it is."""

    @property
    def scopes(self) -> Iterable[str]:
        """What it opens."""

    @property
    def priority(self) -> Priority:
        """How soon its requests are shed."""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key that was accepted: its name, user, scopes and priority; never the key."""

    id: str
    user: str
    scopes: frozenset[str]
    priority: Priority


class KeyRing:
    """The keys in force; immutable, a reload makes a new one.

    Args:
        api_keys: entries of the settings.
    """

    def __init__(self, api_keys: Iterable[KeyEntry]) -> None:
        self._keys = tuple(
            (bytes.fromhex(key.key_sha256), KeyInfo(key.id, key.user, frozenset(key.scopes), key.priority))
            for key in api_keys
        )

    def check(self, header: str | bytes | None) -> KeyInfo | None:
        """The key that the value of ``X-API-Key`` or ``Authorization: Bearer`` names, or None.

        Every digest is compared, found or not: the time tells neither which key came close nor how many there are
        before it. A missing, empty or overlong value (512 bytes) is no key.
        """
        if not header:
            return None
        raw = header if isinstance(header, bytes) else header.encode("utf-8", "surrogatepass")
        raw = raw.strip()
        if raw[:7].lower() == b"bearer ":
            raw = raw[7:].strip()
        if not raw or len(raw) > HEADER_LENGTH_MAX:
            return None
        digest = hashlib.sha256(raw).digest()
        found: KeyInfo | None = None
        for known, info in self._keys:
            if hmac.compare_digest(known, digest):
                found = info
        return found
