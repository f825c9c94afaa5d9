"""One alert as it stands in the stream: its text beside a digest, so that what was altered on its way is noticed.

A byte that is flipped between here and Redis turns an alert into another one, or into none; the store has the true
one still. Who reads a damaged entry reads it again before believing it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def seal(alert: str) -> dict[str, str]:
    """The fields of the entry."""
    return {"alert": alert, "sum": _digest(alert.encode())}


def opened(fields: Mapping[bytes, bytes]) -> str | None:
    """The alert's text; None when it is not what was written. Entries from before there were digests are believed."""
    raw, digest = fields.get(b"alert", b""), fields.get(b"sum")
    if digest is None and fields.keys() == {b"alert"}:
        return raw.decode(errors="replace")
    if digest is None or digest.decode(errors="replace") != _digest(raw):
        return None
    return raw.decode(errors="replace")


def sealed_record(alert_id: str, digest: str) -> bytes:
    """What is remembered of an idempotency key: the answer it got, and the digest of the body it came with."""
    return json.dumps(
        {"alert_id": alert_id, "digest": digest, "sum": _digest(f"{alert_id} {digest}".encode())}
    ).encode()


def opened_record(raw: bytes) -> dict[str, str]:
    """The record; one from before there were sums is believed.

    Raises:
        ValueError: when it is none, or not what was written.
    """
    record: dict[str, str] = json.loads(raw)
    told = record["alert_id"], record["digest"]
    if record.keys() != {"alert_id", "digest"} and record.get("sum") != _digest(" ".join(told).encode()):
        raise ValueError("the record was altered")
    return record


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=12).hexdigest()
