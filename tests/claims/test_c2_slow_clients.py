"""C2.7: how long a crowd must stay to be judged, and bodies above the limit."""

from __future__ import annotations

import pytest
from judge_story import Story, judged

from hardening.claims.c2_slow_clients import judge_rude_clients
from hardening.claims.verdict import Outcome


def crowd(*, cut: int, held_s: float) -> Story:
    story = Story()
    for kind in ("slow_head", "slow_body", "flood", "descriptors"):
        whole = {"connections": 20, "cut": 20, "longest_s": 1.0, "served": 9, "permits": 0, "accepted_max": 20}
        part = {"cut": cut, "held_s": held_s} if kind == "slow_head" else {}
        story.wait(20).probe("rude_clients", kind=kind, **{**whole, **part})
    return story


@pytest.mark.parametrize(
    ("cut", "held_s", "expected"),
    [
        (20, 10.5, Outcome.PASS),
        (20, 30.0, Outcome.PASS),
        (3, 4.0, Outcome.UNKNOWN),
        (3, 11.9, Outcome.UNKNOWN),
        (3, 12.1, Outcome.FAIL),
        (0, 60.0, Outcome.FAIL),
    ],
)
def test_a_crowd_is_judged_by_how_long_it_stayed(cut: int, held_s: float, expected: Outcome) -> None:
    verdict = judge_rude_clients(crowd(cut=cut, held_s=held_s).history())
    assert verdict.outcome is expected, verdict.reason


def starved(problem: str, status: int) -> Story:
    """A flood of a minute during which one other asked and was refused, for one reason or another."""
    story = Story()
    asked = story.ask()
    if status:
        story.answer(asked, status, problem=problem)
    else:
        story.lose(asked)
    for kind in ("slow_head", "slow_body", "flood", "descriptors"):
        value = {"connections": 20, "cut": 20, "longest_s": 1.0, "served": 9, "permits": 0, "accepted_max": 20}
        story.wait(20).probe("rude_clients", kind=kind, **{**value, "served": 0 if kind == "flood" else 9})
    return story


@pytest.mark.parametrize(
    ("problem", "status", "expected"),
    [("x/unavailable", 503, Outcome.PASS), ("x/busy", 503, Outcome.FAIL), ("", 0, Outcome.FAIL)],
)
def test_whom_another_fault_kept_out_was_not_kept_out_by_the_crowd(
    problem: str, status: int, expected: Outcome
) -> None:
    verdict = judge_rude_clients(starved(problem, status).history())
    assert verdict.outcome is expected, verdict.reason


@pytest.mark.parametrize(
    ("size", "status", "expected"),
    [
        (1_000_001, 422, Outcome.FAIL),
        (1_000_001, 202, Outcome.FAIL),
        (1_000_001, 413, Outcome.UNKNOWN),
        (1_000_001, 429, Outcome.UNKNOWN),
        (1_000_000, 422, Outcome.UNKNOWN),
    ],
)
def test_a_body_above_the_limit_is_refused_for_its_size(size: int, status: int, expected: Outcome) -> None:
    story = Story()
    story.answer(story.ask("alert", body_bytes=size), status)
    found = judged("C2.7", story)
    assert found.outcome is expected, found.reason
