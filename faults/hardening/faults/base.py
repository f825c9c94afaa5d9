"""What a fault is: plain data, a target that it acts on, and the effect that it had.

A fault is a frozen dataclass (its parameters) with a ``kind``, the name of the target protocol it needs, and
``inject`` / ``heal``. Worlds implement the target protocols they can; a fault knows no world. The same fault
therefore serves the live world (real processes) and the simulated one.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints


class FaultError(ValueError):
    """A fault that cannot be: one line that names the field, the value and what is allowed.

    Attributes:
        field: the field that is wrong, dotted from the fault (``fault.kind``, ``at_s`` ...).
        value: what was given.
        allowed: what would have been right.
    """

    def __init__(self, field_name: str, value: object, allowed: str) -> None:
        super().__init__(f"{field_name} is {value!r}, allowed: {allowed}")
        self.field = field_name
        self.value = value
        self.allowed = allowed


def between(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside ``low`` to ``high``, both included.

    Raises:
        FaultError: naming ``fault.<name>``.
    """
    if not low <= value <= high:
        raise FaultError(f"fault.{name}", value, f"{low:g} to {high:g}")


def one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse a word that is not on the list.

    Raises:
        FaultError: naming ``fault.<name>``.
    """
    words = tuple(allowed)
    if value not in words:
        raise FaultError(f"fault.{name}", value, ", ".join(words))


class UnsupportedTargetError(FaultError):
    """The world lacks the target that the fault acts on."""


class HealError(RuntimeError):
    """Healing was tried and could not be verified; the message names what is still broken."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault did, in counts (names end in their unit).

    A scenario whose fault had no effect is UNKNOWN. In JSON and in the history an effect is the field ``bite``.
    """

    counts: Mapping[str, float] = field(default_factory=dict)

    @property
    def effective(self) -> bool:
        """True when any count is above zero."""
        return any(count > 0 for count in self.counts.values())

    @property
    def bit(self) -> bool:
        """The former name of ``effective``."""
        return self.effective


_UNITS = frozenset({"s", "ms", "bytes", "mb"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(ABC):
    """Base of every fault. Subclasses are frozen dataclasses whose fields are plain JSON values.

    Class attributes:
        kind: its name in schedules and in the catalogue.
        protocol: the ``TARGETS`` protocol it acts on.
        targets: target names that make sense; the first is the default.
        summary: one line for a person.
        signed: fields that may be below zero although their names end in a unit.
        variants: parameters that ``hardening chaos`` draws from, each with each of ``variant_targets``.
        variant_targets: the targets of those; empty for all ``targets``.
        never_drawn: why ``hardening chaos`` does not draw it; empty when it does.
        drawn: what the property tests draw for the simulated world, as alternatives of field -> value, tuple of
            values, or range; empty when that world has no means for it.
        slot: two faults of one slot on one target undo each other's work, so no test draws both; the kind when empty.
    """

    kind: ClassVar[str]
    protocol: ClassVar[str]
    targets: ClassVar[tuple[str, ...]]
    summary: ClassVar[str]
    signed: ClassVar[tuple[str, ...]] = ()
    variants: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    variant_targets: ClassVar[tuple[str, ...]] = ()
    never_drawn: ClassVar[str] = ""
    drawn: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    slot: ClassVar[str] = ""

    target: str

    def __post_init__(self) -> None:
        if self.target not in self.targets:
            raise FaultError("fault.target", self.target, ", ".join(self.targets))
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            unit = spec.name.rpartition("_")[2]
            if unit in _UNITS and spec.name not in self.signed and value is not None and value < 0:
                raise FaultError(f"fault.{spec.name}", value, "0 or more")
        self.validate()

    def validate(self) -> None:
        """Refuse impossible parameters; for a fault without any there is nothing to refuse.

        Raises:
            FaultError: naming the field.
        """
        return

    @abstractmethod
    async def inject(self, target: Any) -> object:
        """Break it. Returns a token that ``heal`` gets back (names of toxics, readings before)."""

    @abstractmethod
    async def heal(self, target: Any, token: object) -> Effect:
        """Heal it, verify that it is healed, and report the effect. Safe to call after a failed inject.

        Raises:
            HealError: when it is still broken.
        """

    def details(self, token: object) -> Mapping[str, Any]:
        """What only the injection knows of what it did, as plain JSON: ``{"entries": {key: kind}}`` for a cache's."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """``{"kind": ..., "target": ..., parameter: value ...}``."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build from the JSON object; an unknown field or a wrong type is one clear line.

        Raises:
            FaultError: naming the field, the value and what is allowed.
        """
        names = {f.name: f for f in dataclasses.fields(cls)}
        for key in data:
            if key not in names and key != "kind":
                raise FaultError(f"fault.{key}", data[key], "one of " + ", ".join(sorted(names)))
        hints = get_type_hints(cls)
        given: dict[str, Any] = {}
        for name, spec in names.items():
            if name in data:
                given[name] = check_type(f"fault.{name}", data[name], hints[name])
            elif name == "target":
                given[name] = cls.targets[0]
            elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
                raise FaultError(f"fault.{name}", None, "a value (the field is required)")
        return cls(**given)


def check_type(name: str, value: Any, hint: Any) -> Any:
    """``value`` as ``hint`` wants it (an int serves as a float; a bool never as a number).

    Raises:
        FaultError: when it is of another type, or not finite.
    """
    origin = get_origin(hint)
    if origin is not None and type(None) in get_args(hint):
        if value is None:
            return None
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return check_type(name, value, inner[0]) if len(inner) == 1 else value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise FaultError(name, value, "a finite number")
        return float(value)
    if hint is int and (not isinstance(value, int) or isinstance(value, bool)):
        raise FaultError(name, value, "a whole number")
    plain = origin or hint
    if plain is Mapping or plain is dict:
        plain = Mapping
    if plain is tuple and isinstance(value, list):
        return tuple(value)
    if isinstance(plain, type) and not isinstance(value, plain):
        raise FaultError(name, value, f"a {getattr(plain, '__name__', plain)}")
    return value


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """A fault as data, before it is known whether a world can do it: the JSON object, nothing built."""

    kind: str
    target: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """``{"kind", "target", parameter ...}``."""
        data: dict[str, Any] = {"kind": self.kind, **self.parameters}
        if self.target:
            data["target"] = self.target
        return data

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Split the JSON object.

        Raises:
            FaultError: when there is no ``kind`` or it is no object.
        """
        if not isinstance(data, Mapping):
            raise FaultError("fault", data, "an object with at least 'kind'")
        kind = data.get("kind")
        target = data.get("target", "")
        if not isinstance(kind, str):
            raise FaultError("fault.kind", kind, "the name of a fault")
        if not isinstance(target, str):
            raise FaultError("fault.target", target, "the name of a target")
        return cls(kind, target, {k: v for k, v in data.items() if k not in {"kind", "target"}})
