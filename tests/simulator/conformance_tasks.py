# ruff: noqa: ANN001, ANN003, ANN202, ANN204, PERF401 - written as anybody would write them
"""Conformance: tasks, cancellation, gather and wait."""

import asyncio
import contextlib
import sys

from conformance_table import LONG_S, attempt, each, fail_after, program, settle, value_after

NAN, INF = float("nan"), float("inf")
loop_ = asyncio.get_running_loop


# --- tasks


@program
async def a_task_starts_in_the_next_round():
    seen = []

    async def run():
        seen.append("task")

    task = asyncio.create_task(run())
    seen.append("creator")
    await task
    return seen


@program
async def task_names_and_coroutines():
    async def run():
        return asyncio.current_task().get_name()

    task = asyncio.create_task(run(), name="worker")
    other = asyncio.create_task(run())
    other.set_name(5)
    return await task, await other, task.get_coro().__name__


@each(None, 1, "x", asyncio.sleep)
async def create_task_with(thing):
    return await attempt(asyncio.create_task, thing)


@program
async def all_tasks_and_current_task():
    task = asyncio.create_task(asyncio.sleep(0))
    count = len(asyncio.all_tasks())
    await task
    return count, len(asyncio.all_tasks()), asyncio.current_task() in asyncio.all_tasks()


@program
async def a_cancelled_task_that_never_started_runs_nothing():
    seen = []

    async def run():
        seen.append(1)

    task = asyncio.create_task(run())
    task.cancel("why")
    return await attempt(lambda: task), seen, task.cancelled()


@program
async def cancelling_counts_and_uncancels():
    async def run():
        counts = []
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            counts.append(asyncio.current_task().cancelling())
            counts.append(asyncio.current_task().uncancel())
        return counts

    task = asyncio.create_task(run())
    await settle(1)
    again = task.cancel(), task.cancel()
    return again, await task, task.cancel()


@program
async def a_task_that_swallows_its_cancellation_goes_on():
    async def run():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        await asyncio.sleep(0)
        return "went on"

    task = asyncio.create_task(run())
    await settle(1)
    task.cancel()
    return await task, task.cancelled()


@program
async def a_cancellation_requested_while_running_takes_effect_at_the_next_await():
    seen = []

    async def run():
        asyncio.current_task().cancel()
        seen.append("still here")
        await asyncio.sleep(0)
        seen.append("never")

    return await attempt(asyncio.create_task, run()), seen


@program
async def finally_may_await_after_a_cancellation():
    seen = []

    async def run():
        try:
            await asyncio.sleep(1)
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned")

    task = asyncio.create_task(run())
    await settle(1)
    task.cancel()
    return await attempt(lambda: task), seen


@each("a message", None, 7)
async def a_cancellation_carries_its_message(message):
    task = asyncio.create_task(asyncio.sleep(1))
    await settle(1)
    task.cancel(message)
    try:
        await task
    except asyncio.CancelledError as error:
        return [str(arg) for arg in error.args]


@program
async def a_task_that_awaits_itself():
    async def run():
        await asyncio.current_task()

    return await attempt(asyncio.create_task, run())


@program
async def a_task_that_yields_nonsense():
    class Odd:
        def __await__(self):
            yield 5

    async def run():
        await Odd()

    return await attempt(asyncio.create_task, run())


@program
async def a_task_that_fails_keeps_its_exception():
    async def run():
        raise ValueError("x")

    task = asyncio.create_task(run())
    await settle(2)
    return task.done(), repr(task.exception()), await attempt(task.result)


@program
async def stop_iteration_in_a_coroutine_is_a_runtime_error():
    async def run():
        raise StopIteration(1)

    return await attempt(asyncio.create_task, run())


@program
async def a_task_factory_is_asked():
    made = []

    def factory(loop, coro, **kwargs):
        made.append(sorted(kwargs.keys() - {"eager_start", "name"}))
        return asyncio.Task(coro, loop=loop, **kwargs)

    loop_().set_task_factory(factory)
    try:
        return await asyncio.create_task(asyncio.sleep(0, "x"), name="n"), made
    finally:
        loop_().set_task_factory(None)


@each(1, "x")
async def set_task_factory_to(value):
    return await attempt(loop_().set_task_factory, value)


@program
async def eager_tasks_run_at_once():
    if sys.version_info < (3, 12):
        return "not there"
    seen = []

    async def run():
        seen.append(1)
        await asyncio.sleep(0)
        seen.append(2)

    loop_().set_task_factory(asyncio.eager_task_factory)
    try:
        task = asyncio.create_task(run())
        before = list(seen)
        await task
        return before, seen
    finally:
        loop_().set_task_factory(None)


@program
async def ensure_future_and_shield():
    async def run():
        await asyncio.sleep(0.001)
        return "done"

    inner = asyncio.ensure_future(run())
    outer = asyncio.shield(inner)
    await settle(1)
    outer.cancel()
    return await attempt(lambda: outer), inner.cancelled(), await inner


@program
async def a_cancelled_inner_cancels_the_shield():
    inner = asyncio.ensure_future(asyncio.sleep(1))
    outer = asyncio.shield(inner)
    await settle(1)
    inner.cancel()
    return await attempt(lambda: outer)


# --- gather, wait, as_completed


@program
async def gather_keeps_the_order_of_its_arguments():
    return await asyncio.gather(value_after(1, 5), value_after(2, 1), value_after(3, 3))


@program
async def gather_of_nothing():
    return await asyncio.gather()


@program
async def gather_runs_one_coroutine_once():
    coroutine = value_after(1)
    return await asyncio.gather(coroutine, coroutine)


@each(True, False)
async def gather_with_a_failure(return_exceptions):
    said = await attempt(
        lambda: asyncio.gather(
            value_after(1), fail_after(ValueError), value_after(3), return_exceptions=return_exceptions
        )
    )
    await settle(3)
    return said


@each(True, False)
async def gather_that_is_cancelled(return_exceptions):
    children = [asyncio.create_task(asyncio.sleep(1)) for _ in range(2)]
    outer = asyncio.gather(*children, return_exceptions=return_exceptions)
    await settle(2)
    outer.cancel()
    return await attempt(lambda: outer), [child.cancelled() for child in children]


@program
async def gather_whose_child_is_cancelled():
    child = asyncio.create_task(asyncio.sleep(1))
    outer = asyncio.gather(child, value_after(2))
    await settle(1)
    child.cancel()
    return await attempt(lambda: outer)


@each(asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED, "x", None)
async def wait_until(return_when):
    tasks = [asyncio.create_task(c) for c in (value_after(1, 1), fail_after(KeyError, 3), value_after(3, 6))]
    try:
        done, pending = await asyncio.wait(tasks, return_when=return_when)
        return len(done), len(pending)
    except ValueError as error:
        return str(error)
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)


@each(0, -1, 0.001, None)
async def wait_with_a_limit_of(timeout):
    tasks = [asyncio.create_task(value_after(1, 1)), asyncio.create_task(asyncio.sleep(LONG_S))]
    done, pending = await asyncio.wait(tasks, timeout=timeout)
    await asyncio.gather(*tasks)
    return len(done), len(pending)


@each(empty=[], number=5, coroutine="c")
async def wait_of(things):
    coroutine = value_after(1)
    said = await attempt(asyncio.wait, [coroutine] if things == "c" else things)
    coroutine.close()
    return said


@program
async def as_completed_gives_them_as_they_end():
    return [
        await each
        for each in asyncio.as_completed([value_after("slow", 6), value_after("quick", 1), value_after("middle", 3)])
    ]


@program
async def as_completed_with_a_limit():
    found = []
    task = asyncio.create_task(asyncio.sleep(LONG_S))
    for each_ in asyncio.as_completed([value_after(1), task], timeout=0.002):
        found.append(await attempt(lambda each_=each_: each_))
    await task
    return found
