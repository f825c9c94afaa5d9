"""Signs and checks DSSE envelopes with Ed25519 keys: the only proof of who made a certificate.

In come bytes, their type and a key; out come envelopes as JSON, or ``EnvelopeError`` and ``KeyFileError``. An envelope
signs the type of the payload together with its bytes ("pre-authentication encoding"), so that a signed file cannot be
passed off as another kind of file. Keys are PEM files, as ``openssl genpkey -algorithm ed25519`` and ``hardening
keygen`` make them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

IN_TOTO = "application/vnd.in-toto+json"
MANIFEST = "application/vnd.signal-hardening.manifest+json"


class KeyFileError(ValueError):
    """A key that cannot be used; the message names the option, the file and what is allowed."""


class EnvelopeError(ValueError):
    """An envelope that does not hold; the message says what is wrong with it."""


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256, in hex, of the key in DER (SubjectPublicKeyInfo)."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def load_private_key(path: Path, option: str) -> Ed25519PrivateKey:
    """A private key from an unencrypted PEM file.

    Raises:
        KeyFileError: naming ``option``.
    """
    wanted = "an unencrypted Ed25519 private key in PEM"
    data = _read(path, option, wanted)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{option} is {str(path)!r}, allowed: {wanted}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{option} is {str(path)!r}, a key of another kind, allowed: {wanted}")
    return key


def load_public_key(path: Path, option: str) -> Ed25519PublicKey:
    """A public key from a PEM file.

    Raises:
        KeyFileError: naming ``option``.
    """
    wanted = "an Ed25519 public key in PEM"
    data = _read(path, option, wanted)
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{option} is {str(path)!r}, allowed: {wanted}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{option} is {str(path)!r}, a key of another kind, allowed: {wanted}")
    return key


def _read(path: Path, option: str, wanted: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{option} is {str(path)!r}, allowed: {wanted} ({error.strerror})") from None


def new_key_pair() -> tuple[bytes, bytes, str]:
    """A fresh key: private PEM, public PEM, key id."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private, public, key_id(key.public_key())


def encoded(payload_type: str, payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of type and payload."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, key: Ed25519PrivateKey) -> str:
    """The envelope as JSON text."""
    signature = {"keyid": key_id(key.public_key()), "sig": _text(key.sign(encoded(payload_type, payload)))}
    envelope = {"payloadType": payload_type, "payload": _text(payload), "signatures": [signature]}
    return json.dumps(envelope, indent=1, sort_keys=True) + "\n"


def opened(text: str, payload_type: str, payload: bytes) -> list[tuple[str, bytes]]:
    """The signatures (key id, signature) of an envelope, which must be around exactly this type and payload.

    Raises:
        EnvelopeError: when it is no envelope, or is around something else.
    """
    try:
        envelope: Any = json.loads(text)
        kind, inside = envelope["payloadType"], base64.b64decode(envelope["payload"], validate=True)
        signatures = [(str(s["keyid"]), base64.b64decode(s["sig"], validate=True)) for s in envelope["signatures"]]
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise EnvelopeError("it is no DSSE envelope") from None
    if kind != payload_type:
        raise EnvelopeError(f"its payload is {kind!r}, not {payload_type!r}")
    if inside != payload:
        raise EnvelopeError("its payload is not the file beside it, byte for byte")
    if not signatures:
        raise EnvelopeError("it carries no signature")
    return signatures


def check(text: str, payload_type: str, payload: bytes, key: Ed25519PublicKey) -> None:
    """Return when ``key`` signed this type and payload.

    Raises:
        EnvelopeError: otherwise.
    """
    signatures = opened(text, payload_type, payload)
    for _, signature in signatures:
        try:
            key.verify(signature, encoded(payload_type, payload))
        except InvalidSignature:
            continue
        return
    made_by = ", ".join(sorted({name[:16] for name, _ in signatures}))
    raise EnvelopeError(f"it was signed by {made_by}..., not by the given key {key_id(key)[:16]}...")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
