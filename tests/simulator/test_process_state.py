# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""What a process keeps: tasks that nobody holds, counters that go on from run to run."""

import asyncio
import gc
import weakref

from hardening.simulator import explore, io, replay
from hardening.simulator.core.task_names import TaskNames


async def _forgets_a_task(collects):
    waiters, done = weakref.WeakSet(), []

    async def job():
        future = asyncio.get_running_loop().create_future()
        waiters.add(future)
        await future
        done.append(1)

    asyncio.create_task(job())  # noqa: RUF006 - the bug
    await asyncio.sleep(0.1)
    collects()
    await asyncio.sleep(0)
    for future in list(waiters):
        future.set_result(None)
    await asyncio.sleep(0.1)
    assert done, "the job was collected half-way"


def test_a_waiting_task_that_nobody_holds_is_gone_after_a_collection():
    async def program():
        await _forgets_a_task(gc.collect)

    assert explore(program, runs=1, seed=1).found


def test_a_schedule_chooses_when_cycles_are_collected():
    async def program():
        await _forgets_a_task(lambda: None)

    found = explore(program, runs=300, seed=1).counterexample
    assert [decision.kind for decision in found.plan.decisions] == ["collect"]
    assert found.repeats
    assert replay(program, found.plan).same_trace


def test_a_task_that_somebody_holds_survives_every_collection():
    async def program():
        async def job():
            await asyncio.sleep(0.1)
            return 1

        held = asyncio.create_task(job())
        gc.collect()
        assert await held == 1

    assert not explore(program, runs=100, seed=1).found


def test_a_counter_of_the_process_does_not_change_the_names_by_which_draws_are_kept():
    made = [0]

    async def program():
        made[0] += 1
        task = asyncio.create_task(io(0.0, 0.3), name=f"pool-{made[0]}-worker")
        await asyncio.sleep(0.2)
        assert task.done()

    found = explore(program, runs=50, seed=1).counterexample
    assert found.repeats
    assert [decision.who for decision in found.plan.decisions] == ["pool-1-worker"]


def test_numbers_that_do_not_grow_from_run_to_run_are_left_alone():
    names = TaskNames()
    for run in (["job-3", "job-1", "job-9"], ["job-4", "job-1"], ["job-900", "job-5"]):
        names.begin()
        assert [names.in_this_run(name) for name in run] == run
    names.begin()
    assert names.in_this_run("job-901") == "job-3"
