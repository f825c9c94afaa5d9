"""Levels by any utilisation are legal, secrets in any disguise are not, and harmless texts never are one."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from urllib.parse import quote, quote_plus

from hypothesis import given, settings
from hypothesis import strategies as st
from judge_sound import SOUND
from judge_story import Story

from hardening.claims.claims import judge_all
from hardening.claims.verdict import Outcome

LEVELS = {"light": 0.70, "moderate": 0.85, "heavy": 0.95}
NAMES = ["none", *LEVELS]
SHED = {"none": set(), "light": {"low"}, "moderate": {"low"}, "heavy": {"low", "normal", "high"}}
UTILISATIONS = st.lists(st.tuples(st.floats(0, 1.3), st.floats(0.1, 4.0)), max_size=40)
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


def outcome(claim: str, story: Story) -> Outcome:
    return judge_all({"told": story.history()}, [claim])[0].outcome


@settings(max_examples=100, deadline=None)
@given(samples=UTILISATIONS, seed=st.integers(0, 2**32))
def test_levels_that_follow_any_utilisation_by_the_rule_never_fail(samples: list[tuple[float, float]], seed: int):
    rng, story = random.Random(seed), Story()
    inside = dict.fromkeys(LEVELS, False)
    calm: dict[str, float | None] = dict.fromkeys(LEVELS)
    level = "none"
    for used, pause_s in samples:
        story.wait(pause_s)
        for name, threshold in LEVELS.items():
            if used >= threshold:
                inside[name], calm[name] = True, None
            elif used > threshold - 0.10:
                calm[name] = None
            elif inside[name]:
                since = calm[name] = story.now if calm[name] is None else calm[name]
                inside[name] = story.now - since < 5.0
        new = max((n for n in LEVELS if inside[n]), key=NAMES.index, default="none")
        if new != level:
            story.say("level", old=level, new=new, utilisation=round(used, 4))
            level = new
        priority = rng.choice(["high", "normal", "low"])
        ident = story.ask(priority=priority)
        if priority in SHED[level]:
            story.say("shed", ident, level=level, priority=priority, status=503, retry_after_s=5.0)
            story.answer(ident, 503, retry_after_s=5.0)
        else:
            story.admit(ident, priority=priority)
            story.answer(ident)
        story.answer(story.ask("health"))
    assert outcome("C2.3", story) is not Outcome.FAIL


@settings(max_examples=150, deadline=None)
@given(secret=ALPHABET, disguise=st.sampled_from(DISGUISES), before=st.text(max_size=20), after=st.text(max_size=20))
def test_an_own_secret_is_found_in_every_disguise(secret: str, disguise: Callable[[str], str], before: str, after: str):
    story = Story(canaries=[{"name": "own", "kind": "own_token", "value": secret}])
    text = disguise(secret)
    # What stands around it must leave JSON whole, else it could not be read as fields.
    story.line(text if text.startswith("{") else f"{before}{text}{after}")
    story.line("fine", "response")
    assert outcome("C4.1", story) is Outcome.FAIL


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
    assert outcome("C4.1", story) is Outcome.PASS


def test_a_critical_client_that_left_before_it_was_connected_was_not_refused():
    for error, expected in (("disconnected", Outcome.PASS), ("ConnectionRefusedError", Outcome.FAIL)):
        story = SOUND["C2.3"]()
        history = story.history()
        pressed = next(e for e in history.states("level", new="heavy"))
        story.now = pressed.t + 0.01
        ident = story.ask("health")
        story.recorder.add(story.now, "client", "fail", "request", {"error": error, "latency_s": 0.0}, ident)
        verdict = judge_all({"told": story.history()}, ["C2.3"])[0]
        assert verdict.outcome is expected, verdict.reason


def test_a_change_that_cannot_be_audited_was_answered_and_not_shed():
    for problem, expected in (("urn:signal-service:problem:audit", Outcome.PASS), ("x:shed", Outcome.FAIL)):
        story = SOUND["C2.3"]()
        pressed = next(e for e in story.history().states("level", new="heavy"))
        story.now = pressed.t + 0.01
        story.answer(story.ask("admin", method="POST"), 503, problem=problem)
        verdict = judge_all({"told": story.history()}, ["C2.3"])[0]
        assert verdict.outcome is expected, verdict.reason


def test_a_critical_client_beyond_the_last_connection_was_cut_by_the_limit_if_the_service_says_so_too():
    for said, expected in ((True, Outcome.PASS), (False, Outcome.FAIL)):
        story = SOUND["C2.3"]()
        pressed = next(e for e in story.history().states("level", new="heavy"))
        story.now = pressed.t + 0.01
        ident = story.ask("health")
        if said:
            story.say("rejected", reason="connections", status=503, retry_after_s=1.0)
        story.answer(ident, 503, problem="urn:signal-service:problem:connections")
        verdict = judge_all({"told": story.history()}, ["C2.3"])[0]
        assert verdict.outcome is expected, verdict.reason
