"""Everything at once: any workload against any overlapping faults, under any settings, in any interleaving."""

from __future__ import annotations

from hypothesis import strategies as st

from scenarios.fault_strategies import anything, schedules
from scenarios.judge.history import History
from scenarios.judge.verdict import Verdict
from scenarios.properties import rare
from scenarios.strategies import latencies, reloads, scenarios, settings, workloads


class TestProductionScenarios:
    """What production would do on its worst day."""

    @rare(
        scenarios(
            "anything",
            workloads(),
            schedules(anything(), least=1),
            settings=settings(),
            latency_s=latencies(),
            reloads=st.one_of(st.just(()), reloads()),
        )
    )
    def test_anything_may_break_while_anything_is_asked(self, history: History, verdicts: tuple[Verdict, ...]) -> None:
        """Any fault."""
