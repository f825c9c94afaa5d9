"""Keys are known by digest, named, scoped, and never compared early."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import pytest

from signal_service.context import Priority
from signal_service.security.auth import HEADER_LENGTH_MAX, KeyInfo, KeyRing


@dataclass(frozen=True)
class Entry:
    id: str
    key_sha256: str
    user: str
    scopes: tuple[str, ...] = ("signals",)
    priority: Priority = "normal"


def entry(name: str, key: str, scopes: tuple[str, ...] = ("signals",), priority: Priority = "normal") -> Entry:
    return Entry(name, hashlib.sha256(key.encode()).hexdigest(), f"user-{name}", scopes, priority)


RING = KeyRing([entry("a", "key-of-a"), entry("ops", "key-of-ops", ("admin", "metrics"), "high"), entry("z", "kéy-z")])


def test_a_known_key_gives_its_name_user_scopes_and_priority() -> None:
    assert RING.check("key-of-ops") == KeyInfo("ops", "user-ops", frozenset({"admin", "metrics"}), "high")


@pytest.mark.parametrize(
    "header", ["Bearer key-of-a", "bearer  key-of-a ", b"key-of-a", " key-of-a", b"BEARER key-of-a"]
)
def test_a_key_is_taken_from_either_header(header: str | bytes) -> None:
    found = RING.check(header)
    assert found is not None
    assert found.id == "a"


def test_a_key_that_is_not_ascii_is_compared_as_utf8() -> None:
    assert RING.check("kéy-z") is not None
    assert RING.check("\udcff") is None


@pytest.mark.parametrize("header", [None, "", " ", "Bearer ", "key-of-b", "KEY-OF-A", "key-of-a\0", "x" * 10_000_000])
def test_anything_else_is_no_key(header: str | None) -> None:
    assert RING.check(header) is None


def test_an_overlong_value_is_not_even_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []
    monkeypatch.setattr("signal_service.security.auth.hashlib.sha256", hashed.append)
    assert RING.check("x" * (HEADER_LENGTH_MAX + 1)) is None
    assert hashed == []


def test_every_digest_is_compared_whichever_key_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []
    real = hmac.compare_digest

    def counting(known: bytes, given: bytes) -> bool:
        compared.append(known)
        return real(known, given)

    monkeypatch.setattr("signal_service.security.auth.hmac.compare_digest", counting)
    for header in ("key-of-a", "kéy-z", "nobody"):
        compared.clear()
        RING.check(header)
        assert len(compared) == 3


def test_an_empty_ring_lets_nobody_in() -> None:
    assert KeyRing([]).check("anything") is None
