"""A scenario as JSON and back, nothing lost: ``scenario_to_json``, ``scenario_from_json``, the same for a start.

Schema, writing and reading all follow the type hints of the dataclasses, so that a field added there is a field
here. What is read is checked against the schema first; the first thing wrong is one line.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from hardening.catalogue.scenario import Scenario, StartupCase
from hardening.faults.base import FaultError
from hardening.faults.schedule import Schedule
from hardening.history.workload import Workload

T = TypeVar("T")

_PLAIN: Mapping[Any, Mapping[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Any: {},
}
_SHOWN_MAX = 80
"""Characters of a bad value that its error repeats."""


class SessionError(ValueError):
    """A session or scenario that cannot be read, in one line.

    Attributes:
        field: what is wrong, dotted from the top (``scenario.workload[3].at_s``).
        value: what stands there.
        allowed: what would have been right.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        shown = repr(value)
        shown = shown if len(shown) <= _SHOWN_MAX else f"{shown[:_SHOWN_MAX]}..."
        super().__init__(f"{field} is {shown}, allowed: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


def scenario_to_json(scenario: Scenario) -> dict[str, Any]:
    """Every field of the scenario as JSON values."""
    return cast("dict[str, Any]", encode(scenario))


def scenario_from_json(data: object, where: str = "scenario") -> Scenario:
    """Build a scenario from its JSON object; what is left out takes its default.

    Raises:
        SessionError: naming field, value and what is allowed; ``where`` is what its fields are dotted from.
    """
    return read_as(Scenario, data, where)


def startup_to_json(case: StartupCase) -> dict[str, Any]:
    """Every field of a start under difficulties."""
    return cast("dict[str, Any]", encode(case))


def startup_from_json(data: object, where: str = "startup") -> StartupCase:
    """Build a start from its JSON object; errors as in ``scenario_from_json``."""
    return read_as(StartupCase, data, where)


def read_as(kind: type[T], data: object, where: str) -> T:
    """Check ``data`` against the schema of ``kind`` (a dataclass) and build it.

    Raises:
        SessionError: for the first thing that is wrong.
    """
    validate(schema_of(cast("Any", kind)), data, where)
    return cast("T", decode(kind, data, where))


def validate(schema: Mapping[str, Any], data: object, where: str) -> None:
    """Refuse what the schema refuses, with the most telling of its complaints.

    Raises:
        SessionError: naming field, value and what is allowed.
    """
    error = best_match(Draft202012Validator(schema).iter_errors(data))
    if error is not None:
        raise _as_line(error, where)


def _as_line(error: ValidationError, where: str) -> SessionError:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path]
    field = "".join([where, *steps]).lstrip(".")
    schema: Any = error.schema
    wanted: Any = error.validator_value
    value: Any = error.instance
    if error.validator == "required":
        missing = next(name for name in wanted if name not in value)
        return SessionError(f"{field}.{missing}".lstrip("."), None, "a value (the field is required)")
    if error.validator == "additionalProperties":
        extra = sorted(set(value) - set(schema["properties"]))[0]
        allowed = "one of the fields " + ", ".join(sorted(schema["properties"]))
        return SessionError(f"{field}.{extra}".lstrip("."), value[extra], allowed)
    if error.validator in {"enum", "const"}:
        options = wanted if error.validator == "enum" else [wanted]
        return SessionError(field, value, ", ".join(map(str, options)))
    if error.validator == "type":
        return SessionError(field, value, " or ".join([wanted] if isinstance(wanted, str) else wanted))
    if error.validator == "minimum":
        return SessionError(field, value, f"{wanted} or more")
    return SessionError(field, value, f"{error.validator} {wanted}")


@cache
def schema_of(hint: Any) -> dict[str, Any]:
    """The JSON schema of a type hint: dataclasses are closed objects, every field named."""
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    if hint is Schedule:
        return {"type": "array", "items": {"type": "object", "required": ["at_s", "for_s", "fault"]}}
    if hint is Workload:
        return {"type": "array", "items": schema_of(_operation())}
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is tuple:
        return {"type": "array", "items": schema_of(inner[0])}
    if origin in {Union, types.UnionType}:
        return _either([schema_of(option) for option in inner])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema_of(inner[1])}
    return _object(hint)


def _operation() -> Any:
    return get_args(get_type_hints(Workload)["operations"])[0]


def _either(options: list[dict[str, Any]]) -> dict[str, Any]:
    """One schema with several types: its complaint is clearer than that of ``anyOf``."""
    merged: dict[str, Any] = {}
    for option in options:
        merged |= option
    return merged | {"type": [option["type"] for option in options]}


def _object(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    fields = dataclasses.fields(kind)
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    return {
        "type": "object",
        "required": needed,
        "additionalProperties": False,
        "properties": {f.name: _field(f.name, hints[f.name]) for f in fields},
    }


def _field(name: str, hint: Any) -> dict[str, Any]:
    """Seconds, bytes and seeds are never below zero."""
    schema = schema_of(hint)
    positive = hint is not str and name.rpartition("_")[2] in {"s", "bytes", "seed"} and "type" in schema
    return schema | {"minimum": 0} if positive and schema["type"] != "object" else schema


def encode(value: Any) -> Any:
    """The JSON value of a dataclass, workload, schedule, mapping, tuple or plain value."""
    if isinstance(value, Schedule | Workload):
        return value.to_json()
    if dataclasses.is_dataclass(value):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): encode(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [encode(inner) for inner in value]
    return value


def decode(hint: Any, data: Any, where: str) -> Any:
    """The value of a hint from JSON that its schema took.

    Raises:
        SessionError: for a schedule with an impossible fault.
    """
    if hint is Schedule:
        try:
            return Schedule.from_json(data)
        except FaultError as error:
            raise SessionError(f"{where}: {error.field}", error.value, error.allowed) from error
    if hint is Workload:
        return Workload.of(decode(_operation(), entry, where) for entry in data)
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return tuple(decode(inner, entry, f"{where}[{i}]") for i, entry in enumerate(data))
    if get_origin(hint) in {Union, types.UnionType} and isinstance(data, Mapping):
        hint = next((option for option in get_args(hint) if dataclasses.is_dataclass(option)), hint)
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        given = {name: decode(hints[name], value, f"{where}.{name}") for name, value in data.items()}
        return cast("Any", hint)(**given)
    return data
