"""C2.6: answers and counters by the names and statuses that were scraped."""

from __future__ import annotations

import pytest
from judge_stories import SOUND, judged_after
from judge_story import Change, changed, edited, judged

from hardening.claims.verdict import Outcome
from hardening.history.events import Event


def answers(**series: float) -> Change:
    named = {f"signal_requests_total{{route=signal,status={status.strip('_')}}}": n for status, n in series.items()}

    def change(events: list[Event]) -> list[Event]:
        done = [
            Event(0.5, "service", "state", "request_done", {"status": 503, "duration_s": 0.1}, f"d{i}") for i in "ab"
        ]
        # Under heavy pressure, which begins at 1 s, nobody counts them.
        done += [Event(3.0, "service", "state", "request_done", {"status": 503, "duration_s": 0.1}, "late")]
        return edited("probe", series=named)([*events, *done])

    return change


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (answers(_503=2), Outcome.PASS),
        (answers(_500=2), Outcome.FAIL),
        (answers(_503=1, _500=1), Outcome.FAIL),
        (answers(_503=3), Outcome.FAIL),
        (answers(_503=1), Outcome.FAIL),
        (answers(_503=1, other=1), Outcome.PASS),
    ],
    ids=["as they were", "as errors", "one as an error", "what essentials leave out", "one forgotten", "folded"],
)
def test_answers_are_counted_by_the_status_that_they_had(change: Change, outcome: Outcome):
    assert judged_after("C2.6", change).outcome is outcome


def test_counters_are_read_by_the_names_that_were_scraped():
    scraped = {
        "signal_level_changes_total{new=heavy,old=none}": 1.0,
        "signal_shed_total{level=heavy,priority=low}": 1.0,
        "signal_rejected_total{reason=rate}": 1.0,
        "signal_breaker_changes_total{name=ticker,new=open}": 1.0,
    }
    sound = changed(SOUND["C2.6"]().history(), edited("probe", counters=scraped))
    assert judged("C2.6", sound).outcome is Outcome.PASS
    wrong = changed(sound, edited("probe", counters={**scraped, "signal_shed_total{level=heavy,priority=low}": 2.0}))
    assert judged("C2.6", wrong).outcome is Outcome.FAIL
