"""What must not go live, and what must not be mistaken for it."""

from __future__ import annotations

import base64
import hashlib
from random import Random

import pytest
from front_world import settings

from signal_service.config import dangers

GUESSED = [
    "changeme", "CHANGE-ME", "changeme1234", "my-secret-token-123", "password_password", "this-is-the-default-token",
    "aaaaaaaaaaaaaaaa", "abababababab", "123456789012", "abcdefghijklmnop", "0123456789abcdef",
    "replace_me_in_production",
]  # fmt: skip
DRAWN = [
    "svc_0123456789abcdef",
    "correct horse battery staple",
    "R8f2-kq0P-zz1L",
    "7f3a9c0d51e2b864",
    "tokamak-tokens-9",
]


@pytest.mark.parametrize("secret", GUESSED)
def test_a_secret_that_anybody_would_guess_is_a_default(secret: str):
    assert dangers.is_default(secret)
    (line,) = settings(service_token=secret).dangers()
    assert line.startswith("service_token: a default value")
    assert secret not in line


@pytest.mark.parametrize("secret", DRAWN)
def test_a_drawn_secret_is_none(secret: str):
    assert not dangers.is_default(secret)
    assert settings(service_token=secret).dangers() == []


def test_no_random_token_is_taken_for_a_default():
    rng = Random(1)  # a generator of evenly drawn bytes is the promise; an adversary draws zeros
    for _ in range(5000):
        drawn = rng.randbytes(16)
        assert not dangers.is_default(base64.urlsafe_b64encode(drawn).decode())
        assert not dangers.is_default(drawn[:12].hex())


def test_one_secret_is_one_line_however_many_things_are_wrong_with_it():
    assert len(dangers.secret_dangers("service_token", "test")) == 1
    assert len(dangers.secret_dangers("service_token", "")) == 1


def test_the_digest_of_a_default_key_is_found_though_the_key_is_not_stored():
    key = {"id": "old", "user": "u", "key_sha256": hashlib.sha256(b"changeme").hexdigest()}
    assert settings(api_keys=[key]).dangers() == ["api_keys.old: the digest of a default value"]


def test_a_default_password_in_the_redis_url_is_found_and_none_is_let_be():
    (line,) = settings(redis_url="redis://:p%61ssword@redis:6379/0").dangers()
    assert line.startswith("redis_url: its password is a default value")
    assert settings(redis_url="redis://redis:6379/0").dangers() == []


def test_the_origin_of_sandboxed_pages_is_a_wildcard():
    assert [line.partition(":")[0] for line in settings(cors_origins=["https://a.b", "null"]).dangers()] == [
        "cors_origins"
    ]
    assert settings(cors_origins=["https://a.b"]).dangers() == []
