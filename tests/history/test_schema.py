"""The JSON schema and the reader say the same of every record."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_stories import SOUND
from judge_story import header

from hardening.history.events import EVENT_TABLE, EVENT_TYPES, HistoryError, Recorder, check_event, parse
from hardening.history.schema import PATH, build_schema

VALIDATOR = jsonschema.Draft202012Validator(build_schema())


def test_the_schema_file_is_the_event_table():
    assert json.loads(PATH.read_text()) == build_schema(), "run: python -m hardening.history.schema"
    rows = {(b["properties"]["type"]["const"], b["properties"]["f"]["const"]) for b in build_schema()["oneOf"][1:]}
    assert rows == set(EVENT_TABLE)


def test_the_schema_is_a_valid_schema():
    jsonschema.Draft202012Validator.check_schema(build_schema())


@pytest.mark.parametrize("claim", list(SOUND))
def test_the_schema_takes_what_a_recorder_writes(claim: str):
    for line in SOUND[claim]().history().dump().splitlines():
        VALIDATOR.validate(json.loads(line))


def names(fields: frozenset[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from([0, "", "x", None, [], {}]) for name in [*sorted(fields), "more"]}
    )


ROWS = st.sampled_from([*EVENT_TABLE, ("ok", "nothing"), ("state", "request")])
RECORDS = ROWS.flatmap(
    lambda row: st.fixed_dictionaries(
        {"type": st.sampled_from([row[0], *EVENT_TYPES]), "f": st.just(row[1])},
        optional={
            "t": st.sampled_from([0, 1.5, "1", True, None]),
            "process": st.sampled_from(["client", 3]),
            "value": st.one_of(names(EVENT_TABLE.get(row, frozenset())), st.just([])),
            "id": st.sampled_from(["", "r1", 7]),
        },
    )
)


@given(RECORDS)
def test_the_schema_takes_exactly_what_the_reader_takes(record: dict[str, Any]):
    try:
        check_event(record)
    except HistoryError:
        taken = False
    else:
        taken = True
    assert VALIDATOR.is_valid(record) is taken


@given(st.sampled_from(list(EVENT_TABLE)))
def test_a_recorded_event_comes_back_the_same(row: tuple[str, str]):
    recorder = Recorder(header())
    value = dict.fromkeys(EVENT_TABLE[row], 1)
    recorder.add(1.25, "harness", row[0], row[1], value, "x")  # type: ignore[arg-type]
    (event,) = parse(recorder.history().dump()).events
    assert (event.t, event.type, event.f, dict(event.value), event.id) == (1.25, *row, value, "x")
