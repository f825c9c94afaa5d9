"""Cache entries in Redis are damaged, swapped or expired without their owner's doing.

In: which entries and how, with a seed; out: faults on the ``redis`` target, whose effect counts entries. A damaged
entry that cannot be removed is a ``HealError``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from hardening.faults.base import Effect, FaultError, HealError, between, one_of
from hardening.faults.redis_fault import RedisFault, info, text
from hardening.faults.targets import RedisServer

_SCAN_COUNT = 1000


def _corrupt(value: bytes, rng: random.Random) -> bytes:
    """A few bytes in the middle changed, the length kept."""
    if not value:
        return b"\x00"
    hurt = bytearray(value)
    for _ in range(max(1, len(hurt) // 50)):
        hurt[rng.randrange(len(hurt))] ^= rng.randrange(1, 256)
    return bytes(hurt)


def _wrong_version(value: bytes, rng: random.Random) -> bytes:
    """The version of a JSON envelope raised beyond what anybody knows; without one, a foreign envelope."""
    changed, count = re.subn(rb'("v(?:ersion)?"\s*:\s*)"?\d+"?', rb"\g<1>9999", value, count=1)
    return changed if count else b'{"v":9999,"data":null}'


def _truncated(value: bytes, rng: random.Random) -> bytes:
    """The first half."""
    return value[: len(value) // 2]


def _digit(value: bytes, rng: random.Random) -> bytes:
    """One digit is another one: as well-formed as before, and wrong. Of the second half, where the data are."""
    places = [at for at in range(len(value) // 2, len(value)) if value[at : at + 1].isdigit()]
    if not places:
        return _corrupt(value, rng)
    at = rng.choice(places)
    other = rng.choice([digit for digit in b"123456789" if digit != value[at]])
    return value[:at] + bytes([other]) + value[at + 1 :]


def _emptied(value: bytes, rng: random.Random) -> bytes:
    """Nothing at all."""
    return b""


DAMAGE: Mapping[str, Callable[[bytes, random.Random], bytes]] = MappingProxyType(
    {
        "corrupt": _corrupt,
        "digit": _digit,
        "wrong_version": _wrong_version,
        "truncate": _truncated,
        "empty": _emptied,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisEntriesDamaged(RedisFault):
    """Up to ``entries_max`` string values below ``prefix`` are damaged; their time to live stays.

    ``how``: ``corrupt``, ``digit`` (one digit is another one), ``wrong_version``, ``truncate``, ``empty``, ``swap``
    (entries change places, each then lies under a wrong key) or ``wrong_type`` (a list stands where a string was).
    Healing removes what is still as we left it.
    """

    kind: ClassVar[str] = "redis_entries_damaged"
    summary: ClassVar[str] = "corrupt, truncate or swap entries of the cache, or give them a wrong version"
    variants = tuple({"how": how} for how in ("corrupt", "truncate", "empty", "wrong_version", "swap", "wrong_type"))
    drawn = ({"how": ("corrupt", "truncate", "wrong_version", "swap"), "seed": range(100), "entries_max": (1, 1000)},)

    target: str = "redis"
    how: str = "corrupt"
    prefix: str = "signal:cache:"
    entries_max: int = 1000
    seed: int = 0

    def validate(self) -> None:
        """A known damage, a prefix that spares the rest of the data."""
        one_of("how", self.how, (*DAMAGE, "swap", "wrong_type"))
        between("entries_max", self.entries_max, 1, 1_000_000)
        _check_prefix(self.prefix)

    async def break_it(self, target: RedisServer) -> object:
        """Damage them; the token says what now stands under which key."""
        found: dict[bytes, bytes] = {}
        for key in (await _keys(target, self.prefix))[: self.entries_max]:
            if text(await target.command("TYPE", key)) == "string":
                found[key] = bytes(await target.command("GET", key) or b"")
        rng = random.Random(self.seed)
        planted: dict[bytes, bytes] = {}
        others = [*list(found.values())[1:], *list(found.values())[:1]]
        for (key, value), other in zip(found.items(), others, strict=True):
            hurt = other if self.how == "swap" else DAMAGE.get(self.how, _truncated)(value, rng)
            if hurt != value and await self._plant(target, key, hurt):
                planted[key] = hurt
        return planted

    def details(self, token: object) -> Mapping[str, Any]:
        """The entries that were damaged, named as their owner names them, and how."""
        planted = token if isinstance(token, dict) else {}
        return {"entries": {text(key).removeprefix(self.prefix): self.how for key in planted}}

    async def _plant(self, target: RedisServer, key: bytes, hurt: bytes) -> bool:
        """False when the key expired meanwhile: nothing was damaged."""
        if self.how != "wrong_type":
            return await target.command("SET", key, hurt, "XX", "KEEPTTL") is not None
        left_ms = int(await target.command("PTTL", key))
        if not int(await target.command("DEL", key)):
            return False
        await target.command("RPUSH", key, hurt)
        if left_ms > 0:
            await target.command("PEXPIRE", key, left_ms)
        return True

    async def undo(self, target: RedisServer, token: object) -> Effect:
        """Remove each entry that still is as we left it; what the owner wrote since stays."""
        planted: dict[bytes, bytes] = token if isinstance(token, dict) else {}
        left = 0
        for key, hurt in planted.items():
            if await _value(target, key) == hurt:
                left += 1
                await target.command("DEL", key)
                if await _value(target, key) == hurt:
                    raise HealError(f"the damaged entry {text(key)} cannot be removed")
        return Effect({"entries_damaged": float(len(planted)), "never_noticed": 0.0 if not planted else float(left)})


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisExpiryStorm(RedisFault):
    """Every key below ``prefix`` expires within ``within_ms``: all entries are gone at once.

    There is nothing to heal: an expired entry is simply not there.
    """

    kind: ClassVar[str] = "redis_expiry_storm"
    summary: ClassVar[str] = "let all cache entries expire in the same moment"

    target: str = "redis"
    prefix: str = "signal:cache:"
    within_ms: int = 50
    seed: int = 0

    def validate(self) -> None:
        """A short moment, a prefix that spares the rest of the data."""
        between("within_ms", self.within_ms, 1, 60_000)
        _check_prefix(self.prefix)

    async def break_it(self, target: RedisServer) -> object:
        """Shorten every time to live; returns the count before of what the server has expired, and ours."""
        rng = random.Random(self.seed)
        before = int((await info(target, "stats"))["expired_keys"])
        keys = await _keys(target, self.prefix)
        set_now = [int(await target.command("PEXPIRE", key, rng.randint(1, self.within_ms))) for key in keys]
        return before, sum(set_now)

    async def undo(self, target: RedisServer, token: object) -> Effect:
        """There is nothing to heal; count the keys that expired."""
        before, ours = token if isinstance(token, tuple) else (0, 0)
        if not ours:
            return Effect({"keys_expired": 0.0})
        # Keys that nobody touches are expired by the server's own sweep; ask for each, which expires it now.
        await _keys(target, self.prefix)
        expired = int((await info(target, "stats"))["expired_keys"]) - before
        return Effect({"keys_expired": float(min(max(0, expired), ours))})


def _check_prefix(prefix: str) -> None:
    if not prefix or any(sign in prefix for sign in "*?[]\\"):
        raise FaultError("fault.prefix", prefix, "some plain text, none of * ? [ ] \\")


async def _keys(target: RedisServer, prefix: str) -> list[bytes]:
    """Every key below the prefix, sorted, so that a seed damages the same ones again."""
    found: set[bytes] = set()
    cursor: Any = 0
    while True:
        reply = await target.command("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", _SCAN_COUNT)
        cursor, keys = int(reply[0]), reply[1]
        found.update(key if isinstance(key, bytes) else str(key).encode() for key in keys)
        if cursor == 0:
            return sorted(found)


async def _value(target: RedisServer, key: bytes) -> bytes | None:
    """What stands under the key: a string, or the first item of a list."""
    type_ = text(await target.command("TYPE", key))
    if type_ == "list":
        return bytes(await target.command("LINDEX", key, 0) or b"")
    reply = await target.command("GET", key) if type_ == "string" else None
    return None if reply is None else bytes(reply)
