"""The *Result* table: which verdicts make which result and exit code; and the certificate that states them."""

from __future__ import annotations

from pathlib import Path

import pytest
from certificate_facts import FAIL, GUILTY, PASS, UNKNOWN, facts
from hypothesis import given
from hypothesis import strategies as st

from hardening.catalogue.selection import live_names, simulated_scenarios
from hardening.certificate.statement import AllowListError, digest_files, parse_allow_list, statement
from hardening.claims.claims import CLAIMS, COMPONENTS, judge_all
from hardening.claims.verdict import Exit, Outcome, Result, Tally, Verdict, merge, passed, result_of, unknown
from hardening.commands.certify import plain_lines
from hardening.history.events import Header, History, digest_of
from hardening.mutants.catalogue import mutants

CLEAN = Tally(clean_commit=True)


def empty() -> History:
    return History(Header("live", {}, digest_of({}), 0, "unknown", (), {}, "2026-01-01T00:00:00+00:00"), [])


@pytest.mark.parametrize(
    ("verdicts", "tally", "expected"),
    [
        ([PASS], CLEAN, (Result.PASSED, Exit.OK)),
        ([PASS, FAIL], CLEAN, (Result.FAILED, Exit.FAILED)),
        ([PASS, FAIL, UNKNOWN], CLEAN, (Result.FAILED, Exit.FAILED)),
        ([PASS, UNKNOWN], CLEAN, (Result.FAILED, Exit.UNKNOWN)),
        ([PASS, UNKNOWN], Tally(frozenset({"C1.3"}), clean_commit=True), (Result.WARNED, Exit.OK)),
        ([PASS, UNKNOWN], Tally(waived=frozenset({"C1.3"}), clean_commit=True), (Result.WARNED, Exit.OK)),
        ([PASS, FAIL], Tally(waived=frozenset({"C1.2"}), clean_commit=True), (Result.WARNED, Exit.OK)),
        ([PASS, FAIL], Tally(frozenset({"C1.2"}), clean_commit=True), (Result.FAILED, Exit.FAILED)),
        ([PASS], Tally(clean_commit=True, waived=frozenset({"C1.1"})), (Result.PASSED, Exit.OK)),
        ([PASS], Tally(clean_commit=True, expired=frozenset({"C1.1"})), (Result.FAILED, Exit.FAILED)),
        ([PASS], Tally(clean_commit=True, undetected=("no_rate_limit",)), (Result.FAILED, Exit.FAILED)),
        ([PASS, UNKNOWN], Tally(clean_commit=True, missed=("p99",)), (Result.FAILED, Exit.FAILED)),
        ([PASS], Tally(clean_commit=True, sabotaged=True), (Result.WARNED, Exit.OK)),
        ([PASS], Tally(clean_commit=False), (Result.WARNED, Exit.OK)),
        ([PASS], Tally(subset=True, clean_commit=True), (Result.WARNED, Exit.OK)),
    ],
)
def test_each_row_of_the_table_decides(verdicts: list[Verdict], tally: Tally, expected: tuple[Result, Exit]) -> None:
    assert result_of(verdicts, tally) == expected


@given(st.lists(st.sampled_from([PASS, FAIL, UNKNOWN]), max_size=6), st.booleans(), st.booleans())
def test_passed_only_when_everything_passed_on_a_clean_commit(
    verdicts: list[Verdict], clean: bool, subset: bool
) -> None:
    result, _ = result_of(verdicts, Tally(clean_commit=clean, subset=subset))
    everything = all(v.outcome is Outcome.PASS for v in verdicts) and clean and not subset
    assert (result is Result.PASSED) == everything


def test_a_pass_without_a_premise_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="premise"):
        Verdict("C1.1", Outcome.PASS, 0)
    assert passed(0).outcome is Outcome.UNKNOWN


def test_one_failing_history_fails_the_claim_and_keeps_its_shortest_evidence() -> None:
    longer = Verdict("C1.2", Outcome.FAIL, 1, {}, (GUILTY, GUILTY), "longer", "b")
    verdict = merge("C1.2", [longer, FAIL, Verdict("C1.2", Outcome.PASS, 9)])
    assert verdict.outcome is Outcome.FAIL
    assert len(verdict.evidence) == 1


def test_premises_of_passing_histories_add_up() -> None:
    verdict = merge("C1.1", [PASS, PASS, unknown("nothing")])
    assert (verdict.outcome, verdict.premise_count) == (Outcome.PASS, 6)


def test_every_claim_has_a_judge_a_premise_and_a_component() -> None:
    assert {claim.component for claim in CLAIMS.values()} == set(COMPONENTS)
    assert all(claim.promise and claim.premise for claim in CLAIMS.values())


def test_on_an_empty_history_nothing_is_known() -> None:
    verdicts = judge_all({"empty": empty()})
    assert {v.outcome for v in verdicts} == {Outcome.UNKNOWN}
    assert result_of(verdicts, CLEAN) == (Result.FAILED, Exit.UNKNOWN)


def test_the_allow_list_knows_claims_and_comments_only() -> None:
    assert parse_allow_list("# why\nC1.1  # later\n\nC7.3\n") == {"C1.1", "C7.3"}
    with pytest.raises(AllowListError, match=r"line 2 is 'C9\.9'"):
        parse_allow_list("C1.1\nC9.9\n")


def test_the_digest_of_files_sees_names_and_bytes() -> None:
    one = digest_files({"a": b"1", "b": b"2"})
    assert digest_files({"b": b"2", "a": b"1"}) == one
    assert digest_files({"a": b"1", "b": b"3"}) != one
    assert digest_files({"a": b"1", "c": b"2"}) != one


def test_every_claim_is_shown_by_a_scenario_or_listed_as_allowed_to_be_unknown() -> None:
    names = {*live_names(), *simulated_scenarios(0)}
    allowed = parse_allow_list((Path(__file__).parents[2] / "allow-unknown.txt").read_text())
    assert {claim for claim, one in CLAIMS.items() if not one.shown_by} == allowed
    assert {name for one in CLAIMS.values() for name in one.shown_by} <= names


def test_every_claim_that_runs_prove_has_a_sabotage_that_turns_it_red() -> None:
    shown = {claim for claim, one in CLAIMS.items() if one.shown_by}
    assert shown == {one.claim for one in mutants().values() if one.world != "load"}


def test_piped_output_is_a_plain_line_for_each_claim() -> None:
    made = statement([PASS, FAIL, UNKNOWN], facts(allowed_unknown=frozenset({"C1.3"})))
    lines = plain_lines(made)
    assert [line.split()[:2] for line in lines] == [["C1.1", "PASS"], ["C1.2", "FAIL"], ["C1.3", "UNKNOWN"]]
    assert "UNKNOWN (allowed)" in lines[2]
    assert lines[1].endswith("it broke")
    assert all(line.isascii() for line in lines)
