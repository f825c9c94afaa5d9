# ruff: noqa: ANN001, ANN202 - written as anybody would write them
"""Conformance: callbacks, timers, futures and odd arguments of them."""

import asyncio
import contextvars
import decimal
import fractions

from conformance_table import LONG_S, attempt, each, program, settle

NAN, INF = float("nan"), float("inf")
loop_ = asyncio.get_running_loop


# --- callbacks and timers


@program
async def callbacks_first_in_first_out():
    seen = []
    for number in range(5):
        loop_().call_soon(seen.append, number)
    await settle()
    return seen


@program
async def a_callback_scheduled_by_a_callback_runs_in_the_next_round():
    seen = []
    loop_().call_soon(lambda: (seen.append(1), loop_().call_soon(seen.append, 3)))
    loop_().call_soon(seen.append, 2)
    await asyncio.sleep(0)
    before = list(seen)
    await asyncio.sleep(0)
    return before, seen


@program
async def a_cancelled_callback_does_not_run():
    seen = []
    handle = loop_().call_soon(seen.append, 1)
    handle.cancel()
    await settle()
    return seen, handle.cancelled()


@program
async def timers_run_by_time():
    seen = []
    for delay in (0.003, 0.001, 0.002):
        loop_().call_later(delay, seen.append, delay)
    await asyncio.sleep(LONG_S)
    return seen


@program
async def a_cancelled_timer_does_not_run_and_knows_its_time():
    seen = []
    now = loop_().time()
    timer = loop_().call_at(now + 0.001, seen.append, 1)
    timer.cancel()
    await asyncio.sleep(0.003)
    return seen, timer.cancelled(), timer.when() == now + 0.001


@program
async def call_at_in_the_past_runs_in_the_next_round():
    seen = []
    loop_().call_at(loop_().time() - 10, seen.append, 1)
    await settle(2)
    return seen


@each(0, -1, 0.0, True, False, 1e-9, NAN, -INF, fractions.Fraction(1, 1000), None, "1", b"1", (), decimal.Decimal(0))
async def call_later_with(delay):
    seen = []
    said = await attempt(lambda: loop_().call_later(delay, seen.append, 1) and None)
    await asyncio.sleep(0.003)
    return said, seen


@each(0, -1, 1, NAN, None, "1", b"", [], fractions.Fraction(1, 2))
async def call_at_with(when):
    seen = []
    said = await attempt(lambda: loop_().call_at(when, seen.append, 1) and None)
    await settle(2)
    return said, seen


@each(0, -1, 0.0, -0.5, True, False, fractions.Fraction(1, 1000), -INF, None, "1", b"1", [], {}, 1j, decimal.Decimal(0))
async def sleep_with(delay):
    return await attempt(asyncio.sleep, delay, "result")


@program
async def sleep_zero_yields_once():
    seen = []
    loop_().call_soon(seen.append, 1)
    await asyncio.sleep(0)
    return seen


@program
async def sleep_of_not_a_number():
    return await attempt(asyncio.sleep, NAN, "result")


@program
async def a_failing_callback_reaches_the_exception_handler():
    seen = []
    loop_().set_exception_handler(
        lambda loop, context: seen.append((context["message"][:21], repr(context["exception"])))
    )
    loop_().call_soon(lambda: 1 / 0)
    await settle()
    return seen, loop_().get_exception_handler() is not None


@each(None, 1, "x", ())
async def set_exception_handler_to(handler):
    return await attempt(loop_().set_exception_handler, handler)


@program
async def call_soon_threadsafe_runs():
    seen = []
    loop_().call_soon_threadsafe(seen.append, 1)
    await settle(2)
    return seen


@program
async def callbacks_run_in_the_context_of_who_scheduled_them():
    var, seen = contextvars.ContextVar("var", default=0), []
    var.set(1)
    loop_().call_soon(lambda: seen.append(var.get()))
    var.set(2)
    loop_().call_soon(lambda: seen.append(var.get()))
    loop_().call_soon(lambda: seen.append(var.get()), context=contextvars.Context())
    await settle(2)
    return seen


@program
async def time_goes_on_by_at_least_what_was_slept():
    before = loop_().time()
    await asyncio.sleep(0.002)
    return loop_().time() - before >= 0.00199


@program
async def the_loop_says_what_it_is():
    loop = loop_()
    return loop.is_running(), loop.is_closed(), loop.get_debug(), isinstance(loop, asyncio.AbstractEventLoop)


@each("close", "run_forever")
async def the_running_loop_refuses(name):
    return await attempt(getattr(loop_(), name))


@program
async def run_until_complete_inside_is_refused():
    future = loop_().create_future()
    return await attempt(loop_().run_until_complete, future)


@program
async def asyncio_run_inside_is_refused():
    coroutine = asyncio.sleep(0)
    said = await attempt(asyncio.run, coroutine)
    coroutine.close()
    return said


# --- futures


@program
async def a_future_keeps_its_result():
    future = loop_().create_future()
    future.set_result(1)
    return future.result(), await future, future.done(), future.cancelled(), future.exception()


@each("result", "exception")
async def a_pending_future_has_no(name):
    return await attempt(getattr(loop_().create_future(), name))


@each(
    result=lambda f: f.set_result(1), error=lambda f: f.set_exception(ValueError("x")), cancel=lambda f: f.cancel("why")
)
async def a_done_future(finish):
    future = loop_().create_future()
    finish(future)
    return (
        await attempt(future.set_result, 2),
        await attempt(future.set_exception, KeyError()),
        future.cancel(),
        await attempt(lambda: future),
        await attempt(future.exception),
    )


@each(1, "x", StopIteration, StopIteration(), ValueError, None)
async def set_exception_with(value):
    future = loop_().create_future()
    return await attempt(future.set_exception, value), future.done() and type(future.exception()).__name__


@program
async def done_callbacks_run_in_order_and_once_each():
    future, seen = loop_().create_future(), []
    for number in range(3):
        future.add_done_callback(lambda _, number=number: seen.append(number))
    future.set_result(None)
    before = list(seen)
    await settle(2)
    return before, seen


@program
async def removed_done_callbacks_do_not_run():
    future, seen = loop_().create_future(), []
    future.add_done_callback(seen.append)
    future.add_done_callback(seen.append)
    removed = future.remove_done_callback(seen.append)
    future.set_result(None)
    await settle(2)
    return removed, seen


@program
async def a_callback_added_to_a_done_future_runs_in_the_next_round():
    future, seen = loop_().create_future(), []
    future.set_result(None)
    future.add_done_callback(lambda _: seen.append(1))
    before = list(seen)
    await asyncio.sleep(0)
    return before, seen


@program
async def waiters_of_a_future_wake_in_order():
    future, seen = loop_().create_future(), []

    async def wait(name):
        await future
        seen.append(name)

    tasks = [asyncio.create_task(wait(n)) for n in range(3)]
    await settle(2)
    future.set_result(None)
    await asyncio.wait(tasks)
    return seen


@program
async def isfuture_and_wrap_future():
    import concurrent.futures

    inner = concurrent.futures.Future()
    outer = asyncio.wrap_future(inner)
    inner.set_result(3)
    return asyncio.isfuture(outer), asyncio.isfuture(inner), await outer
