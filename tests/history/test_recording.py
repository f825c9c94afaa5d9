"""A history in memory says what its file says."""

from __future__ import annotations

from judge_story import Story


def test_what_is_judged_in_memory_is_what_a_file_will_say():
    story = Story()
    story.wait(0.1234567891).say("loop_lag", lag_ms=1.0)
    assert [event.t for event in story.history().events] == [event.to_json()["t"] for event in story.history().events]
