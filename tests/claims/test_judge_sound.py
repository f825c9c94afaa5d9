"""What every judge promises: UNKNOWN without its premise, PASS on a sound story, never a FAIL on a legal one."""

from __future__ import annotations

import pytest
from judge_sound import SOUND
from judge_story import Story

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
