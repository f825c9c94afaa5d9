"""A cache entry as it lies in Redis: versioned, checksummed, bound to its key and to the time it may be kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import Redis

FORMAT = 1
SLACK_S = 1.0

Why = Literal["truncated", "version", "key", "checksum", "ttl"]


class CorruptError(ValueError):
    """An entry that must not be served.

    Attributes:
        why: ``truncated`` (no such JSON), ``version``, ``key``, ``checksum``, ``ttl``.
    """

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Envelope:
    """An entry that can be believed; ``dead`` when it says that the key was invalidated.

    ``keep_s`` is the expiry that it was written with.
    """

    version: int
    keep_s: float
    age_s: float
    dead: bool
    data: Any


def pack(key: str, version: int, keep_s: float, data: Any, *, dead: bool = False) -> bytes:
    """The entry's bytes; ``keep_s`` is the expiry that it will be written with, from which its age follows."""
    body = json.dumps([key, version, keep_s, dead, data], separators=(",", ":"), allow_nan=False)
    return f'{{"v":{FORMAT},"sum":"{_digest(body)}","body":{body}}}'.encode()


def tombstone(key: str, version: int, keep_s: float) -> bytes:
    """The entry that says: whatever you have of this key is void."""
    return pack(key, version, keep_s, None, dead=True)


def unpack(key: str, raw: bytes, left_s: float | None) -> Envelope:
    """Check and open an entry.

    Args:
        key: the key that it was found under.
        raw: its bytes.
        left_s: seconds until Redis expires it; ``None`` when its age does not matter.

    Raises:
        CorruptError: when anything about it is wrong.
    """
    try:
        outer = json.loads(raw)
        format_, digest, body = outer["v"], outer["sum"], outer["body"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CorruptError("truncated") from None
    if type(format_) is not int or format_ != FORMAT:
        raise CorruptError("version")
    if _digest(json.dumps(body, separators=(",", ":"))) != digest:
        raise CorruptError("checksum")
    found, version, keep_s, dead, data = body
    if found != key:
        raise CorruptError("key")
    return Envelope(version, keep_s, 0.0 if left_s is None else age_of(keep_s, left_s), dead, data)


def age_of(keep_s: float, left_s: float) -> float:
    """Seconds since an entry was written, of which Redis keeps ``left_s`` of the ``keep_s`` it was written with.

    Raises:
        CorruptError: when it never expires, or is kept longer than it was written for.
    """
    age_s = keep_s - left_s
    if left_s < 0 or age_s < -SLACK_S:
        raise CorruptError("ttl")
    return max(0.0, age_s)


async def fetch(client: Redis, name: str) -> tuple[bytes | None, float]:
    """An entry's bytes and the seconds that Redis will keep them (negative: it never expires)."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.get(name)
        pipe.pttl(name)
        raw, left_ms = await pipe.execute()
    return raw, left_ms / 1000


def _digest(body: str) -> str:
    return hashlib.blake2b(body.encode(), digest_size=16).hexdigest()
