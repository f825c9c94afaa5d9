# ruff: noqa: ANN001, ANN202, BLE001 - fixtures and parameters
"""The simulated loop does what the real one of this Python does: 300 small programs give equal results on both."""

import asyncio

import conformance_callbacks  # noqa: F401
import conformance_limits  # noqa: F401
import conformance_servers  # noqa: F401
import conformance_sockets  # noqa: F401
import conformance_streams  # noqa: F401
import conformance_sync  # noqa: F401
import conformance_tasks  # noqa: F401
import conformance_threads  # noqa: F401
import pytest
from conformance_table import PROGRAMS, result_of

from hardening.simulator.core.choices import Choices
from hardening.simulator.core.plan import Bounds, Plan
from hardening.simulator.search.run import run_once
from hardening.simulator.search.sandbox import sandbox

pytestmark = pytest.mark.filterwarnings("ignore")  # programs drop what others must not
DIFFERENCES: dict[str, str] = {}
"""Programs that give another result in a simulation, and why that is wanted; docs/SIMULATOR.md lists them."""


@pytest.fixture(scope="module")
def box():
    with sandbox(Bounds()) as entered:
        yield entered


def simulated(box, function):
    """What a program gives in the default schedule, in the shape of ``result_of``."""

    async def program():
        return await result_of(function)

    outcome = run_once(program, Choices(Plan()), Bounds(), box)
    if outcome.error is not None:
        return "ended", type(outcome.error).__name__
    return outcome.result


def on_a_real_loop(function):
    """The same there; a timer that cannot be compared ends a loop itself."""
    try:
        return asyncio.run(result_of(function))
    except Exception as error:
        return "ended", type(error).__name__


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_the_simulation_agrees_with_the_real_loop(box, name):
    real = on_a_real_loop(PROGRAMS[name])
    ours = simulated(box, PROGRAMS[name])
    assert (ours == real) != (name in DIFFERENCES), f"real loop: {real!r}; simulation: {ours!r}"


def test_there_are_at_least_300_programs():
    assert len(PROGRAMS) >= 300
