# ruff: noqa: ANN001, ANN202 - written as anybody would write them
"""Conformance: threads and signals."""

import asyncio
import concurrent.futures
import queue
import signal
import threading
import time

from conformance_table import LONG_S, attempt, each, program

loop_ = asyncio.get_running_loop


# --- threads


@program
async def to_thread_gives_result_arguments_and_context():
    import contextvars

    var = contextvars.ContextVar("var")
    var.set("seen")
    return await asyncio.to_thread(lambda a, b=0: (a + b, var.get()), 1, b=2)


@each(ValueError, KeyError, asyncio.CancelledError, TimeoutError)
async def to_thread_hands_on(kind):
    def fail():
        raise kind("x")

    return await attempt(asyncio.to_thread, fail)


@program
async def a_thread_has_no_running_loop():
    return await attempt(asyncio.to_thread, asyncio.get_running_loop)


@program
async def a_thread_is_not_the_main_thread():
    return await asyncio.to_thread(lambda: threading.current_thread() is threading.main_thread())


@program
async def run_in_executor_starts_with_an_empty_context():
    import contextvars

    var = contextvars.ContextVar("var", default="default")
    var.set("set")
    return await loop_().run_in_executor(None, var.get)


@program
async def call_soon_threadsafe_from_a_thread():
    seen, event = [], asyncio.Event()

    def work():
        loop_in.call_soon_threadsafe(seen.append, 1)
        loop_in.call_soon_threadsafe(event.set)

    loop_in = loop_()
    await asyncio.to_thread(work)
    await event.wait()
    return seen


@program
async def run_coroutine_threadsafe_from_a_thread():
    loop = loop_()

    async def answer():
        await asyncio.sleep(0.001)
        return 7

    return await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(answer(), loop).result(1))


@program
async def the_loop_goes_on_while_a_thread_sleeps():
    ticks = []

    async def tick():
        while True:
            await asyncio.sleep(0.001)
            ticks.append(1)

    ticking = asyncio.create_task(tick())
    await asyncio.to_thread(time.sleep, LONG_S)
    ticking.cancel()
    return len(ticks) >= 3


@program
async def work_of_a_thread_goes_on_after_its_caller_gave_up():
    done = []

    def work():
        time.sleep(0.005)
        done.append(1)

    said = await attempt(asyncio.wait_for, asyncio.to_thread(work), 0.001)
    await asyncio.sleep(LONG_S)
    return said, done


@program
async def an_executor_of_one_thread_runs_jobs_in_order():
    seen = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        await asyncio.gather(*(loop_().run_in_executor(pool, seen.append, n) for n in range(5)))
    return seen


@program
async def a_pool_used_directly():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return sorted(pool.map(lambda n: n * n, range(4))), pool.submit(sum, (1, 2)).result()


@program
async def threads_start_run_and_are_joined():
    seen = []
    thread = threading.Thread(target=seen.append, args=(1,), name="worker")
    before = thread.is_alive()
    thread.start()
    thread.join()
    return before, seen, thread.is_alive(), thread.name, await attempt(thread.start)


@each("Lock", "RLock", "Semaphore", "BoundedSemaphore")
async def a_lock_of_threading(kind):
    lock = getattr(threading, kind)()
    first = lock.acquire()
    again = lock.acquire(blocking=False)
    lock.release()
    return first, again, await asyncio.to_thread(lambda: lock.acquire(timeout=0.001))


@program
async def a_lock_released_twice():
    lock = threading.Lock()
    lock.acquire()
    lock.release()
    return await attempt(lock.release), lock.locked()


@each(-2, "x", None)
async def a_lock_acquired_with_a_limit_of(timeout):
    return await attempt(threading.Lock().acquire, True, timeout)


@program
async def a_queue_between_threads():
    source = queue.Queue()

    def work():
        return [source.get(timeout=1) for _ in range(3)]

    task = asyncio.create_task(asyncio.to_thread(work))
    for item in range(3):
        source.put(item)
        await asyncio.sleep(0)
    return await task, source.empty()


@program
async def a_queue_that_stays_empty():
    return await attempt(asyncio.to_thread, queue.Queue().get, timeout=0.002), await attempt(
        queue.SimpleQueue().get_nowait
    )


@each(0.001, 0, -1)
async def an_event_of_threading_with_a_limit_of(timeout):
    return await asyncio.to_thread(threading.Event().wait, timeout)


@program
async def a_condition_of_threading():
    condition, ready = threading.Condition(), []

    def wait():
        with condition:
            return condition.wait_for(lambda: bool(ready), timeout=1)

    task = asyncio.create_task(asyncio.to_thread(wait))
    await asyncio.sleep(0.005)
    with condition:
        ready.append(1)
        condition.notify()
    return await task


@program
async def a_local_of_threading_is_not_shared():
    local = threading.local()
    local.value = 1
    return await asyncio.to_thread(hasattr, local, "value"), local.value


@program
async def a_timer_of_threading():
    done = threading.Event()
    timer = threading.Timer(0.001, done.set)
    timer.start()
    return await asyncio.to_thread(done.wait, 1)


@each(0, -1, "x", None, True)
async def time_sleep_with(seconds):
    return await attempt(time.sleep, seconds)


# --- signals


@program
async def signal_gives_back_what_was_set():
    def handler(number, frame):
        pass

    first = signal.signal(signal.SIGUSR1, handler)
    seen = signal.getsignal(signal.SIGUSR1) is handler
    back = signal.signal(signal.SIGUSR1, first)
    return first == signal.SIG_DFL, seen, back is handler


@program
async def raise_signal_runs_the_handler_before_the_next_line():
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(int(number)))
    try:
        signal.raise_signal(signal.SIGUSR1)
        return list(seen)
    finally:
        signal.signal(signal.SIGUSR1, before)


@program
async def an_ignored_signal_does_nothing():
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.raise_signal(signal.SIGUSR1)
    return signal.signal(signal.SIGUSR1, before) == signal.SIG_IGN


@program
async def a_handler_that_raises_raises_where_the_signal_comes():
    def handler(number, frame):
        raise ValueError("from the handler")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        return await attempt(signal.raise_signal, signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


@program
async def the_loops_handler_runs_in_a_later_round():
    seen, event = [], asyncio.Event()
    loop_().add_signal_handler(signal.SIGUSR2, lambda: (seen.append(1), event.set()))
    signal.raise_signal(signal.SIGUSR2)
    before = list(seen)
    await event.wait()
    return before, seen, loop_().remove_signal_handler(signal.SIGUSR2), loop_().remove_signal_handler(signal.SIGUSR2)


@program
async def after_removal_the_default_is_back():
    loop_().add_signal_handler(signal.SIGUSR2, print)
    loop_().remove_signal_handler(signal.SIGUSR2)
    return signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL


@each(signal.SIGKILL, 0, -1, 1000, "x", None)
async def add_signal_handler_for(number):
    return (await attempt(loop_().add_signal_handler, number, print)).split(":")[0]


@program
async def a_coroutine_is_no_signal_handler():
    async def handler():
        pass

    return await attempt(loop_().add_signal_handler, signal.SIGUSR1, handler)


@each(signal.SIGKILL, 0, 1000)
async def signal_for(number):
    return await attempt(signal.signal, number, signal.SIG_IGN)


@each(7, "x", None)
async def signal_with(handler):
    return await attempt(signal.signal, signal.SIGUSR1, handler)


@program
async def signal_in_a_thread():
    return await attempt(asyncio.to_thread, signal.signal, signal.SIGUSR1, signal.SIG_IGN)


@program
async def a_signal_between_two_steps_reaches_a_waiting_task():
    event = asyncio.Event()
    before = signal.signal(signal.SIGUSR1, lambda number, frame: event.set())
    try:
        loop_().call_later(0.001, signal.raise_signal, signal.SIGUSR1)
        return await asyncio.wait_for(event.wait(), 1)
    finally:
        signal.signal(signal.SIGUSR1, before)
