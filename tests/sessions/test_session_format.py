"""A session file: nothing is lost in it, no secret of the world stands in it, and a bad one is refused in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hardening.catalogue.scenario import Reload, Scenario
from hardening.catalogue.scenario_json import (
    SessionError,
    scenario_from_json,
    scenario_to_json,
    startup_from_json,
    startup_to_json,
)
from hardening.catalogue.selection import live_scenarios
from hardening.catalogue.starts import startup
from hardening.history.events import Header, History
from hardening.history.workload import Operation, Workload
from hardening.sessions.session import SCHEMA_PATH, Judged, Session, Target, session_schema, stored_history
from hardening.worlds.shared.keys import Secrets

SEED = 11
SCENARIOS = {name: one for name, one in live_scenarios(SEED).items() if isinstance(one, Scenario)}
CASES = startup(SEED)
NUMBERS = st.floats(0, 1e9, allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OPERATIONS = st.builds(
    Operation,
    at_s=NUMBERS,
    operation=st.sampled_from(["signal", "alert", "health"]),
    method=st.sampled_from(["GET", "POST"]),
    path=st.text(),
    key=st.text(),
    priority=st.sampled_from(["critical", "high", "normal", "low"]),
    headers=st.dictionaries(st.text(), st.text(), max_size=2),
    body=JSON,
    disconnect_after_s=st.none() | NUMBERS,
    timeout_s=NUMBERS,
    sends=st.sampled_from(["valid", "none", "wrong", "other_scope"]),
)
RELOADS = st.builds(Reload, at_s=NUMBERS, settings=st.text() | st.dictionaries(st.text(), JSON, max_size=2))
DRAWN = st.builds(
    Scenario,
    name=st.text(),
    summary=st.text(),
    steady=st.lists(OPERATIONS, max_size=2).map(Workload.of),
    workload=st.lists(OPERATIONS, max_size=3).map(Workload.of),
    settings=st.dictionaries(st.text(), JSON, max_size=2),
    reloads=st.lists(RELOADS, max_size=2).map(tuple),
    latency_s=st.dictionaries(st.text(), NUMBERS, max_size=2),
    term_at_s=st.none() | NUMBERS,
    canaries=st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=2).map(tuple),
    environment=st.dictionaries(st.text(), st.text(), max_size=2),
    hostile_bytes=st.integers(0, 10**9),
)


def through_text(data: object) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_each_scenario_comes_back_as_it_was(name: str) -> None:
    assert scenario_from_json(through_text(scenario_to_json(SCENARIOS[name]))) == SCENARIOS[name]


@given(DRAWN)
def test_any_scenario_comes_back_as_it_was(scenario: Scenario) -> None:
    assert scenario_from_json(through_text(scenario_to_json(scenario))) == scenario


@pytest.mark.parametrize("case", CASES, ids=[f"{case.dependency}-{case.case}" for case in CASES])
def test_each_start_comes_back_as_it_was(case: Any) -> None:
    assert startup_from_json(through_text(startup_to_json(case))) == case


def full_session(scenario: Scenario = SCENARIOS["secrets"]) -> Session:
    return Session(
        "night",
        "live",
        scenario,
        SEED,
        plan={"decisions": [1, 2]},
        trace_digest="sha256:0",
        settings={"port": 1},
        sabotage="broken.py:slow",
        commit="abc",
        versions={"python": "3"},
        history="night.jsonl",
        history_digest="sha256:1",
        verdicts=(Judged("C1.1", "FAIL", "why", ({"index": 3},)), Judged("C1.2", "PASS")),
        problem="none",
        aborted="key q",
        figures={"steady": {"requests": 4}},
        created_at="2026-11-25T00:00:00+00:00",
        target=Target("http://a", "http://b", "redis://c", "KEY"),
        startup=CASES,
    )


def test_a_session_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "night.json"
    full_session().write(path)
    assert Session.load(path) == full_session()
    assert [p.name for p in path.parent.iterdir()] == ["night.json"]


def test_the_secrets_of_the_world_do_not_stand_in_the_file() -> None:
    """The leaky library's environment holds them, and so may a verdict's evidence."""
    own = {canary["name"]: canary["value"] for canary in Secrets.draw(SEED).canaries()}
    said = Judged("C4.1", "FAIL", f"leaked {own['redis_password']}", ({"text": own["api_key_demo"]},))
    session = dataclasses.replace(full_session(), verdicts=(said,))
    assert any(value in json.dumps(dict(session.scenario.environment)) for value in own.values())
    text = json.dumps(session.to_json())
    assert not [name for name, value in own.items() if value in text]
    assert Session.from_json(json.loads(text)) == session


def test_a_text_that_looks_like_the_place_of_a_secret_is_refused() -> None:
    session = dataclasses.replace(full_session(), problem="see {{own:api_key_demo}}")
    with pytest.raises(SessionError, match="which stands for a secret"):
        session.to_json()


def test_the_schema_file_is_the_schema() -> None:
    assert json.loads(SCHEMA_PATH.read_text(encoding="utf-8")) == session_schema()
    Draft202012Validator.check_schema(session_schema())
    Draft202012Validator(session_schema()).validate(through_text(full_session().to_json()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "session.format is 'other', allowed: signal-hardening/session"),
        ({"version": 2}, "session.version is 2, allowed: 1"),
        ({"world": "mars"}, "session.world is 'mars', allowed: live, simulated, target"),
        ({"seed": "x"}, "session.seed is 'x', allowed: integer"),
        ({"seed": -1}, "session.seed is -1, allowed: 0 or more"),
        ({"colour": 1}, "session.colour is 1, allowed: one of the fields aborted, commit"),
        ({"history": "../../etc/passwd"}, "allowed: a path below the session's own directory"),
        (
            {"verdicts": [{"claim": "C1.1", "verdict": "MAYBE"}]},
            "session.verdicts[0].verdict is 'MAYBE', allowed: PASS",
        ),
        ({"scenario": {"name": "x"}}, "session.scenario.summary is None, allowed: a value"),
        ({"scenario": {"name": "x", "summary": "", "durable": "yes"}}, "scenario.durable is 'yes', allowed: boolean"),
        ({"scenario": {"name": "x", "summary": "", "recovery_s": -1}}, "scenario.recovery_s is -1, allowed: 0 or more"),
        (
            {"scenario": {"name": "x", "summary": "", "workload": [{"at_s": 1, "operation": "signal", "sends": "no"}]}},
            "scenario.workload[0].sends is 'no', allowed: valid, none, wrong, other_scope",
        ),
        (
            {"scenario": {"name": "x", "summary": "", "reloads": [{"at_s": 1, "settings": 5}]}},
            "scenario.reloads[0].settings is 5, allowed: object or string",
        ),
        (
            {"scenario": {"name": "x", "summary": "", "schedule": [{"at_s": 1, "for_s": 1, "fault": {"kind": "no"}}]}},
            "schedule[0].fault.kind is 'no', allowed: one of",
        ),
        (
            {"scenario": {"name": "x", "summary": "", "schedule": [{"at_s": "a", "for_s": 1, "fault": {}}]}},
            "schedule[0].at_s is 'a', allowed: a number of seconds",
        ),
        ({"startup": [{"case": "gone", "dependency": "redis"}]}, "session.startup[0].case is 'gone', allowed: absent"),
    ],
)
def test_a_bad_session_is_refused_in_one_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SessionError) as caught:
        Session.from_json({**full_session().to_json(), **change})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "JSON"),
        ("[]", "session is [], allowed: object"),
        ('{"seed": NaN}', "finite"),
        (None, "readable"),
        (b"\xff", "UTF-8"),
    ],
)
def test_a_file_that_is_no_session_is_refused_in_one_line(text: str | bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SessionError) as caught:
        Session.load(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_history_that_was_changed_is_refused(tmp_path: Path) -> None:
    header = Header("live", {}, "", SEED, "abc", (), {}, "")
    digest = History(header, []).write(tmp_path / "night.jsonl")
    session = dataclasses.replace(full_session(), history_digest=digest)
    assert stored_history(session, tmp_path / "night.json").header.seed == SEED
    (tmp_path / "night.jsonl").write_text("{}\n")
    with pytest.raises(SessionError, match="history_digest"):
        stored_history(session, tmp_path / "night.json")
    with pytest.raises(SessionError, match="this session has none"):
        stored_history(dataclasses.replace(session, history=""), tmp_path / "night.json")
