"""Delivery: from the stream to every receiver, at least once, until each has taken the alert or refused it for good.

A consumer group remembers what was read and not finished; after a crash such entries are claimed again. What each
receiver settled is kept beside the stream, so a crash between two receivers skips neither. Every delivery carries
the alert's id as its idempotency key: receivers see it twice at worst, and act once.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from signal_service.clients.errors import DownstreamError
from signal_service.config.settings import OutboxSettings
from signal_service.context import RequestContext, current_request
from signal_service.seams import EmitEvent
from signal_service.store.outbox import ACCEPT_S, Names
from signal_service.store.outbox_entry import opened
from signal_service.store.redis_link import RedisGoneError, RedisLink

GROUP = "delivery"
CONSUMER = "worker"  # one name for all processes: only idleness tells whose entries are orphaned
POLL_S = 0.5
DELIVERY_S = 5.0
LOST_IDLE_S = 1.0
"""After a fetch that failed, entries that nobody touched for so long are claimed again."""
DEAD_MAX = 10_000

Receive = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(slots=True)
class _Item:
    """One entry on its way.

    Attributes:
        settled: receiver to ``delivered`` or ``dead``.
        unsaved: receivers settled but not yet written down, and their errors.
        in_doubt: the last attempt to write it down may or may not have had its effect.
        damaged: what was read when it was not what had been written; to be read again.
    """

    entry_id: str
    raw: str
    due_s: float
    attempts: int = 0
    settled: dict[str, str] = field(default_factory=dict)
    unsaved: dict[str, str] = field(default_factory=dict)
    in_doubt: bool = False
    damaged: Mapping[bytes, bytes] | None = None

    def take(self, fields: Mapping[bytes, bytes]) -> None:
        """What was read; the same damage twice is the store's own, and then it is no alert."""
        raw = opened(fields)
        if raw is not None or fields == self.damaged:
            self.raw, self.damaged = raw or f"damaged: {dict(fields)}", None
        else:
            self.damaged = dict(fields)

    @property
    def alert(self) -> dict[str, Any]:
        """The alert; an entry that is none gives an empty one, which no receiver can take."""
        try:
            alert = json.loads(self.raw)
        except ValueError:
            return {}
        return alert if isinstance(alert, dict) else {}


class Worker:
    """The delivering side.

    Args:
        link: the way to Redis.
        names: from the outbox.
        receivers: name and delivery; a DownstreamError of kind ``client_error`` is a refusal for good.
        settings: waits, idleness after which an entry counts as orphaned, entries at once.
        emit: takes the event ``outbox``.
        monotonic: seconds.
        rng: draws the jitter.
    """

    def __init__(
        self,
        link: RedisLink,
        names: Names,
        receivers: Mapping[str, Receive],
        settings: OutboxSettings,
        *,
        emit: EmitEvent,
        monotonic: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._link = link
        self._names = names
        self._receivers = dict(receivers)
        self._settings = settings
        self._emit = emit
        self._monotonic = monotonic
        self._rng = rng
        self._items: dict[str, _Item] = {}
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: asyncio.Task[Any] | None = None
        self._claim_at_s = -1.0
        self._claim_idle_s = 0.0  # the first claim takes all: what a former process left behind is ours
        self._cursor = "0-0"
        self._made_anew = False  # the group had to be made in the step before this one

    def apply(self, settings: OutboxSettings) -> None:
        """Take new waits and bounds."""
        self._settings = settings

    def wake(self) -> None:
        """There is something new."""
        self._wake.set()

    @property
    def waiting(self) -> int:
        """Entries read and not yet finished."""
        return len(self._items)

    async def run(self) -> None:
        """Deliver until ``drain`` or cancellation."""
        self._running = asyncio.current_task()
        while not self._stopping:
            self._wake.clear()
            try:
                more = await self.step()
            except Exception as error:  # noqa: BLE001 - alerts that were promised must not wait for a restart
                self._emit("outbox", event="unavailable", error=repr(error))
                more = False
            if not more:
                await self._nap()

    async def drain(self, max_s: float) -> None:
        """Finish the deliveries under way, within ``max_s``, and end ``run``; the rest stays in the stream."""
        self._stopping = True
        self._wake.set()
        if self._running is not None and not self._running.done():
            await asyncio.wait([self._running], timeout=max_s)
            self._running.cancel()
            await asyncio.wait([self._running])

    async def step(self) -> bool:
        """One round: claim, read, deliver what is due. True when more may be waiting."""
        try:
            found = await self._link.run(self._fetch, ACCEPT_S)
        except (RedisGoneError, RedisError) as error:
            found = 0  # what is in hand can still be delivered
            self._claim_soon()
            if "NOGROUP" in str(error) and await self._make_group():
                again, self._made_anew = self._made_anew, True
                return not again  # a store that forgets the group at once would be asked without end
        else:
            self._made_anew = False
        now_s = self._monotonic()
        due = [item for item in self._items.values() if item.due_s <= now_s][: self._settings.batch]
        await asyncio.gather(*(self._deliver(item) for item in due))
        return bool(found) or len(due) == self._settings.batch

    def _claim_soon(self) -> None:
        """A reply that was lost may have named entries which nobody holds now: they must not wait to be orphans."""
        self._claim_at_s, self._cursor = -1.0, "0-0"
        self._claim_idle_s = min(self._claim_idle_s, LOST_IDLE_S)

    async def _nap(self) -> None:
        now_s = self._monotonic()
        wait_s = min((item.due_s - now_s for item in self._items.values()), default=POLL_S)
        try:
            async with asyncio.timeout(min(POLL_S, max(0.01, wait_s))):
                await self._wake.wait()
        except TimeoutError:
            return

    # --- from the stream -----------------------------------------------------------------------------------------

    async def _make_group(self) -> bool:
        """True when the group is there now: Redis is new, or lost its data."""

        async def work(client: Redis) -> None:
            try:
                await client.xgroup_create(self._names.stream, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

        try:
            await self._link.run(work)
        except (RedisGoneError, RedisError) as error:
            self._emit("outbox", event="unavailable", error=type(error).__name__)
            return False
        return True

    async def _fetch(self, client: Redis) -> int:
        """Take orphaned and new entries in hand; how many were new to us."""
        rows: list[Any] = []
        now_s = self._monotonic()
        if now_s >= self._claim_at_s:
            idle_ms = int(self._claim_idle_s * 1000)
            reply: Any = await client.xautoclaim(
                self._names.stream, GROUP, CONSUMER, idle_ms, self._cursor, count=self._settings.batch
            )
            self._cursor = _text(reply[0])
            rows += reply[1]
            if self._cursor == "0-0":  # once round
                self._claim_idle_s = self._settings.claim_idle_s
                self._claim_at_s = now_s + self._settings.claim_idle_s / 3
        read: Any = await client.xreadgroup(GROUP, CONSUMER, {self._names.stream: ">"}, count=self._settings.batch)
        orphans = [_text(row[0]) for row in rows if row[1] is not None and _text(row[0]) not in self._items]
        for streams in read.values() if isinstance(read, dict) else [stream[1] for stream in read or []]:
            rows += streams
        found = 0
        for entry_id, fields in rows:
            name = _text(entry_id)
            if name not in self._items and fields is not None:
                self._items[name] = item = _Item(name, "", now_s)
                item.take(fields)
                found += 1
        for name in orphans:
            self._items[name].settled.update(await self._saved(client, self._items[name]))
        return found

    async def _saved(self, client: Redis, item: _Item) -> dict[str, str]:
        """What is written down of it: receiver to ``delivered`` or ``dead``."""
        fields = [f"{item.entry_id}:{receiver}" for receiver in self._receivers]
        values: Any = await client.hmget(self._names.progress, fields)
        known = zip(self._receivers, values, strict=True)
        return {receiver: _text(value) for receiver, value in known if value is not None}

    # --- to the receivers ----------------------------------------------------------------------------------------

    async def _read_again(self, item: _Item) -> bool:
        """True when it is known what it says."""
        if item.damaged is None:
            return True

        async def work(client: Redis) -> Any:
            return await client.xrange(self._names.stream, item.entry_id, item.entry_id)

        try:
            rows = await self._link.run(work, ACCEPT_S)
        except (RedisGoneError, RedisError):
            return False
        if not rows:  # another process has finished it, or its id was what was damaged
            self._items.pop(item.entry_id, None)
            self._claim_soon()
        for _, fields in rows:
            item.take(fields)
        return item.damaged is None

    async def _deliver(self, item: _Item) -> None:
        if not await self._read_again(item):
            item.due_s = self._monotonic() + self._settings.base_s
            return
        left = [receiver for receiver in self._receivers if receiver not in item.settled]
        item.attempts += bool(left)
        waits_s = await asyncio.gather(*(self._hand_over(item, receiver) for receiver in left))
        if item.unsaved or len(item.settled) == len(self._receivers):
            try:
                await self._link.run(lambda client: self._save(client, item), ACCEPT_S)
            except (RedisGoneError, RedisError):
                item.in_doubt = True
                waits_s.append(self._settings.base_s)
            else:
                item.in_doubt = False
                item.unsaved.clear()
                if len(item.settled) == len(self._receivers):
                    self._items.pop(item.entry_id, None)
                    return
        item.due_s = self._monotonic() + max(waits_s, default=self._settings.base_s)

    async def _hand_over(self, item: _Item, receiver: str) -> float:
        """One delivery; the seconds to wait before the next one, 0 when there is none."""
        alert = item.alert
        alert_id = str(alert.get("alert_id", ""))
        current_request.set(RequestContext(alert_id, self._monotonic() + DELIVERY_S))
        try:
            await self._receivers[receiver](alert)
        except DownstreamError as error:
            if error.kind != "client_error":
                self._emit(
                    "outbox",
                    event="attempt_failed",
                    alert_id=alert_id,
                    receiver=receiver,
                    attempt=item.attempts,
                    error=str(error),
                )
                return self._backoff(item, error)
            self._settle(item, alert_id, receiver, "dead", str(error))
        except (KeyError, TypeError) as error:
            self._settle(item, alert_id, receiver, "dead", f"not an alert: {type(error).__name__}")
        else:
            self._settle(item, alert_id, receiver, "delivered")
        return 0.0

    def _backoff(self, item: _Item, error: DownstreamError) -> float:
        """Full jitter under a doubling bound; where an open breaker said when, a moment after that."""
        base_s = self._settings.base_s
        if error.kind == "refused":
            return (error.retry_after_s or 0.0) + self._rng.uniform(0.0, base_s)
        bound_s = min(self._settings.cap_s, base_s * 2.0 ** min(item.attempts - 1, 20))
        return self._rng.uniform(min(base_s, bound_s) / 2, bound_s)

    def _settle(self, item: _Item, alert_id: str, receiver: str, how: str, error: str = "") -> None:
        item.settled[receiver] = how
        item.unsaved[receiver] = error
        more = {"error": error} if error else {}
        self._emit("outbox", event=how, alert_id=alert_id, receiver=receiver, attempt=item.attempts, **more)

    async def _save(self, client: Redis, item: _Item) -> None:
        """Write down what was settled; with the last receiver the entry goes."""
        if item.in_doubt:  # or a dead letter would be counted twice
            if not await client.xrange(self._names.stream, item.entry_id, item.entry_id):
                return
            for receiver in await self._saved(client, item):
                item.unsaved.pop(receiver, None)
        async with client.pipeline(transaction=True) as pipe:
            for receiver, error in item.unsaved.items():
                if item.settled[receiver] == "dead":
                    letter = {"receiver": receiver, "error": error, "alert": item.raw}
                    pipe.xadd(self._names.dead, letter, maxlen=DEAD_MAX)  # type: ignore[arg-type]
                pipe.hset(self._names.progress, f"{item.entry_id}:{receiver}", item.settled[receiver])
            if len(item.settled) == len(self._receivers):
                pipe.hdel(self._names.progress, *(f"{item.entry_id}:{receiver}" for receiver in self._receivers))
                pipe.xack(self._names.stream, GROUP, item.entry_id)
                pipe.xdel(self._names.stream, item.entry_id)
            done = await pipe.execute()
        if len(item.settled) == len(self._receivers) and not done[-1]:
            self._claim_soon()  # nothing was there to delete: its id was damaged on the way, and it stands there still


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
