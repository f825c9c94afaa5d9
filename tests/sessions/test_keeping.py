"""The sessions directory, stories, comparisons, and failures kept as regression tests."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from acted_world import Acted, session_of

from hardening.catalogue.scenario_json import SessionError
from hardening.history.events import Header, History
from hardening.sessions.compare import differences, lines
from hardening.sessions.regressions import adopt, adopted, prune
from hardening.sessions.session import Judged, Session, stored_history
from hardening.sessions.store import Store, Stored
from hardening.sessions.story import LISTED_MAX, story

HISTORY = History(Header("live", {}, "", 7, "", (), {}, ""), [])


def test_what_is_saved_is_found_by_name_and_by_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "sessions")
    stored = store.save(session_of(), HISTORY)
    assert store.find("night") == stored
    assert store.find(str(stored.path)) == stored
    assert stored_history(stored.session, stored.path).header.seed == 7


def test_no_session_is_written_over_another(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = [store.save(session_of(), HISTORY).session.name for _ in range(3)]
    assert names == ["night", "night-2", "night-3"]
    assert [one.session.name for one in store.all() if isinstance(one, Stored)] == names


def test_a_file_that_is_no_session_is_told_and_hides_no_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(session_of(), HISTORY)
    (tmp_path / "broken.json").write_text("{")
    found = list(store.all())
    assert [isinstance(one, SessionError) for one in found].count(True) == 1
    assert [one.session.name for one in found if isinstance(one, Stored)] == ["night"]


def test_a_session_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(session_of(), HISTORY)
    with pytest.raises(SessionError, match=r"day.*night"):
        store.find("day")


def test_a_story_says_what_was_asked_what_broke_what_was_observed_and_which_claim() -> None:
    told = "\n".join(story(session_of(requests=2)))
    assert "at 3 s the owner of key demo asks GET /v2/signals/S0?timeframe=1m" in told
    assert "net_down on user from 4 s for 1 s" in told
    assert "C2.1" in told
    assert "observed:  a permit leaked" in told


def test_many_requests_are_counted_and_not_listed() -> None:
    told = story(session_of(requests=LISTED_MAX + 1))
    assert any("13 requests (13 signal) within" in line for line in told)
    assert not any("asks GET" in line for line in told)


def test_a_session_without_failure_says_what_held() -> None:
    session = dataclasses.replace(session_of(), verdicts=(Judged("C4.1", "PASS"), Judged("C2.1", "UNKNOWN", "why")))
    assert "claims:    none failed; held: C4.1" in story(session)


def test_a_session_does_not_differ_from_itself() -> None:
    assert differences(session_of(), session_of()) == {}
    assert lines({}) == ["the sessions do not differ"]


def test_what_differs_is_said_by_area() -> None:
    one = session_of()
    faults = one.scenario.schedule.faults
    fewer = dataclasses.replace(one.scenario, schedule=type(one.scenario.schedule)(faults[1:]), recovery_s=3.0)
    verdicts = (Judged("C2.1", "PASS"),)
    other = dataclasses.replace(one, scenario=fewer, seed=9, verdicts=verdicts, figures={"phases": {"a": 1}})
    found = differences(one, other)
    assert found["session"] == {"seed": [7, 9]}
    assert found["scenario"] == {"recovery_s": [15.0, 3.0]}
    assert list(found["faults"]) == ["net_down redis at 2 s"]
    assert found["verdicts"]["C2.1"] == ["FAIL (a permit leaked)", "PASS"]
    assert found["figures"] == {"phases.a": [None, 1]}


def test_as_many_other_requests_are_a_difference() -> None:
    one = session_of(requests=3)
    moved = dataclasses.replace(
        one, scenario=dataclasses.replace(one.scenario, workload=one.scenario.workload.shifted(1))
    )
    assert differences(one, moved)["scenario"] == {"workload requests": ["some", "others"]}


def test_a_failing_session_becomes_a_regression(tmp_path: Path) -> None:
    stored = Store(tmp_path / "from").save(session_of(), HISTORY)
    kept = adopt(stored, tmp_path / "into", "lost-alert")
    assert [one.session.name for one in adopted(tmp_path / "into")] == ["lost-alert"]
    assert kept.session.scenario == stored.session.scenario
    assert kept.session.history == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdicts": ()}, "a session in which a claim failed"),
        ({"sabotage": "a.py:b"}, "a sabotage shows no fault of ours"),
        ({"world": "target"}, "a test cannot count on a staging stack"),
    ],
)
def test_what_shows_no_fault_of_ours_is_not_adopted(change: dict[str, object], said: str, tmp_path: Path) -> None:
    session = dataclasses.replace(session_of(), **change)  # type: ignore[arg-type]
    with pytest.raises(SessionError, match=said):
        adopt(Stored(session, tmp_path / "night.json"), tmp_path / "into")
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("name", ["../escape", "taken"])
def test_a_regression_is_never_written_over_or_elsewhere(name: str, tmp_path: Path) -> None:
    stored = Stored(session_of(), tmp_path / "night.json")
    adopt(stored, tmp_path / "into", "taken")
    with pytest.raises(SessionError, match="a plain name that is free"):
        adopt(stored, tmp_path / "into", name)


def test_a_regression_that_never_failed_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    dataclasses.replace(session_of(), verdicts=()).write(tmp_path / "night.json")
    with pytest.raises(SessionError, match="a session in which a claim failed"):
        adopted(tmp_path)


def regressions(folder: Path, *names: str) -> Store:
    for name in names:
        session_of(name=name).write(folder / f"{name}.json")
    return Store(folder)


def test_what_passes_every_time_is_pruned_and_what_fails_once_stays(tmp_path: Path) -> None:
    store = regressions(tmp_path, "fixed", "open")
    done = prune(store, lambda _s: Acted(lambda s: s.name == "open"), 3)
    assert {one.stored.session.name: one.removed for one in done} == {"fixed": True, "open": False}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["open.json"]


def test_what_fails_now_and_then_stays(tmp_path: Path) -> None:
    class SecondRun(Acted):
        def __init__(self) -> None:
            super().__init__(lambda _s: len(self.seen) == 2)

    store = regressions(tmp_path, "flaky")
    done = prune(store, lambda _s: SecondRun(), 3)
    assert [(one.removed, one.runs) for one in done] == [(False, 2)]
    assert (tmp_path / "flaky.json").exists()


def test_with_keep_nothing_is_removed(tmp_path: Path) -> None:
    store = regressions(tmp_path, "fixed")
    assert [one.removed for one in prune(store, lambda _s: Acted(lambda _s: False), 1, keep=True)] == [True]
    assert (tmp_path / "fixed.json").exists()


@pytest.mark.parametrize("runner", [Acted(lambda _s: False, problem="no port"), Acted(lambda _s: False, refuses=True)])
def test_what_could_not_be_run_is_not_pruned(runner: Acted, tmp_path: Path) -> None:
    store = regressions(tmp_path, "unlucky")
    (one,) = prune(store, lambda _s: runner, 3)
    assert not one.removed
    assert one.problem
    assert (tmp_path / "unlucky.json").exists()


def test_only_files_of_the_session_are_removed(tmp_path: Path) -> None:
    stored = Store(tmp_path).save(session_of(), HISTORY)
    (tmp_path / "other.jsonl").write_text("kept")
    prune(Store(tmp_path), lambda _s: Acted(lambda _s: False), 1)
    assert not stored.path.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["other.jsonl"]


def test_a_session_whose_history_lies_elsewhere_is_refused_before_anything_is_removed(tmp_path: Path) -> None:
    data = session_of().to_json() | {"history": "../precious.txt"}
    (tmp_path / "in").mkdir()
    (tmp_path / "precious.txt").write_text("kept")
    (tmp_path / "in" / "night.json").write_text(json.dumps(data))
    with pytest.raises(SessionError):
        prune(Store(tmp_path / "in"), lambda _s: Acted(lambda _s: False), 1)
    assert (tmp_path / "precious.txt").read_text() == "kept"


def test_sessions_here_are_whole() -> None:
    assert Session.from_json(session_of(world="simulated").to_json()) == session_of(world="simulated")
