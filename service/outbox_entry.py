"""One alert as it stands in the stream: its text beside a digest, so that what was altered on its way is noticed.

A byte that is flipped between here and Redis turns an alert into another one, or into none; the store has the true
one still. Who reads a damaged entry reads it again before believing it.
"""

from __future__ import annotations

import hashlib
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


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=12).hexdigest()
