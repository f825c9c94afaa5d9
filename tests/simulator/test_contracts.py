# ruff: noqa: ANN001 - programs under test are written as anybody would write them
"""Code that is correct by asyncio's documented order never raises an alarm."""

import contract_programs
import pytest

from hardening.simulator import explore


def test_there_are_enough_contract_programs():
    assert len(contract_programs.CONTRACTS) >= 12


@pytest.mark.parametrize("program", contract_programs.CONTRACTS, ids=lambda program: program.__name__)
def test_documented_order_raises_no_alarm(program, scale):
    report = explore(program, runs=scale(150, 5_000), seed=3)
    assert report.counterexample is None, report.counterexample.story()
