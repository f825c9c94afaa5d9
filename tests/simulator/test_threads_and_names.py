# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""What a function in a thread may wait for, blocking look-ups, and imports inside a program."""

import asyncio
import concurrent.futures
import contextlib
import queue
import socket
import subprocess
import threading
import time
import uuid

import pytest

from hardening.simulator import explore, network
from hardening.simulator.core.errors import DeadlockError, RuleBrokenError


def passes(program):
    report = explore(program, runs=20, seed=1)
    assert report.counterexample is None, report.counterexample.story()


@pytest.mark.parametrize(
    "blocks", [lambda: queue.Queue().get, lambda: threading.Event().wait, lambda: threading.Semaphore(0).acquire]
)
def test_a_thread_that_nobody_will_wake_is_a_deadlock_with_the_place_that_handed_it_over(blocks):
    async def program():
        await asyncio.to_thread(blocks())

    error = explore(program, runs=3, seed=1).counterexample.exception
    assert isinstance(error, DeadlockError)
    (thread,) = [wait for wait in error.waits if wait.task == "thread executor"]
    assert thread.where.endswith("in program")


def test_a_lock_taken_twice_on_the_loop_is_a_deadlock_that_names_both_places():
    async def program():
        lock = threading.Lock()

        async def client():
            lock.acquire()
            await asyncio.sleep(0.1)
            lock.release()

        await asyncio.gather(client(), client())

    error = explore(program, runs=3, seed=1).counterexample.exception
    assert isinstance(error, DeadlockError)
    assert error.waits[0].task == "Task-2"
    assert error.waits[0].on == "a threading.Lock"
    assert error.waits[0].where.endswith("in client")
    assert "in client" in error.waits[0].held_by[0]


def test_work_in_a_thread_goes_on_when_its_caller_gives_up():
    async def program():
        rows = []

        def write():
            time.sleep(0.005)
            rows.append(1)

        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(write), 0.002)
        await asyncio.sleep(1)
        assert rows == [1]

    passes(program)


def test_a_blocking_call_in_a_thread_stops_that_thread_alone():
    async def program():
        loop, late = asyncio.get_running_loop(), []

        async def beat():
            for _ in range(10):
                due = loop.time() + 0.1
                await asyncio.sleep(0.1)
                late.append(loop.time() - due)

        beating = asyncio.create_task(beat())
        began = loop.time()
        await asyncio.to_thread(time.sleep, 0.5)
        assert loop.time() - began >= 0.5
        await beating
        assert max(late) < 0.001

    passes(program)


def test_threads_hand_each_other_work_through_queues_and_end_when_joined():
    async def program():
        jobs, results = queue.Queue(), queue.SimpleQueue()

        def work():
            while (job := jobs.get()) is not None:
                time.sleep(0.01)
                results.put(job * 2)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(6):
            jobs.put(number)
        got = sorted([await asyncio.to_thread(results.get) for _ in range(6)])
        assert got == [0, 2, 4, 6, 8, 10]
        for _ in threads:
            jobs.put(None)
        for thread in threads:
            thread.join()
        assert not any(thread.is_alive() for thread in threads)

    passes(program)


def test_a_thread_runs_a_coroutine_of_the_loop_and_waits_for_it():
    async def program():
        loop = asyncio.get_running_loop()

        async def answer():
            await asyncio.sleep(0.2)
            return 42

        def ask():
            return asyncio.run_coroutine_threadsafe(answer(), loop).result()

        assert await asyncio.to_thread(ask) == 42

    passes(program)


def test_jobs_beyond_the_threads_of_an_executor_wait_for_one_and_may_be_called_back():
    async def program():
        loop, ran = asyncio.get_running_loop(), []
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
            first = loop.run_in_executor(pool, time.sleep, 1)
            second = loop.run_in_executor(pool, ran.append, 2)
            await asyncio.sleep(0.5)
            second.cancel()
            await first
            await asyncio.sleep(0.1)
        assert ran == []

    passes(program)


def test_two_threads_that_take_two_locks_in_opposite_order_are_found():
    async def program():
        one, other = threading.Lock(), threading.Lock()

        def takes(first, second):
            with first:
                time.sleep(0.001)
                with second:
                    pass

        await asyncio.gather(asyncio.to_thread(takes, one, other), asyncio.to_thread(takes, other, one))

    error = explore(program, runs=50, seed=1).counterexample.exception
    assert isinstance(error, DeadlockError)
    assert [wait.on for wait in error.waits if wait.task.startswith("thread")] == ["a threading.Lock"] * 2


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
