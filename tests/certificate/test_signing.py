"""DSSE envelopes: another implementation reads them, and nothing but the signed bytes passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from hardening.certificate.signing import (
    IN_TOTO,
    EnvelopeError,
    KeyFileError,
    check,
    encoded,
    key_id,
    load_private_key,
    load_public_key,
    new_key_pair,
    sign,
)

KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()


@given(st.binary(max_size=200))
def test_another_implementation_verifies_what_is_signed_here(payload: bytes) -> None:
    envelope = Envelope.from_dict(json.loads(sign(IN_TOTO, payload, KEY)))
    public = SSlibKey.from_crypto(KEY.public_key(), key_id(KEY.public_key()))
    assert envelope.payload == payload
    assert envelope.pae() == encoded(IN_TOTO, payload)
    assert list(envelope.verify([public], 1)) == [public.keyid]


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_only_the_signed_bytes_pass(payload: bytes, other: bytes) -> None:
    text = sign(IN_TOTO, payload, KEY)
    check(text, IN_TOTO, payload, KEY.public_key())
    if other != payload:
        with pytest.raises(EnvelopeError, match="byte for byte"):
            check(text, IN_TOTO, other, KEY.public_key())


def test_the_key_of_somebody_else_does_not_pass() -> None:
    with pytest.raises(EnvelopeError, match="not by the given key"):
        check(sign(IN_TOTO, b"x", KEY), IN_TOTO, b"x", OTHER.public_key())


def test_an_envelope_of_another_type_does_not_pass_for_this_one() -> None:
    with pytest.raises(EnvelopeError, match=r"not 'application/vnd\.in-toto"):
        check(sign("text/plain", b"x", KEY), IN_TOTO, b"x", KEY.public_key())


def test_a_type_exchanged_after_signing_does_not_pass() -> None:
    envelope = json.loads(sign("text/plain", b"x", KEY))
    with pytest.raises(EnvelopeError, match="not by the given key"):
        check(json.dumps({**envelope, "payloadType": IN_TOTO}), IN_TOTO, b"x", KEY.public_key())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"payloadType": 1, "payload": "!", "signatures": []}', "null"])
def test_what_is_no_envelope_is_said_to_be_none(text: str) -> None:
    with pytest.raises(EnvelopeError, match="no DSSE envelope"):
        check(text, IN_TOTO, b"x", KEY.public_key())


def test_an_envelope_without_signatures_does_not_pass() -> None:
    envelope = json.loads(sign(IN_TOTO, b"x", KEY))
    with pytest.raises(EnvelopeError, match="no signature"):
        check(json.dumps({**envelope, "signatures": []}), IN_TOTO, b"x", KEY.public_key())


def test_keys_that_are_written_are_read_again(tmp_path: Path) -> None:
    private, public, name = new_key_pair()
    (tmp_path / "a").write_bytes(private)
    (tmp_path / "b").write_bytes(public)
    assert key_id(load_private_key(tmp_path / "a", "--sign-key").public_key()) == name
    assert key_id(load_public_key(tmp_path / "b", "--key")) == name


def unusable_keys() -> dict[str, bytes]:
    rsa = generate_private_key(65537, 2048)
    locked = BestAvailableEncryption(b"secret")
    return {
        "text": b"no key at all",
        "rsa": rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "locked": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked),
        "public": new_key_pair()[1],
    }


def test_a_key_that_cannot_sign_is_refused_by_option_file_and_what_is_allowed(tmp_path: Path) -> None:
    for name, data in unusable_keys().items():
        (tmp_path / name).write_bytes(data)
    for name in ("text", "rsa", "locked", "public", "missing"):
        with pytest.raises(KeyFileError) as refused:
            load_private_key(tmp_path / name, "--sign-key")
        assert "--sign-key is" in str(refused.value)
        assert "allowed: an unencrypted Ed25519 private key in PEM" in str(refused.value)


def test_a_key_that_cannot_verify_is_refused(tmp_path: Path) -> None:
    (tmp_path / "private").write_bytes(new_key_pair()[0])
    for name in ("private", "missing"):
        with pytest.raises(KeyFileError, match="--key is"):
            load_public_key(tmp_path / name, "--key")
