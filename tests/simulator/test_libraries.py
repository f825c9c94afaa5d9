# ruff: noqa: ANN001, ANN003, ANN202, ASYNC110 - programs under test are written as anybody would write them
"""Unmodified libraries inside the simulation: httpx, uvicorn, FastAPI (``def`` too), redis-py, AnyIO, clocks."""

import asyncio
import datetime
import random
import signal
import time
import uuid
from datetime import datetime as early_datetime
from time import monotonic as early_monotonic

import anyio
import anyio.to_thread
import httpx
import pytest
import redis.asyncio
import uvicorn
from fastapi import Depends, FastAPI
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from hardening.faults.redis_outage import RedisKilled, RedisRefusing, RedisRestarted, RedisShutdown, RedisStopped
from hardening.faults.redis_refusals import RedisMemoryFull, RedisReadOnly
from hardening.simulator import explore, network, replay, send_signal
from hardening.simulator.adapters.redis_server import SimRedis

app = FastAPI()


def dependency():
    return time.monotonic()


@app.get("/plain")
def plain(now: float = Depends(dependency)):
    return {"now": now}


@app.get("/slow")
async def slow():
    await asyncio.sleep(2)
    return {"slept": 2}


def holds(program, runs=25, **options):
    report = explore(program, runs=runs, seed=5, **options)
    assert report.counterexample is None, report.counterexample.story()
    return report


async def _serve():
    config = uvicorn.Config(app, host="0.0.0.0", port=80, log_config=None, http="h11", ws="none", lifespan="on")
    server = uvicorn.Server(config)
    with network().host("service"):
        task = asyncio.create_task(server.serve(), name="server")
    while not server.started:
        await asyncio.sleep(0.01)
    return server, task


def test_httpx_speaks_with_fastapi_on_uvicorn_and_a_signal_drains_it():
    async def program():
        _, serving = await _serve()
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            answers = await asyncio.gather(*(client.get(f"http://service{path}") for path in ("/plain", "/slow")))
            assert [answer.status_code for answer in answers] == [200, 200]
            late = asyncio.create_task(client.get("http://service/slow"))
            await asyncio.sleep(1)
            assert send_signal(signal.SIGTERM)
            assert (await late).status_code == 200
        await serving
        with pytest.raises(httpx.ConnectError):
            async with httpx.AsyncClient(verify=False, trust_env=False) as client:
                await client.get("http://service/plain")

    # uvicorn leaves its keep-alive timers; no task and no connection.
    assert [line for line in holds(program).leftovers if "timeout_keep_alive" not in line] == []


def test_a_whole_http_run_repeats_exactly():
    async def program():
        _, serving = await _serve()
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            await asyncio.gather(*(client.get("http://service/slow", timeout=1.0) for _ in range(3)))
        await serving

    found = explore(program, runs=5, seed=1).counterexample
    assert found is not None
    assert isinstance(found.exception, httpx.ReadTimeout)
    assert found.repeats
    assert replay(program, found).same_trace


def test_redis_py_speaks_with_the_engine_through_every_outage():
    async def program():
        server = await SimRedis(network()).start()
        client = redis.asyncio.Redis(host="redis", retry=Retry(NoBackoff(), 0))
        await client.set("kept", "1")
        pipeline = client.pipeline()
        pipeline.incr("n")
        pipeline.incr("n")
        assert await pipeline.execute() == [1, 2]
        waiting = asyncio.create_task(client.blpop(["list"], timeout=5))
        await asyncio.sleep(1)
        await client.rpush("list", "x")
        assert list(await waiting) == [b"list", b"x"]
        errors = {}
        for fault in (
            RedisKilled(),
            RedisShutdown(),
            RedisStopped(),
            RedisRestarted(),
            RedisRefusing(),
            RedisReadOnly(),
        ):
            errors[fault.kind] = await _hurt(fault, server, client)
        errors["redis_memory_full"] = await _hurt(RedisMemoryFull(), server, client)
        assert errors["redis_stopped"] == "TimeoutError"
        assert errors["redis_read_only"] == "ReadOnlyError"
        assert errors["redis_memory_full"] == "OutOfMemoryError"
        assert errors["redis_killed"] == "ConnectionError"
        assert await client.get("kept") == b"1"
        await client.aclose()

    async def _hurt(fault, server, client):
        token = await fault.inject(server)
        try:
            async with asyncio.timeout(1):
                await client.set("other", "2")
            error = ""
        except Exception as failure:  # noqa: BLE001 - which one is the question
            error = type(failure).__name__
        assert (await fault.heal(server, token)).bit
        await client.set("other", "3")
        return error

    holds(program, runs=10)


def test_keys_expire_in_virtual_time():
    async def program():
        await SimRedis(network()).start()
        client = redis.asyncio.Redis(host="redis")
        await client.set("k", "1", ex=60)
        await asyncio.sleep(59)
        assert await client.get("k") == b"1"
        await asyncio.sleep(2)
        assert await client.get("k") is None
        await client.aclose()

    holds(program)


def test_all_clocks_agree():
    async def program():
        loop = asyncio.get_running_loop()
        wall, day = time.time(), datetime.datetime.now(datetime.UTC)
        assert time.monotonic() == loop.time() == early_monotonic()
        await asyncio.sleep(3600)
        assert time.monotonic() == loop.time() == early_monotonic()
        assert time.time() - wall == pytest.approx(3600)
        assert (datetime.datetime.now(datetime.UTC) - day).total_seconds() == pytest.approx(3600)
        assert early_datetime.now(datetime.UTC) == datetime.datetime.now(datetime.UTC)
        time.sleep(5)  # noqa: ASYNC251 - it blocks the loop: time passes, nothing runs
        assert loop.time() == time.monotonic()
        assert time.time() - wall == pytest.approx(3605)

    holds(program, max_virtual_s=10_000)
    before = time.monotonic()
    assert time.monotonic() - before < 60


def test_randomness_repeats_and_is_given_back():
    random.seed(4)
    expected = random.random()
    random.seed(4)
    seen = set()

    async def program():
        seen.add((random.random(), uuid.uuid4().hex))

    explore(program, runs=1, seed=1)
    explore(program, runs=1, seed=2)
    assert len(seen) == 1, "the default schedule has one entropy"
    assert random.random() == expected


def test_threads_run_inline_and_in_virtual_time():
    async def program():
        loop = asyncio.get_running_loop()
        assert await asyncio.to_thread(lambda: 6 * 7) == 42
        assert await loop.run_in_executor(None, max, 1, 2) == 2
        assert await anyio.to_thread.run_sync(lambda: "done") == "done"
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    holds(program)


def test_outside_a_run_everything_is_as_before():
    urandom, start = __import__("os").urandom, __import__("threading").Thread.start
    clock = time.monotonic

    async def program():
        return None

    explore(program, runs=2, seed=1)
    assert __import__("os").urandom is urandom
    assert __import__("threading").Thread.start is start
    assert time.monotonic is clock
