"""Faults on a real Valkey: each has its effect as a client sees it, and is healed as a client sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from double_world import DoubleWorld, double_world
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, RedisError

from hardening.faults.base import Effect, Fault
from hardening.faults.redis_entries import RedisEntriesDamaged, RedisExpiryStorm
from hardening.faults.redis_outage import RedisKilled, RedisRefusing, RedisRestarted, RedisShutdown, RedisStopped
from hardening.faults.redis_refusals import RedisEvicting, RedisLoading, RedisMemoryFull, RedisReadOnly
from hardening.faults.redis_stalls import RedisClientPause, RedisClientsKilled, RedisSlowCommands
from hardening.faults.schedule import Injection
from hardening.faults.waiting import wait_until

pytestmark = [pytest.mark.live]


@contextlib.asynccontextmanager
async def world_and_client(root: Path) -> AsyncIterator[tuple[DoubleWorld, Redis]]:
    async with double_world(root, process=False, redis=True) as world:
        assert world.redis is not None
        async with client_of(world) as client:
            await client.set("kept", "yes")
            yield world, client


def client_of(world: DoubleWorld) -> Redis:
    assert world.redis is not None
    return Redis.from_url(world.redis.url, socket_timeout=3, retry=Retry(NoBackoff(), 0), protocol=2)


def effect_of(injection: Injection) -> Effect:
    assert injection.effect is not None
    return injection.effect


async def took_ms(work: Awaitable[Any]) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await work
    return (loop.time() - began) * 1000


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [RedisKilled(), RedisShutdown()])
async def test_a_server_that_is_gone_comes_back_with_its_data(short_path: Path, fault: Fault) -> None:
    async with world_and_client(short_path) as (world, client):
        injection = Injection(fault, world)
        async with injection:
            with pytest.raises(RedisError):
                await client.get("kept")
        assert await client.get("kept") == b"yes"
    assert effect_of(injection).effective


@pytest.mark.asyncio
async def test_a_restart_can_lose_the_data(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, _):
        injection = Injection(RedisRestarted(keep_data=False, graceful=False), world)
        async with injection, client_of(world) as fresh:
            assert await fresh.get("kept") is None
    assert effect_of(injection).counts == {"restarts": 1}


@pytest.mark.asyncio
async def test_a_restart_can_keep_the_data(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, _):
        injection = Injection(RedisRestarted(), world)
        async with injection, client_of(world) as fresh:
            assert await fresh.get("kept") == b"yes"
    assert effect_of(injection).counts == {"restarts": 1}


@pytest.mark.asyncio
async def test_a_stopped_server_answers_nobody_until_it_is_continued(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, client):
        injection = Injection(RedisStopped(), world)
        async with injection:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.get("kept"), 0.2)
        assert await client.get("kept") == b"yes"
    assert effect_of(injection).counts == {"stops": 1}


@pytest.mark.asyncio
async def test_a_stopped_server_that_was_killed_meanwhile_heals_too(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, _):
        assert world.redis is not None
        async with Injection(RedisStopped(), world):
            await world.redis.kill()
        await world.redis.restart()
        assert await world.redis.alive()


@pytest.mark.asyncio
async def test_new_connections_are_refused_while_open_ones_live_on(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, client), client.client() as open_one:
        await open_one.ping()
        injection = Injection(RedisRefusing(), world)
        async with injection:
            assert await open_one.get("kept") == b"yes"
            async with client_of(world) as fresh:
                with pytest.raises(RedisError):
                    await fresh.ping()
        async with client_of(world) as fresh:
            assert await fresh.ping()
    assert effect_of(injection).counts == {"refusals": 1}


@pytest.mark.asyncio
async def test_writes_meet_oom_and_are_taken_again(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, client):
        injection = Injection(RedisMemoryFull(), world)
        async with injection:
            with pytest.raises(OutOfMemoryError):
                await client.set("more", "x")
            assert await client.get("kept") == b"yes"
        assert await client.set("more", "x")
    assert effect_of(injection).counts == {"commands_refused": 1}


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [RedisMemoryFull(), RedisReadOnly(), RedisLoading(), RedisEntriesDamaged()])
async def test_a_fault_that_nobody_met_did_not_bite(short_path: Path, fault: Fault) -> None:
    async with world_and_client(short_path) as (world, _):
        injection = Injection(fault, world)
        async with injection:
            pass
    assert not effect_of(injection).effective


@pytest.mark.asyncio
async def test_keys_are_evicted_and_the_policy_is_set_back(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, client):
        injection = Injection(RedisEvicting(), world)
        async with injection:
            with contextlib.suppress(OutOfMemoryError):
                await client.set("more", "x" * 10_000)
            assert await client.get("kept") is None
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
    assert effect_of(injection).counts["keys_evicted"] >= 1


@pytest.mark.asyncio
async def test_a_replica_refuses_writes_and_is_a_master_again(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, client):
        injection = Injection(RedisReadOnly(), world)
        async with injection:
            with pytest.raises(ReadOnlyError):
                await client.set("more", "x")
            assert await client.get("kept") == b"yes"
        assert await client.set("more", "x")
    assert effect_of(injection).counts == {"commands_refused": 1}


@pytest.mark.asyncio
async def test_a_loading_server_says_so_and_has_its_data_afterwards(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, client):
        injection = Injection(RedisLoading(), world)
        async with injection:
            for _ in range(3):
                with pytest.raises(BusyLoadingError):
                    await client.get("kept")
        assert await client.get("kept") == b"yes"
        assert await client.set("more", "x")
        assert (await client.config_get("repl-diskless-load"))["repl-diskless-load"] == "disabled"
    assert effect_of(injection).counts["commands_refused"] >= 3


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", ["all", "write"])
async def test_commands_are_held_back_by_a_pause_that_ends(short_path: Path, mode: str) -> None:
    async with world_and_client(short_path) as (world, client):
        injection = Injection(RedisClientPause(mode=mode, pause_ms=400), world)
        async with injection:
            assert await took_ms(client.set("more", "x")) > 200
        assert await took_ms(client.set("more", "x")) < 200
    assert effect_of(injection).counts["command_held_ms"] > 200


@pytest.mark.asyncio
async def test_slow_scripts_make_other_commands_wait(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, client):
        injection = Injection(RedisSlowCommands(busy_ms=150, every_ms=160), world)

        async def waits() -> bool:
            return await took_ms(client.get("kept")) > 40

        async def answers_at_once() -> bool:
            return await took_ms(client.get("kept")) < 100

        async with injection:
            # The second wait is behind another script: by then the first one has been counted.
            assert await wait_until(waits, 10)
            assert await wait_until(waits, 10)
        assert await wait_until(answers_at_once, 10)
    assert effect_of(injection).counts["scripts_run"] >= 1


@pytest.mark.asyncio
async def test_a_connection_dies_in_mid_command_and_the_command_was_not_done(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, client):
        writes: list[asyncio.Task[Any]] = []

        async def write() -> None:
            while True:
                await client.incr("count")
                await asyncio.sleep(0.001)

        writes.append(asyncio.create_task(write()))
        injection = Injection(RedisClientsKilled(hold_ms=500), world)
        async with injection:
            with pytest.raises(RedisError):
                await writes[0]
        assert await client.set("more", "x")
    assert effect_of(injection).counts["in_mid_command"] >= 1
    assert effect_of(injection).counts["connections_killed"] >= 1


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["corrupt", "wrong_version", "truncate", "empty", "swap", "wrong_type"])
async def test_entries_below_the_prefix_are_damaged_and_no_others(short_path: Path, how: str) -> None:
    async with world_and_client(short_path) as (world, client):
        good = {f"signal:cache:{i}": json.dumps({"v": 3, "data": [i] * 20}).encode() for i in range(4)}
        for key, value in good.items():
            await client.set(key, value, px=60_000)
        injection = Injection(RedisEntriesDamaged(how=how), world)
        async with injection:
            for key, value in good.items():
                if how == "wrong_type":
                    assert await client.type(key) == b"list"
                else:
                    assert await client.get(key) != value
                assert 0 < await client.pttl(key) <= 60_000
            await client.delete("signal:cache:0")
            await client.set("signal:cache:0", good["signal:cache:0"])
        assert await client.get("signal:cache:0") == good["signal:cache:0"], "what the owner wrote since stays"
        assert await client.exists(*list(good)[1:]) == 0
        assert await client.get("kept") == b"yes"
    assert effect_of(injection).counts == {"entries_damaged": 4, "never_noticed": 3}


@pytest.mark.asyncio
async def test_all_entries_below_the_prefix_expire_at_once(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, client):
        for i in range(20):
            await client.set(f"signal:cache:{i}", "x", px=60_000)
        injection = Injection(RedisExpiryStorm(within_ms=20), world)
        async with injection:
            await asyncio.sleep(0.1)
            assert [await client.get(f"signal:cache:{i}") for i in range(20)] == [None] * 20
        assert await client.get("kept") == b"yes"
    assert effect_of(injection).counts == {"keys_expired": 20}


EVERY_REDIS_FAULT: list[Fault] = [
    *(RedisKilled(), RedisShutdown(), RedisRestarted(), RedisStopped(), RedisRefusing()),
    *(RedisMemoryFull(), RedisEvicting(), RedisReadOnly(), RedisLoading()),
    *(RedisClientPause(pause_ms=300), RedisSlowCommands(), RedisClientsKilled(mid_command=False)),
    *(RedisEntriesDamaged(), RedisExpiryStorm()),
]


@pytest.mark.asyncio
async def test_every_fault_is_healed_when_its_task_is_cancelled(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, _):
        for fault in EVERY_REDIS_FAULT:
            inside = asyncio.Event()

            async def hold(fault: Fault = fault, inside: asyncio.Event = inside) -> None:
                async with Injection(fault, world):
                    inside.set()
                    await asyncio.sleep(60)

            task = asyncio.create_task(hold())
            await asyncio.wait_for(inside.wait(), 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with client_of(world) as fresh:
                assert await fresh.set("works", fault.kind), fault.kind
                assert await fresh.get("works") == fault.kind.encode()


@pytest.mark.asyncio
async def test_a_fault_on_a_server_that_is_gone_does_not_bite_and_does_not_bring_it_back(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, _):
        assert world.redis is not None
        async with Injection(RedisKilled(), world):
            for fault in EVERY_REDIS_FAULT[4:]:
                injection = Injection(fault, world)
                async with injection:
                    pass
                assert not effect_of(injection).effective, fault.kind
                assert not await world.redis.alive(), fault.kind
        assert await world.redis.alive()


@pytest.mark.asyncio
async def test_a_fault_whose_server_is_killed_meanwhile_heals_all_the_same(short_path: Path) -> None:
    async with world_and_client(short_path) as (world, _):
        assert world.redis is not None
        for fault in EVERY_REDIS_FAULT[4:]:
            async with Injection(fault, world):
                await world.redis.kill()
            await world.redis.restart()
            async with client_of(world) as fresh:
                assert await fresh.set("works", fault.kind)
