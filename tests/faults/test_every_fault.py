"""What holds for every kind in the catalogue: JSON there and back, refusals in one line that name the field."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardening.faults.base import Fault, FaultError, FaultSpec
from hardening.faults.catalogue import CATALOGUE, build
from hardening.faults.schedule import Schedule, TimedFault
from hardening.faults.targets import TARGETS

KINDS = st.sampled_from(sorted(CATALOGUE))


def values(name: str, hint: Any, default: Any) -> st.SearchStrategy[Any]:
    """Plausible values for a field, the default among them."""
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(0, 10_000) | st.just(default)
    if hint is float:
        return st.floats(0, 10_000, allow_nan=False) | st.just(default)
    return st.just(default)


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    """Any valid fault: drawn parameters where the fault takes them, its defaults where it does not."""
    cls = CATALOGUE[draw(KINDS)]
    hints = get_type_hints(cls)
    data: dict[str, Any] = {"target": draw(st.sampled_from(cls.targets))}
    for spec in dataclasses.fields(cls):
        if spec.name != "target" and spec.default is not dataclasses.MISSING:
            drawn = draw(values(spec.name, hints[spec.name], spec.default))
            try:
                data = {**data, spec.name: cls.from_json({**data, spec.name: drawn}).to_json()[spec.name]}
            except FaultError:
                continue
    return cls.from_json(data)


@given(faults())
def test_any_fault_survives_json(fault: Fault) -> None:
    assert build(json.loads(json.dumps(fault.to_json()))) == fault


@given(faults())
def test_any_fault_survives_a_schedule(fault: Fault) -> None:
    schedule = Schedule.of([TimedFault(1.0, 2.0, fault)])
    assert Schedule.from_json(json.loads(json.dumps(schedule.to_json()))) == schedule


@given(KINDS, st.text(st.characters(categories=["Ll"]), min_size=1).filter(lambda name: name != "kind"))
def test_an_unknown_field_is_refused_by_its_name(kind: str, name: str) -> None:
    cls = CATALOGUE[kind]
    known = {spec.name for spec in dataclasses.fields(cls)}
    if name in known:
        return
    with pytest.raises(FaultError) as caught:
        build({"kind": kind, name: 1})
    assert caught.value.field == f"fault.{name}"
    assert "\n" not in str(caught.value)


@given(KINDS, st.text(max_size=20))
def test_an_unknown_target_is_refused_with_those_that_are_allowed(kind: str, target: str) -> None:
    cls = CATALOGUE[kind]
    if target in cls.targets or not target:
        return
    with pytest.raises(FaultError) as caught:
        build({"kind": kind, "target": target})
    assert caught.value.field == "fault.target"
    assert cls.targets[0] in caught.value.allowed


@given(KINDS, st.data())
def test_a_value_of_a_wrong_type_is_refused_by_its_field(kind: str, data: st.DataObject) -> None:
    cls = CATALOGUE[kind]
    hints = get_type_hints(cls)
    plain = [spec.name for spec in dataclasses.fields(cls) if hints[spec.name] in {int, float, bool, str}]
    name = data.draw(st.sampled_from(plain))
    with pytest.raises(FaultError) as caught:
        build({"kind": kind, name: [1, 2]})
    assert caught.value.field == f"fault.{name}"


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_a_number_that_is_none_is_refused_by_its_field(kind: str) -> None:
    cls = CATALOGUE[kind]
    for spec in dataclasses.fields(cls):
        if get_type_hints(cls)[spec.name] is float:
            for bad in (float("nan"), float("inf"), True):
                with pytest.raises(FaultError) as caught:
                    build({"kind": kind, spec.name: bad})
                assert caught.value.field == f"fault.{spec.name}"


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_a_negative_amount_is_refused_by_its_field(kind: str) -> None:
    cls = CATALOGUE[kind]
    for spec in dataclasses.fields(cls):
        unit = spec.name.rpartition("_")[2]
        if unit in {"ms", "s", "bytes", "mb"} and spec.name not in cls.signed:
            with pytest.raises(FaultError) as caught:
                build({"kind": kind, spec.name: -1})
            assert caught.value.field == f"fault.{spec.name}"


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_a_fault_is_frozen_described_and_acts_on_a_known_target(kind: str) -> None:
    cls = CATALOGUE[kind]
    assert cls.kind == kind
    assert cls.protocol in TARGETS
    assert cls.targets
    assert cls.summary
    assert len(cls.summary) < 100
    assert inspect.getdoc(cls)
    with pytest.raises(dataclasses.FrozenInstanceError):
        cls.from_json(sample(kind)).target = "other"  # type: ignore[misc]


def sample(kind: str) -> dict[str, Any]:
    """The fault with nothing but its defaults."""
    return {"kind": kind}


def test_an_unknown_kind_is_refused_with_those_that_are_allowed() -> None:
    with pytest.raises(FaultError, match=r"fault\.kind is 'fire', allowed: one of .*redis_killed"):
        build({"kind": "fire"})


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers())))
def test_what_is_no_object_is_no_fault(data: object) -> None:
    with pytest.raises(FaultError) as caught:
        build(data)
    assert caught.value.field == "fault"


def test_a_spec_keeps_what_it_was_given() -> None:
    data = {"kind": "net_latency", "target": "redis", "latency_ms": 5}
    assert FaultSpec.from_json(data).to_json() == data


def test_each_target_protocol_serves_some_fault() -> None:
    assert {cls.protocol for cls in CATALOGUE.values()} == set(TARGETS)


def test_the_catalogue_holds_every_fault_that_is_written() -> None:
    def every(cls: type[Fault]) -> set[type[Fault]]:
        return {cls} | {below for sub in cls.__subclasses__() for below in every(sub)}

    written = {cls for cls in every(Fault) if "kind" in vars(cls) and cls.__module__.startswith("hardening.faults.")}
    # slots=True makes each dataclass twice; the catalogue holds the second.
    assert {cls.kind for cls in written} == set(CATALOGUE)
