"""The plan of a load run, as plain data: it travels from the command line to Locust and into the report.

In comes JSON, out comes a ``Plan`` (seconds, requests a second); ``PlanError`` names the field, its value and what is
allowed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from hardening.load.shapes import SHAPES, Profile, profile

BUDGET_PER_S = 5.0
"""300 a minute: what ``steady`` offers by default."""

LOADS: Mapping[str, tuple[float, float]] = {
    "steady": (BUDGET_PER_S, 60.0),
    "burst": (BUDGET_PER_S, 30.0),
    "ramp": (BUDGET_PER_S, 60.0),
    "spike": (BUDGET_PER_S / 2, 45.0),
    "soak": (BUDGET_PER_S * 0.9, 900.0),
    "open": (BUDGET_PER_S, 60.0),
}
"""Requests a second and seconds of each shape, when none are given."""


SHARED = ("shape", "rate_per_s", "duration_s", "seed", "workers", "pace_s")
"""Fields that must be the same in all processes of a run, or they offer something else than is judged."""


class PlanError(ValueError):
    """A plan that cannot be; the message names the field, its value and what is allowed."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} is {value!r}, allowed: {allowed}")


_BOUNDS: Mapping[str, tuple[float, float, str]] = {
    "rate_per_s": (0.01, 100_000, "requests a second from 0.01 to 100000"),
    "duration_s": (1, 7 * 86_400, "seconds from 1 to 604800"),
    "pace_s": (0.001, 3600, "seconds from 0.001 to 3600"),
    "workers": (1, 256, "a whole number from 1 to 256"),
    "abort_error_share": (0, 1, "a share from 0 to 1"),
    "seed": (0, 2**63 - 1, "a whole number from 0"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One load run.

    Attributes:
        shape: a name of ``SHAPES``.
        rate_per_s: product requests a second that the shape is drawn around.
        duration_s: how long requests are started.
        seed: every operation and every pause is drawn from it.
        workers: Locust processes that share the rate.
        pace_s: mean time between two requests of one user; a user is as many of them as the rate needs.
        embedded: the service under load is our own, booted for the run.
        abort_error_share: end the run when more than this share of the last ten seconds' requests were errors.
        lone_client: ask once more, alone, when all is over, and obey a 429.
        host: where requests go; without credentials.
        tag: stands in idempotency keys, so that a second run against a lasting service sends no key again.
    """

    shape: str = "steady"
    rate_per_s: float = BUDGET_PER_S
    duration_s: float = 60.0
    seed: int = 0
    workers: int = 1
    pace_s: float = 2.0
    embedded: bool = False
    abort_error_share: float = 0.5
    lone_client: bool = True
    host: str = ""
    tag: str = ""

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise PlanError("shape", self.shape, ", ".join(SHAPES))
        for name, (least, most, allowed) in _BOUNDS.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise PlanError(name, value, allowed)
            if not least <= value <= most:
                raise PlanError(name, value, allowed)

    @classmethod
    def of(cls, shape: str, rate_per_s: float | None = None, duration_s: float | None = None, **more: Any) -> Self:
        """A plan with the shape's own rate and duration where none is given.

        Raises:
            PlanError: naming the field.
        """
        if shape not in LOADS:
            raise PlanError("shape", shape, ", ".join(SHAPES))
        usual_per_s, usual_s = LOADS[shape]
        return cls(shape, rate_per_s or usual_per_s, duration_s or usual_s, **more)

    @property
    def profile(self) -> Profile:
        """How many requests a second at which moment."""
        return profile(self.shape, self.rate_per_s, self.duration_s)

    @property
    def is_open(self) -> bool:
        """True when requests start on a schedule, whatever the answers do."""
        return self.shape == "open"

    def users_at(self, t_s: float) -> int:
        """How many users offer the rate of that moment."""
        return max(1, round(self.profile.rate_at(t_s) * self.pace_s))

    def to_json(self) -> dict[str, Any]:
        """The JSON object."""
        return asdict(self)

    def dumps(self) -> str:
        """JSON text."""
        return json.dumps(self.to_json(), sort_keys=True)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read and check.

        Raises:
            PlanError: for an unknown field or a value out of bounds.
        """
        names = [one.name for one in fields(cls)]
        if not isinstance(data, Mapping):
            raise PlanError("plan", data, "an object")
        for name in data:
            if name not in names:
                raise PlanError(f"plan.{name}", data[name], ", ".join(names))
        return cls(**data)

    def differs_from(self, other: Mapping[str, Any]) -> str:
        """The first thing in which a worker's plan offers something else, in words; empty when it offers the same."""
        for name in SHARED:
            if getattr(self, name) != other[name]:
                return f"{name} is {other[name]!r} there, {getattr(self, name)!r} here"
        return ""

    def with_host(self, host: str) -> Plan:
        """The same against another host."""
        return replace(self, host=host)
