# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""What a function in a thread may wait for, blocking look-ups, and imports inside a program."""

import asyncio
import queue
import socket
import subprocess
import threading
import time
import uuid

import pytest

from hardening.simulator import explore, network
from hardening.simulator.core.errors import RuleBrokenError


def passes(program):
    report = explore(program, runs=20, seed=1)
    assert report.counterexample is None, report.counterexample.story()


@pytest.mark.parametrize(
    "blocks", [lambda: queue.Queue().get, lambda: threading.Event().wait, lambda: threading.Semaphore(0).acquire]
)
def test_a_wait_that_no_other_thread_will_end_is_refused_with_the_place_that_handed_it_over(blocks):
    async def program():
        await asyncio.to_thread(blocks())

    with pytest.raises(RuleBrokenError) as error:
        explore(program, runs=3, seed=1)
    assert error.value.rule == "a wait for another thread"
    assert error.value.where.endswith("in program")


def test_a_wait_with_a_limit_takes_its_time_and_ends():
    async def program():
        began = time.monotonic()
        assert not threading.Event().wait(5)
        with pytest.raises(queue.Empty):
            await asyncio.to_thread(queue.Queue().get, timeout=2)
        assert time.monotonic() - began >= 7

    passes(program)


def test_other_threads_of_the_process_wait_as_always():
    asked, answered = threading.Event(), threading.Event()

    def other():
        asked.wait()
        answered.set()

    thread = threading.Thread(target=other)
    thread.start()

    async def program():
        asked.set()
        await asyncio.sleep(1)

    explore(program, runs=3, seed=1)
    thread.join()
    assert answered.is_set()


def test_a_subprocess_in_a_thread_is_refused_with_the_place_that_handed_it_over():
    async def program():
        await asyncio.to_thread(subprocess.run, ["true"])

    with pytest.raises(RuleBrokenError) as error:
        explore(program, runs=3, seed=1)
    assert error.value.where.endswith("in program")


def test_a_loop_of_ones_own_in_a_thread_is_refused():
    async def program():
        await asyncio.to_thread(asyncio.new_event_loop)

    with pytest.raises(RuleBrokenError, match="a real event loop"):
        explore(program, runs=3, seed=1)


def test_ids_made_of_clock_and_address_are_the_same_in_every_replay():
    made = []

    async def program():
        made.append((uuid.uuid1().hex, uuid.uuid1().hex))
        await asyncio.sleep(0)

    for _ in range(2):
        explore(program, runs=1, seed=1)
    assert made[0] == made[1]
    assert made[0][0] != made[0][1]


def test_blocking_look_ups_ask_the_simulated_network():
    async def program():
        with network().host("web"):
            await asyncio.start_server(lambda _r, w: w.close(), None, 80)
            assert socket.gethostname() == "web"
        address = socket.gethostbyname("web")
        assert await asyncio.to_thread(socket.getaddrinfo, "web", 80) == await asyncio.get_running_loop().getaddrinfo(
            address, 80
        )
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("example.com", 80)

    passes(program)


def test_what_a_module_does_while_it_is_imported_is_no_behaviour_of_the_program(tmp_path, monkeypatch):
    (tmp_path / "asks_the_system.py").write_text("import subprocess\nsubprocess.run(['true'], check=True)\n")
    monkeypatch.syspath_prepend(tmp_path)

    async def program():
        import asks_the_system  # noqa: F401

    passes(program)


def test_what_is_no_async_def_is_refused_before_anything_is_searched():
    with pytest.raises(TypeError, match="allowed: an async def"):
        explore(lambda: 1, runs=3, seed=1)
