"""The outbox: an alert is durable before it is accepted, and a key used again gets its first answer.

One transaction writes the alert to a stream and its idempotency record beside it, so neither exists without the
other. ``outbox_worker`` delivers; an entry leaves the stream when every receiver has taken it or refused it for good,
so the stream's length is the number of undelivered alerts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError, WatchError

from signal_service.config.settings import OutboxSettings
from signal_service.seams import EmitEvent
from signal_service.store.outbox_entry import opened_record, seal, sealed_record
from signal_service.store.redis_link import RedisGoneError, RedisLink

Durability = Literal["durable", "volatile", "unknown"]

ACCEPT_S = 1.0
"""A transaction may wait for the disk (fsync always); longer than that counts as gone."""
PROBE_EVERY_S = 5.0
TRIES_MAX = 5

PREMISE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
"""What Redis must be set to, to keep what it acknowledged."""


class OutboxFullError(Exception):
    """As many alerts wait as may.

    Attributes:
        depth: undelivered alerts.
    """

    def __init__(self, depth: int) -> None:
        super().__init__(f"{depth} alerts are undelivered")
        self.depth = depth


class OutboxUnavailableError(Exception):
    """The alert could not be made durable, or nobody can say whether it was; the same key may be used again."""


class KeyConflictError(Exception):
    """The idempotency key was used with another body.

    Attributes:
        key: the key.
    """

    def __init__(self, key: str) -> None:
        super().__init__("the idempotency key was used with another body")
        self.key = key


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a key was answered with; ``first`` is False when that was before.

    ``alert_id`` is that of a durable alert, and empty where the rule did not hold and nothing was to be sent.
    """

    alert_id: str
    first: bool


@dataclass(frozen=True, slots=True)
class Names:
    """The keys in Redis."""

    stream: str
    dead: str
    progress: str
    record: str

    @classmethod
    def below(cls, prefix: str) -> Names:
        """Below ``prefix``."""
        return cls(f"{prefix}alerts", f"{prefix}dead", f"{prefix}progress", f"{prefix}key:")


def digest_of(body: Mapping[str, Any]) -> str:
    """SHA-256 of the body in canonical JSON."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Outbox:
    """The accepting side.

    Args:
        link: the way to Redis.
        settings: capacity, prefix, how long a key is remembered.
        emit: takes the events ``outbox`` and ``redis`` (``volatile``).
        monotonic: seconds.
        wake: called after an alert was accepted.
    """

    def __init__(
        self,
        link: RedisLink,
        settings: OutboxSettings,
        *,
        emit: EmitEvent,
        monotonic: Callable[[], float],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.names = Names.below(settings.prefix)
        self.wake = wake
        self._link = link
        self._settings = settings
        self._emit = emit
        self._monotonic = monotonic
        self._turn = asyncio.Lock()  # one accept at a time, so that the capacity is exact
        self._durability: Durability = "unknown"
        self._probed_s = -PROBE_EVERY_S
        self._state: dict[str, Any] = {"undelivered": 0, "dead": 0}

    def apply(self, settings: OutboxSettings) -> None:
        """Take a new capacity and memory of keys."""
        self._settings = settings

    async def replay(self, user: str, key: str, body: Mapping[str, Any]) -> Accepted | None:
        """The first answer to ``key``, or None when it is new.

        Raises:
            KeyConflictError: it was used with another body.
            OutboxUnavailableError: Redis cannot say.
        """
        name = self._record(user, key)
        try:
            raw = await self._link.run(lambda client: client.get(name))
        except (RedisGoneError, RedisError) as error:
            raise self._unavailable(key, error) from error
        return self._first_answer(raw, key, digest_of(body))

    async def accept(self, user: str, key: str, body: Mapping[str, Any], text: str = "") -> Accepted:
        """Make an alert durable: ``body`` (``symbol``, ``rule``, ``channel``) with ``user`` and ``text``.

        Raises:
            KeyConflictError: the key was used with another body.
            OutboxFullError: as many alerts wait as may.
            OutboxUnavailableError: it is not known to be durable.
        """
        digest = digest_of(body)
        # The id follows from user, key and body: even if the record were lost, receivers would know the alert again.
        alert_id = hashlib.sha256("\0".join((user, key, digest)).encode()).hexdigest()[:32]
        alert = json.dumps({**body, "alert_id": alert_id, "user": user, "text": text}, separators=(",", ":"))
        record = sealed_record(alert_id, digest)
        async with self._turn:
            try:
                held, depth = await self._link.run(
                    lambda client: self._write(client, self._record(user, key), record, alert), ACCEPT_S
                )
            except (RedisGoneError, RedisError) as error:
                raise self._unavailable(key, error) from error
        if held is not None:
            found = self._first_answer(held, key, digest)
            assert found is not None
            return found
        if depth < 0:
            self._emit("outbox", event="full", key=key, depth=-depth)
            raise OutboxFullError(-depth)
        self._emit("outbox", event="accepted", alert_id=alert_id, key=key, depth=depth)
        self._state["undelivered"] = depth
        self.wake()
        return Accepted(alert_id, True)

    async def decline(self, user: str, key: str, body: Mapping[str, Any]) -> Accepted:
        """Remember that the rule did not hold: the key must get this answer again, whatever prices do meanwhile.

        Raises:
            KeyConflictError: the key was used with another body.
            OutboxUnavailableError: it is not known to be remembered.
        """
        digest, name = digest_of(body), self._record(user, key)
        record = sealed_record("", digest)
        px = int(self._settings.key_ttl_s * 1000)
        try:
            first = await self._link.run(lambda client: client.set(name, record, px=px, nx=True), ACCEPT_S)
            held = None if first else await self._link.run(lambda client: client.get(name), ACCEPT_S)
        except (RedisGoneError, RedisError) as error:
            raise self._unavailable(key, error) from error
        return self._first_answer(held, key, digest) or Accepted("", True)

    async def _write(self, client: Redis, name: str, record: bytes, alert: str) -> tuple[bytes | None, int]:
        """The record that was there (then nothing is written), and the depth: negative when that is the bound."""
        for _ in range(TRIES_MAX):
            async with client.pipeline(transaction=True) as pipe:
                await pipe.watch(name)
                held = await pipe.get(name)
                if isinstance(held, bytes):
                    return held, 0
                depth = int(await pipe.xlen(self.names.stream))
                if depth >= self._settings.capacity:
                    return None, -depth
                pipe.multi()  # type: ignore[no-untyped-call]
                pipe.xadd(self.names.stream, seal(alert))  # type: ignore[arg-type]
                pipe.set(name, record, px=int(self._settings.key_ttl_s * 1000))
                try:
                    await pipe.execute()
                except WatchError:
                    continue  # another process had the same key at the same time; now its record is there
                return None, depth + 1
        raise RedisGoneError

    def _record(self, user: str, key: str) -> str:
        return self.names.record + hashlib.sha256(f"{user}\0{key}".encode()).hexdigest()

    def _first_answer(self, raw: Any, key: str, digest: str) -> Accepted | None:
        if raw is None:
            return None
        try:
            record = opened_record(raw)
            found = Accepted(record["alert_id"], False)
            same = record["digest"] == digest
        except (ValueError, KeyError, TypeError) as error:  # altered in Redis: better no answer than a wrong one
            raise self._unavailable(key, error) from error
        if not same:
            self._emit("outbox", event="conflict", key=key, alert_id=found.alert_id)
            raise KeyConflictError(key)
        self._emit("outbox", event="replayed", key=key, alert_id=found.alert_id)
        return found

    def _unavailable(self, key: str, error: Exception) -> OutboxUnavailableError:
        self._emit("outbox", event="unavailable", key=key, error=type(error).__name__)
        return OutboxUnavailableError(type(error).__name__)

    async def durability(self) -> Durability:
        """Whether Redis keeps what it acknowledged; asked for every few seconds at most."""
        now_s = self._monotonic()
        if now_s - self._probed_s < PROBE_EVERY_S:
            return self._durability
        self._probed_s = now_s
        old, self._durability = self._durability, await self._probe()
        if self._durability == "volatile" and old != "volatile":
            self._emit("redis", event="volatile", durable=False)
        return self._durability

    async def _probe(self) -> Durability:
        async def work(client: Redis) -> bool:
            for name, wanted in PREMISE.items():
                found = await client.config_get(name)
                if not found:
                    raise RedisGoneError
                if found.get(name) != wanted:
                    return False
            return True

        try:
            return "durable" if await self._link.run(work) else "volatile"
        except (RedisGoneError, RedisError):
            return "unknown"  # gone, or CONFIG is not allowed to us

    async def state(self) -> dict[str, Any]:
        """``undelivered`` and ``dead`` (the last known figures when Redis is gone), ``reachable``."""

        async def work(client: Redis) -> tuple[int, int]:
            return int(await client.xlen(self.names.stream)), int(await client.xlen(self.names.dead))

        try:
            undelivered, dead = await self._link.run(work)
        except (RedisGoneError, RedisError):
            return {**self._state, "reachable": False}
        self._state = {"undelivered": undelivered, "dead": dead}
        return {**self._state, "reachable": True}

    async def dead_letters(self, count: int = 10) -> list[dict[str, str]]:
        """The newest alerts that a receiver refused for good; none while Redis is gone.

        ``alert_id``, ``receiver`` and ``error`` of each, not what it says: that is for its user alone.
        """
        try:
            rows: Any = await self._link.run(lambda client: client.xrevrange(self.names.dead, count=count))
        except (RedisGoneError, RedisError):
            return []
        return [
            _label({name.decode(): value.decode(errors="replace") for name, value in row.items()}) for _, row in rows
        ]


def _label(letter: Mapping[str, str]) -> dict[str, str]:
    try:
        alert_id = str(json.loads(letter["alert"])["alert_id"])
    except (ValueError, LookupError, TypeError):
        alert_id = ""  # junk that somebody put into the stream
    return {"alert_id": alert_id, "receiver": letter.get("receiver", ""), "error": letter.get("error", "")}
