"""For every claim: UNKNOWN without its premise, PASS on a sound story, FAIL with evidence on a changed one."""

from __future__ import annotations

import time

import pytest
from judge_stories import SOUND, WRONG
from judge_story import Change, Story, changed, judged

from hardening.claims.claims import CLAIMS, COMPONENTS, judge_all, select
from hardening.claims.verdict import Outcome, unknown
from hardening.history.events import parse


def test_every_claim_has_a_judge_and_a_sound_story():
    assert list(CLAIMS) == sorted(CLAIMS)
    assert set(SOUND) == set(CLAIMS)
    assert {claim.component for claim in CLAIMS.values()} == set(COMPONENTS)
    assert all(claim.promise and claim.premise and claim.title for claim in CLAIMS.values())


def test_an_empty_history_leaves_every_claim_unknown():
    verdicts = judge_all({"empty": Story().history()})
    assert [v.claim for v in verdicts] == list(CLAIMS)
    assert all(v.outcome is Outcome.UNKNOWN and v.reason for v in verdicts)
    assert not [v for v in verdicts if "crashed" in v.reason]


@pytest.mark.parametrize("claim", list(CLAIMS))
def test_a_sound_story_passes_with_figures(claim: str):
    verdict = judge_all({"sound": SOUND[claim]().history()}, [claim])[0]
    assert verdict.outcome is Outcome.PASS, verdict.reason
    assert verdict.premise_count > 0
    assert verdict.figures


@pytest.mark.parametrize("claim", list(CLAIMS))
def test_a_sound_story_fails_no_other_claim_and_crashes_no_judge(claim: str):
    history = parse(SOUND[claim]().history().dump())
    bad = [v for v in judge_all({"sound": history}) if v.outcome is Outcome.FAIL or "crashed" in v.reason]
    assert not bad, [(v.claim, v.reason) for v in bad]


def test_one_failing_history_outweighs_passing_ones():
    good = SOUND["C7.1"]().history()
    story = Story()
    story.probe("gate", certificate="failing", exit_code=0)
    verdict = judge_all({"good": good, "bad": story.history()}, ["C7.1"])[0]
    assert verdict.outcome is Outcome.FAIL
    assert verdict.history == "bad"


def test_claims_are_selected_by_id_or_component_in_the_order_of_their_ids():
    assert select(["C7.3", "C1"]) == ["C1.1", "C1.2", "C1.3", "C1.4", "C1.5", "C1.6", "C1.7", "C7.3"]
    with pytest.raises(ValueError, match=r"C9\.9"):
        select(["C9.9"])


def test_unknown_verdicts_never_pass_for_a_premise_of_zero():
    assert unknown("nothing").premise_count == 0


@pytest.mark.parametrize(
    ("claim", "change", "guilty"),
    [pytest.param(c, change, guilty, id=f"{c}: {name}") for c, name, change, guilty in WRONG],
)
def test_one_wrong_thing_fails_its_claim_and_is_cited(
    claim: str, change: Change, guilty: list[tuple[str, dict[str, object]]]
):
    verdict = judged(claim, changed(SOUND[claim]().history(), change))
    assert verdict.outcome is Outcome.FAIL, verdict.reason
    assert verdict.reason
    assert verdict.evidence
    for f, value in guilty:
        cited = [e for e in verdict.evidence if e["f"] == f and all(e["value"].get(k) == v for k, v in value.items())]
        assert cited, (f, value, verdict.reason, verdict.evidence)


def test_each_claim_is_turned_red_by_something():
    assert {claim for claim, *_ in WRONG} == set(CLAIMS)


def test_long_histories_are_judged_in_time_that_grows_with_them():
    def cost_s(rounds: int) -> float:
        story = Story()
        for number in range(rounds):
            for name in ("miss", "locks", "load", "loaded", "write"):
                story.say("cache", f"q{number}", key=f"k{number % 97}", event=name, load_id=str(number), count=0)
            story.wait(61.0)
            story.serve()
        history = story.history()
        began_s = time.process_time()
        judge_all({"long": history})
        return time.process_time() - began_s

    cost_s(100)
    small_s = min(cost_s(400) for _ in range(3))
    assert cost_s(3200) < 8 * 4 * small_s
