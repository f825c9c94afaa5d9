# ruff: noqa: ANN001, ANN202 - written as anybody would write them
"""Conformance: time limits, task groups, async generators."""

import asyncio
import contextlib
import fractions

from conformance_table import LONG_S, attempt, each, fail_after, program, settle, value_after

NAN, INF = float("nan"), float("inf")
loop_ = asyncio.get_running_loop


# --- time limits


@each(0, -1, None, 0.002, True, False, "1", NAN, fractions.Fraction(1, 1000))
async def wait_for_with(timeout):
    if timeout is None:
        return await attempt(asyncio.wait_for, value_after(1), timeout)
    coroutine = asyncio.sleep(LONG_S, "late")
    said = await attempt(asyncio.wait_for, coroutine, timeout)
    coroutine.close()
    return said


@each(0, 0.01, None)
async def wait_for_what_is_done(timeout):
    future = loop_().create_future()
    future.set_result("there")
    return await attempt(asyncio.wait_for, future, timeout)


@program
async def wait_for_cancels_and_waits_for_the_end():
    seen = []

    async def run():
        try:
            await asyncio.sleep(1)
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned")

    return await attempt(asyncio.wait_for, run(), 0.001), seen


@program
async def wait_for_hands_on_an_exception():
    return await attempt(asyncio.wait_for, fail_after(KeyError), 1)


@program
async def wait_for_that_is_cancelled_cancels_its_child():
    child = asyncio.create_task(asyncio.sleep(1))
    outer = asyncio.create_task(asyncio.wait_for(child, 1))
    await settle(2)
    outer.cancel()
    return await attempt(lambda: outer), child.cancelled()


@each(0, -1, 0.001, None, "1", NAN)
async def timeout_with(delay):
    async def run():
        async with asyncio.timeout(delay) as limit:
            await asyncio.sleep(0.004)
        return limit.expired()

    return await attempt(run)


@program
async def timeout_rescheduled_and_expired():
    async def run():
        async with asyncio.timeout(1) as limit:
            limit.reschedule(loop_().time() + 0.001)
            await asyncio.sleep(LONG_S)

    return await attempt(run)


@program
async def nested_timeouts_end_at_the_inner():
    async def run():
        async with asyncio.timeout(1):
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(LONG_S)
            except TimeoutError:
                return "inner", asyncio.current_task().cancelling()

    return await attempt(run)


@program
async def timeout_at_a_past_time():
    async def run():
        async with asyncio.timeout_at(loop_().time() - 1):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return "never"

    return await attempt(run)


@program
async def an_expired_timeout_swallows_only_its_own_cancellation():
    async def run():
        async with asyncio.timeout(1):
            await asyncio.sleep(1)

    task = asyncio.create_task(run())
    await settle(1)
    task.cancel()
    return await attempt(lambda: task)


@program
async def a_timeout_that_is_used_twice():
    limit = asyncio.timeout(1)
    async with limit:
        pass

    async def again():
        async with limit:
            pass

    return await attempt(again), await attempt(limit.reschedule, None)


# --- groups


@program
async def a_group_waits_for_its_tasks():
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(value_after(n, n)) for n in range(3)]
    return [task.result() for task in tasks]


@each(child=1, body=2, both=3)
async def a_group_fails(where):
    seen = []

    async def sibling():
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def run():
        async with asyncio.TaskGroup() as group:
            group.create_task(sibling())
            if where & 1:
                group.create_task(fail_after(KeyError))
            await settle(1)
            if where & 2:
                raise ValueError("body")
            await asyncio.sleep(1)

    return await attempt(run), seen


@program
async def a_finished_group_takes_no_task():
    async with asyncio.TaskGroup() as group:
        pass
    coroutine = value_after(1)
    said = await attempt(group.create_task, coroutine)
    coroutine.close()
    return said.split(" <")[0]


@program
async def a_cancelled_group_cancels_its_children():
    children = []

    async def run():
        async with asyncio.TaskGroup() as group:
            children.append(group.create_task(asyncio.sleep(1)))

    task = asyncio.create_task(run())
    await settle(2)
    task.cancel()
    return await attempt(lambda: task), children[0].cancelled()


@program
async def a_child_that_is_cancelled_does_not_fail_its_group():
    async with asyncio.TaskGroup() as group:
        child = group.create_task(asyncio.sleep(1))
        await settle(1)
        child.cancel()
    return child.cancelled()


# --- generators


@program
async def an_async_generator_left_early_is_closed():
    seen = []

    async def numbers():
        try:
            for number in range(5):
                yield number
        finally:
            seen.append("closed")

    async with contextlib.aclosing(numbers()) as source:
        async for number in source:
            if number == 2:
                break
    return seen


@program
async def an_async_generator_that_is_dropped_is_closed_by_the_loop():
    seen = []

    async def numbers():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    source = numbers()
    await anext(source)
    del source
    await settle(4)
    return seen
