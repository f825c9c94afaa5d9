# ruff: noqa: ANN001, ANN003, ANN202, ASYNC110 - programs under test are written as anybody would write them
"""What a program may say, and what is reported: promises, deadlocks, livelocks, leftovers, broken rules."""

import asyncio
import socket
import subprocess

import pytest

from hardening.simulator import always, cancel_point, draw, eventually, explore, in_simulation, io, replay
from hardening.simulator.core.errors import (
    DeadlockError,
    LeftoverError,
    LivelockError,
    OutsideSimulationError,
    OverdueError,
    RuleBrokenError,
    ViolationError,
)
from hardening.simulator.core.plan import Decision, Plan, PlanError


def found(program, **options):
    report = explore(program, **{"runs": 300, "seed": 2, **options})
    assert report.counterexample is not None
    assert report.counterexample.repeats
    return report.counterexample


def test_a_deadlock_names_who_waits_for_what_and_who_holds_it():
    async def program():
        one, two = asyncio.Lock(), asyncio.Lock()

        async def work(first, second):
            async with first:
                await io(0.01, 0.02)
                async with second:
                    pass

        await asyncio.gather(
            asyncio.create_task(work(one, two), name="left"), asyncio.create_task(work(two, one), name="right")
        )

    error = found(program).exception
    assert isinstance(error, DeadlockError)
    waits = {wait.task: wait for wait in error.waits}
    assert waits["left"].held_by == ("right",)
    assert waits["right"].held_by == ("left",)
    assert "Lock" in waits["left"].on
    assert "test_programs.py" in waits["left"].where
    assert waits["main"].on == "all of left, right"


def test_a_wait_for_a_task_and_for_a_queue_is_named():
    async def program():
        queue = asyncio.Queue()
        await asyncio.create_task(queue.get(), name="getter")

    waits = {wait.task: wait.on for wait in found(program).exception.waits}
    assert waits["main"] == "task getter"
    assert "Queue" in waits["getter"]


def test_a_livelock_names_who_is_busy():
    async def program():
        async def spin():
            while True:
                await asyncio.sleep(0)

        await asyncio.create_task(spin(), name="spinner")

    error = found(program, max_steps=500).exception
    assert isinstance(error, LivelockError)
    assert "spinner" in str(error)


def test_a_program_that_only_waits_for_a_heartbeat_is_overdue():
    async def program():
        async def beat():
            while True:
                await asyncio.sleep(1)

        asyncio.create_task(beat(), name="heart")  # noqa: RUF006
        await asyncio.Event().wait()

    error = found(program, max_virtual_s=30).exception
    assert isinstance(error, OverdueError)
    assert any(wait.task == "main" and "Event" in wait.on for wait in error.waits)


def test_always_is_looked_at_after_every_step_even_when_nobody_awaits_the_culprit():
    async def program():
        level = [0]
        always("level stays low", lambda: level[0] < 2)

        async def spike():
            await io(0.0, 1.0)
            level[0] = 2
            level[0] -= draw(0, 1)
            await asyncio.sleep(0)
            level[0] = 0

        await asyncio.gather(spike(), spike())

    error = found(program).exception
    assert isinstance(error, ViolationError)
    assert (error.name, error.kind) == ("level stays low", "always")


def test_a_violation_ends_the_run_even_when_the_program_swallows_everything():
    async def program():
        try:
            always("never", lambda: False)
            await asyncio.sleep(1)
        except BaseException:  # noqa: BLE001
            return

    assert isinstance(found(program).exception, ViolationError)


def test_always_ends_with_its_block():
    async def program():
        value = [1]
        with always("one", lambda: value[0] == 1):
            await io(0.0, 1.0)
        value[0] = 2
        await io(0.0, 1.0)

    assert explore(program, runs=20, seed=1).counterexample is None


def test_eventually_is_waited_for_and_fails_when_it_does_not_come_true():
    def make(seconds):
        async def program():
            done = []

            async def later():
                await asyncio.sleep(seconds)
                done.append(1)

            program.task = asyncio.create_task(later())
            eventually("done", lambda: done, within_s=5.0)

        return program

    assert explore(make(4.0), runs=5, seed=1).counterexample is None
    error = found(make(6.0)).exception
    assert isinstance(error, ViolationError)
    assert error.virtual_s == pytest.approx(5.0)


def test_cancel_point_cancels_only_when_the_schedule_says_so():
    async def program():
        async def work():
            await cancel_point()

        task = asyncio.create_task(work(), name="worker")
        await asyncio.wait([task])
        assert not task.cancelled()

    example = found(program)
    assert len(example.plan) == 1
    assert explore(program, runs=1, seed=1).counterexample is None


def test_a_client_can_be_cancelled_between_the_grant_and_the_wake_up():
    async def program():
        lock_like = asyncio.get_running_loop().create_future()
        held = []

        async def owner():
            await lock_like
            held.append(1)

        task = asyncio.create_task(owner(), name="client")
        await asyncio.sleep(0.01)
        lock_like.set_result(None)
        await asyncio.wait([task])
        assert held, "granted, never woken"

    async def twin():
        task = asyncio.create_task(asyncio.sleep(1), name="server")
        await task

    assert [d.kind for d in found(program, cancel="client").plan.decisions] == ["cancel"]
    assert explore(twin, runs=100, seed=1, cancel="client").counterexample is None


def test_leftovers_are_reported_and_fail_when_asked_to():
    async def program():
        asyncio.create_task(asyncio.sleep(100), name="forgotten")  # noqa: RUF006
        asyncio.get_running_loop().call_later(50, print)
        await asyncio.start_server(lambda r, w: None, None, 7)
        await asyncio.sleep(0)

    report = explore(program, runs=3, seed=1)
    assert report.counterexample is None
    text = " ".join(report.leftovers)
    assert "task forgotten" in text
    assert "timer for print" in text
    assert "listener local:7" in text
    assert isinstance(found(program, leftovers="fail").exception, LeftoverError)


def test_a_lost_assertion_fails_the_run_and_other_lost_exceptions_are_reported():
    def make(error):
        async def program():
            async def background():
                raise error

            asyncio.create_task(background())  # noqa: RUF006
            await asyncio.sleep(1)

        return program

    assert isinstance(found(make(AssertionError("wrong"))).exception, AssertionError)
    report = explore(make(OSError("away")), runs=3, seed=1)
    assert report.counterexample is None
    assert "OSError" in report.lost[0]
    assert found(make(OSError("away")), lost="fail")


def _opens_a_datagram_socket():
    socket.socket(type=socket.SOCK_DGRAM)


@pytest.mark.parametrize(
    ("rule", "act"),
    [
        ("a real socket that is no stream", _opens_a_datagram_socket),
        ("a subprocess", lambda: subprocess.Popen(["true"])),
        ("loop.add_reader", lambda: asyncio.get_running_loop().add_reader(0, print)),
    ],
)
def test_reaching_for_the_real_world_is_refused_with_the_place(rule, act):
    async def program():
        try:
            act()
        except Exception:  # noqa: BLE001
            await asyncio.sleep(1)

    with pytest.raises(RuleBrokenError) as error:
        explore(program, runs=3, seed=1)
    assert error.value.rule == rule
    assert "test_programs.py" in error.value.where


def test_tls_is_refused_clearly():
    async def program():
        await asyncio.open_connection("local", 443, ssl=True)

    with pytest.raises(RuleBrokenError, match="TLS"):
        explore(program, runs=1, seed=1)


def test_outside_a_simulation_the_words_of_a_program_say_so():
    assert not in_simulation()
    with pytest.raises(OutsideSimulationError):
        draw(0, 1)


def test_reordering_is_opt_in():
    async def program():
        seen = []
        loop = asyncio.get_running_loop()
        loop.call_soon(seen.append, 1)
        loop.call_soon(seen.append, 2)
        await asyncio.sleep(0.1)
        assert seen == [1, 2]

    assert explore(program, runs=100, seed=1).counterexample is None
    example = found(program, reorder=True)
    assert {d.kind for d in example.plan.decisions} == {"first"}
    assert replay(program, example.plan).failed


def test_an_argument_that_can_not_be_is_refused_in_one_line():
    async def program():
        return None

    for options in (
        {"latency": (2.0, 1.0)},
        {"max_virtual_s": 0},
        {"max_steps": 0},
        {"leftovers": "maybe"},
        {"shard": "3/2"},
        {"shard": "x"},
    ):
        with pytest.raises(PlanError) as error:
            explore(program, **options)
        assert "allowed" in str(error.value)
        assert "\n" not in str(error.value)


def test_a_plan_is_one_line_that_reads_back():
    plan = Plan((Decision("draw", "client-1", 2, 0.5), Decision("cancel", "client-2", 17, 0)))
    assert "\n" not in str(plan)
    assert Plan.parse(str(plan)) == plan
    for text in ("x", "{}", '{"format":"signal-hardening/plan","version":9}'):
        with pytest.raises(PlanError):
            Plan.parse(text)
