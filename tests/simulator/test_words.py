# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""Words of a program: who was cancelled, an end to it, disks that take time, wall clocks that jump, fake servers."""

import asyncio
import time
import traceback

import httpx
import pytest

from hardening.simulator import (
    Reply,
    SimHttp,
    blocking_io,
    cancelled,
    end_cancellations,
    explore,
    io,
    jump_wall_clock,
    network,
    replay,
)
from hardening.simulator.core.errors import OutsideSimulationError


def passes(program, **options: object):
    report = explore(program, runs=100, seed=1, **options)
    assert report.counterexample is None, report.counterexample.story()


async def _clients(count):
    async def client():
        for _ in range(5):
            await io(0.01, 0.1)

    tasks = [asyncio.create_task(client(), name=f"client-{n}") for n in range(count)]
    await asyncio.wait(tasks)
    return [task.get_name() for task in tasks if task.cancelled()]


def test_a_program_learns_whom_the_schedule_cancelled():
    seen = set()

    async def program():
        gone = await _clients(3)
        assert sorted(gone) == sorted(set(cancelled()))
        seen.update(gone)

    passes(program, cancel="client*")
    assert len(seen) == 3


def test_nobody_is_cancelled_after_the_end_of_cancellations():
    async def program():
        await io(0.01, 0.1)
        end_cancellations()
        assert not set(await _clients(3)) - set(cancelled()[:0])

    passes(program, cancel="client*")


def test_nobody_is_cancelled_after_the_virtual_second_that_was_given():
    async def program():
        await asyncio.sleep(0.5)
        assert await _clients(3) == []

    passes(program, cancel="client*", cancel_until_s=0.4)


def test_a_blocking_read_stops_the_loop_but_not_when_a_thread_does_it():
    async def program():
        loop, ticks = asyncio.get_running_loop(), []

        async def tick():
            while True:
                await asyncio.sleep(0.01)
                ticks.append(1)

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        began = loop.time()
        blocking_io(0.1, 0.2)
        assert loop.time() - began >= 0.1
        assert ticks == []
        await asyncio.to_thread(blocking_io, 0.1, 0.2)
        assert len(ticks) >= 9
        ticking.cancel()

    passes(program)
    with pytest.raises(OutsideSimulationError):
        blocking_io(0.1, 0.2)


def test_a_wall_clock_jumps_on_one_machine_alone_and_the_trace_says_so():
    async def program():
        before = time.time()
        jump_wall_clock(100.0, "service")
        with network().host("service"):
            assert time.time() - before == pytest.approx(100.0)
        assert time.time() - before == pytest.approx(0.0)
        raise ValueError

    found = explore(program, runs=1, seed=1).counterexample
    assert isinstance(found.exception, ValueError), found.story()
    assert [event.who for event in found.trace.events if event.kind == "clock"] == ["service"]


def test_a_fake_server_answers_by_its_function_and_the_trace_names_requests_and_replies():
    async def program():
        async def reply(request):
            return Reply(201, request.body.upper(), {"x-path": request.path})

        server = await SimHttp(network(), reply, takes_s=(0.0, 0.5)).start()
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post("http://web/price?x=1", content=b"hello")
            assert (answer.status_code, answer.content, answer.headers["x-path"]) == (201, b"HELLO", "/price?x=1")
            assert (await client.get("http://web/other")).status_code == 201
        assert [request.method for request in server.requests] == ["POST", "GET"]
        raise ValueError

    found = explore(program, runs=1, seed=1).counterexample
    assert isinstance(found.exception, ValueError), found.story()
    sent = " ".join(event.text for event in found.trace.events if event.kind == "send")
    assert "request POST /price?x=1, " in sent
    assert "reply 201, " in sent


def _library(code):
    """A function as if it came from an installed library."""
    space = {}
    exec(compile(code, "/usr/lib/site-packages/library/pool.py", "exec"), space)
    return space["act"]


def test_a_story_begins_with_the_programs_own_place_and_names_the_cancelled():
    act = _library("def act(names):\n    assert not names, names\n")

    async def program():
        act(await _clients(2))

    found = explore(program, runs=100, seed=1, cancel="client*").counterexample
    lines = found.story().splitlines()
    assert "in program" in next(line for line in lines if "raised at" in line)
    assert "library/pool.py:2 in act" in next(line for line in lines if "inside" in line)
    assert any(line.startswith("The schedule cancelled: client-") for line in lines)
    assert replay(program, found.plan).same_trace
    assert "library/pool.py" in "".join(traceback.format_exception(found.exception))
