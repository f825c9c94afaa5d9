# ruff: noqa: ANN001, ANN202 - programs under test are written as anybody would write them
"""Signals: what is set is what is read back, handlers run before the next line, and each machine has its own."""

import asyncio
import os
import signal

import pytest

from hardening.simulator import explore, network, send_signal


def passes(program):
    report = explore(program, runs=20, seed=1)
    assert report.counterexample is None, report.counterexample.story()


def test_a_handler_that_is_put_back_is_called_again_and_read_back_as_it_was_set():
    async def program():
        seen = []

        def first(number, frame):
            seen.append(number)

        signal.signal(signal.SIGUSR1, first)
        before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        assert before is first
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
        signal.signal(signal.SIGUSR1, before)
        signal.raise_signal(signal.SIGUSR1)
        assert seen == [signal.SIGUSR1]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    passes(program)


def test_a_signal_to_oneself_runs_the_handler_before_the_next_line_and_the_loops_callback_a_step_later():
    async def program():
        order = []
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR2, order.append, "callback")
        signal.signal(signal.SIGUSR1, lambda number, frame: order.append("handler"))
        os.kill(os.getpid(), signal.SIGUSR2)
        signal.raise_signal(signal.SIGUSR1)
        order.append("next line")
        await asyncio.sleep(0)
        assert order == ["handler", "next line", "callback"]
        assert loop.remove_signal_handler(signal.SIGUSR2)
        assert not loop.remove_signal_handler(signal.SIGUSR2)

    passes(program)


def test_each_machine_hears_its_own_signals():
    async def program():
        heard = []

        async def serve(name):
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            await stop.wait()
            heard.append(name)

        serving = []
        for name in ("one", "two"):
            with network().host(name):
                serving.append(asyncio.create_task(serve(name)))
        await asyncio.sleep(0.1)
        assert send_signal(signal.SIGTERM, "one")
        await asyncio.sleep(0.1)
        assert heard == ["one"]
        assert send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        assert heard == ["one", "two"]

    passes(program)


@pytest.mark.parametrize(
    ("number", "handler", "kind"),
    [(signal.SIGKILL, signal.SIG_DFL, OSError), (0, signal.SIG_DFL, ValueError), (signal.SIGUSR1, 7, TypeError)],
)
def test_what_cannot_be_set_is_refused_as_the_interpreter_refuses_it(number, handler, kind):
    with pytest.raises(kind):
        signal.signal(number, handler)

    async def program():
        with pytest.raises(kind):
            signal.signal(number, handler)

    passes(program)


def test_handlers_of_one_run_are_gone_in_the_next():
    async def program():
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
        signal.signal(signal.SIGUSR1, lambda number, frame: None)

    passes(program)
