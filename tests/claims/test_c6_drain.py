"""C6.1: calls after the end, a second signal, requests that waited for a descriptor."""

from __future__ import annotations

import pytest
from judge_stories import judged_after
from judge_story import Story, doubled, judged, without

from hardening.claims.verdict import Outcome
from hardening.history.events import Event


def test_nothing_is_called_once_the_clients_are_closed():
    def worker_goes_on(events: list[Event]) -> list[Event]:
        closed = next(e for e in events if e.value.get("phase") == "clients_closed")
        value = {"name": "alert", "outcome": "refused", "attempts": 0, "duration_s": 0.0}
        return [*events, Event(closed.t + 0.01, "service", "state", "call", value, "")]

    verdict = judged_after("C6.1", worker_goes_on)
    assert verdict.outcome is Outcome.FAIL
    assert "after its client was closed" in verdict.reason


def test_without_a_second_signal_nobody_knows_what_it_would_corrupt():
    verdict = judged_after("C6.1", without("process", signal="SIGINT"))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "second signal" in verdict.reason
    assert judged_after("C6.1", doubled("process", signal="SIGINT")).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("kind", "outcome"), [("descriptors_exhausted", Outcome.UNKNOWN), ("cpu_pressure", Outcome.FAIL)]
)
def test_who_waited_for_a_descriptor_was_never_in_flight(kind: str, outcome: Outcome):
    story = Story()
    story.process("started")
    story.say("startup", phase="listening", host="127.0.0.1", port=1)
    story.say("startup", phase="ready")
    story.inject("f0", kind, "service")
    ident = story.wait(1).ask()
    story.wait(0.1).process("signalled", signal="SIGTERM")
    story.wait(0.01).say("drain", phase="begin", signal="SIGTERM")
    story.wait(1.1).say("drain", phase="listener_closed")
    story.lose(ident)
    for phase in ("waited", "clients_closed", "done"):
        story.wait(0.05).say("drain", phase=phase)
    story.wait(0.1).process("exited", exit_code=0)
    verdict = judged("C6.1", story)
    assert verdict.outcome is outcome, verdict.reason
