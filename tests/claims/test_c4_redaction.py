"""C4.1 to C4.3: secrets in any disguise, harmless texts, and hostile lines on a busy machine."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_changes import said
from judge_stories import SOUND
from judge_story import Story, changed, judged
from stories_c4 import LONG_SECRET

from hardening.claims.verdict import Outcome

ALPHABET = st.text('abcdefghijkmnopqrstuvwxyzABCDEF0123456789+/=&% "\\é', min_size=16, max_size=40)


DISGUISES = (
    str,
    quote,
    quote_plus,
    lambda s: quote(quote(s)) if quote(s) == s else quote(s),
    lambda s: json.dumps({"note": s}),
    lambda s: json.dumps(json.dumps(s)),
    lambda s: base64.b64encode(s.encode()).decode(),
    lambda s: base64.b64encode(f"user:{s}:x".encode()).decode(),
    lambda s: base64.urlsafe_b64encode(f"a{s}".encode()).decode(),
    lambda s: s[: len(s) - 3] + "...",
    lambda s: json.dumps({"head": s[:8], "tail": s[8:]}),
)


@settings(max_examples=150, deadline=None)
@given(secret=ALPHABET, disguise=st.sampled_from(DISGUISES), before=st.text(max_size=20), after=st.text(max_size=20))
def test_an_own_secret_is_found_in_every_disguise(secret: str, disguise: Callable[[str], str], before: str, after: str):
    story = Story(canaries=[{"name": "own", "kind": "own_token", "value": secret}])
    text = disguise(secret)
    # What stands around it must leave JSON whole, else it could not be read as fields.
    story.line(text if text.startswith("{") else f"{before}{text}{after}")
    story.line("fine", "response")
    assert judged("C4.1", story).outcome is Outcome.FAIL


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1e6, allow_nan=False), max_size=30), st.integers(0, 2**64))
def test_market_data_is_no_leak(prices: list[float], number: int):
    canaries = [
        {"name": "own", "kind": "own_token", "value": "tok_wxg59i66c7tws47fqjir"},
        {"name": "card", "kind": "card", "value": "5105105105105100"},
    ]
    story = Story(canaries=canaries)
    story.line(json.dumps({"candles": prices, "digest": f"{number:064x}", "t": number}))
    story.line(",".join(map(str, prices)), "response")
    assert judged("C4.1", story).outcome is Outcome.PASS


@pytest.mark.parametrize(("encode"), [quote, lambda s: s.encode().hex(), str.upper])
def test_a_leak_that_is_only_nearly_the_secret_is_no_leak(encode: Callable[[str], str]):
    story = SOUND["C4.1"]()
    story.line(encode("sk-live-0000000000000"))
    assert judged("C4.1", story).outcome is Outcome.PASS


def test_the_evidence_of_a_leak_does_not_repeat_the_secret():
    history = changed(SOUND["C4.1"]().history(), said("stdout", f"token={LONG_SECRET}"))
    assert LONG_SECRET not in str(judged("C4.1", history).evidence)


@pytest.mark.parametrize(("lasted_s", "outcome"), [(11.0, Outcome.FAIL), (2.0, Outcome.PASS)])
def test_a_stall_counts_from_the_first_hostile_line_on(lasted_s: float, outcome: Outcome):
    story = Story()
    story.wait(10).say("loop_lag", lag_ms=900.0)
    story.wait(10.5).probe("hostile_line", bytes=1_000_000, lag_ms=3.0, lasted_s=lasted_s)
    assert judged("C4.3", story).outcome is outcome


@pytest.mark.parametrize(("computed_ms", "outcome"), [(251.0, Outcome.FAIL), (249.0, Outcome.UNKNOWN)])
def test_a_loop_made_late_by_a_busy_machine_settles_nothing(computed_ms: float, outcome: Outcome):
    story = Story()
    story.wait(10).probe("hostile_line", bytes=1_000_000, lag_ms=900.0, computed_ms=computed_ms)
    verdict = judged("C4.3", story)
    assert verdict.outcome is outcome
    assert "900 ms" in verdict.reason


def test_a_lag_that_only_the_service_saw_is_the_machine_s_where_the_process_did_not_compute():
    story = Story()
    story.wait(10).say("loop_lag", lag_ms=900.0)
    story.wait(0.5).probe("hostile_line", bytes=1_000_000, lag_ms=3.0, computed_ms=2.0)
    assert judged("C4.3", story).outcome is Outcome.UNKNOWN
